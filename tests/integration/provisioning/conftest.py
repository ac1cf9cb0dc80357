"""These tests count what is on the servers, so only the embedded one takes new workspaces meanwhile."""

from collections.abc import Callable, Generator, Sequence

import pytest
from sqlalchemy import update

from strongroom.platform.control.platform import Platform
from strongroom.platform.control.tables import server
from strongroom.provisioning.postgres.embedded import EmbeddedServer


@pytest.fixture(scope="module", autouse=True)
def other_servers_take_nobody(platform: Platform) -> Generator[None]:
    """Other tests of this process may have added servers, which stay until its end."""
    others = server.c.accepts_tenants & (server.c.name != "embedded")
    with platform.control.begin() as conn:
        drained = update(server).where(others).values(accepts_tenants=False).returning(server.c.name)
        names = list(conn.execute(drained).scalars())
    yield
    with platform.control.begin() as conn:
        conn.execute(update(server).where(server.c.name.in_(names)).values(accepts_tenants=True))


@pytest.fixture
def on_the_server(embedded_server: EmbeddedServer) -> Callable[[Sequence[str]], list[str]]:
    """What the server still has, databases and roles, of placements with these ids."""

    def found(pids: Sequence[str]) -> list[str]:
        names = [f"t_{pid}{suffix}" for pid in pids for suffix in ("", "_own")]
        with embedded_server.connect_admin() as admin:
            rows = admin.execute(
                "SELECT datname FROM pg_database WHERE datname = ANY(%s)"
                " UNION ALL SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)",
                (names, names),
            )
            return [row[0] for row in rows]

    return found
