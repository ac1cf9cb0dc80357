"""Which login is tried where the server refuses the one that is known."""

from typing import Any, cast

from strongroom.config.errors import UnavailableError
from strongroom.platform.keys import DatabaseCredential
from strongroom.platform.registry import pool
from strongroom.platform.registry.address import TenantAddress

OLD, NEW = (DatabaseCredential.generate("t_x") for _ in range(2))


def test_a_login_that_another_request_learns_at_the_same_moment_is_tried_here_too() -> None:
    class Access:
        def open(self, login: DatabaseCredential, *_: object) -> str:
            if login == NEW:
                return "a connection"
            target.credential = NEW  # by the other request
            raise UnavailableError("refused")

    address = TenantAddress({}, pooled=False)
    target = pool.Target("key", cast(Any, Access()), OLD, "t_x", address, 1.0, 1, 0.0, 0.0, logins=lambda: [NEW])
    assert pool._logged_in(target) == "a connection"  # pyright: ignore[reportPrivateUsage]  # what the pool calls
