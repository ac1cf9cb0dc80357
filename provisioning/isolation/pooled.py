"""A tenant's login at the server's pooler, which by itself, whatever holds behind it, must let nobody across."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg

from ...platform.control.platform import Platform
from ...platform.registry.address import tenant_address
from ...platform.servers.records import Server
from ..names import Names
from .attempt import Attempt
from .entering import PLATFORM_DATABASES

_NEIGHBOURS = 10  # its rule knows no names, so some stand for all; each costs a TLS handshake
_CONSOLE = "pgbouncer"  # PgBouncer's own commands
_LAYERS = (
    ("login rejected", "pooler's rules"),
    ("not allowed", "pooler's console"),
    ("authentication failed", "credentials"),
)
_FULL = "no more connections allowed"
_PATIENCE = 20.0  # seconds for a pooler that has no connection free


def pooled_attempts(platform: Platform, server: Server, me: Names, others: Sequence[Names]) -> Iterator[Attempt]:
    """Enter other databases and take other logins through the pooler of `server`, if it has one.

    A login that does not even reach its own database there proves nothing, and is reported so.
    """
    if server.pooler_host is None:
        return
    login, unreachable = _own_login(platform, server, me)
    if unreachable is not None:
        yield Attempt(me.role, "pooler", f"{me.database}, its own", None, unreachable)
        return
    neighbours = others[:_NEIGHBOURS]
    for database in (*(other.database for other in neighbours), *PLATFORM_DATABASES, _CONSOLE):
        yield _attempt(me, login, dbname=database)
    for other in neighbours:
        yield _attempt(me, login, user=other.role, dbname=other.database)


def _own_login(platform: Platform, server: Server, me: Names) -> tuple[dict[str, Any], str | None]:
    """Return the parameters that lead to the own database, or those tried last and how the pooler refuses them."""
    login, unreachable = dict[str, Any](), None
    for credential in platform.keys.possible_logins(me.pid):
        login = {**tenant_address(server, platform.settings).parameters, **credential.conninfo_params()}
        unreachable = _enter(login, dbname=me.database)
        if unreachable is None:
            break
    return login, unreachable


def _attempt(me: Names, login: dict[str, Any], **wanted: str) -> Attempt:
    said = _enter(login, **wanted)
    layer = next((layer for words, layer in _LAYERS if said and words in said), None)
    what = " as ".join(filter(None, (wanted["dbname"], wanted.get("user"))))
    return Attempt(me.role, "pooler", what, layer, said if layer is None else None)


def _enter(login: dict[str, Any], **wanted: str) -> str | None:
    """Return how the pooler refuses, or None when it lets us in; wait while it has no connection free."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            parameters: dict[str, Any] = {**login, "connect_timeout": 10, "gssencmode": "disable", **wanted}
            psycopg.connect(**parameters).close()
        except psycopg.OperationalError as error:
            said = str(error)
        else:
            return None
        if _FULL not in said or time.monotonic() > deadline:
            return said
        time.sleep(0.05)
