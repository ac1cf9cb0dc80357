"""Real attacks with the tenants' own credentials: what PostgreSQL answers, not what the catalogs say."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from ...platform.keys import DatabaseCredential
from ...platform.servers.records import Server
from ..names import CONTROL, MAINTENANCE, TEMPLATE, Names
from .attacks import Attack, attacks

PLATFORM_DATABASES = (MAINTENANCE, "template0", "template1", CONTROL, TEMPLATE)
# PostgreSQL, appendix A: what a refusal looks like. Anything else is an attack that was never really made.
_REFUSALS = {
    "42501": "privileges",
    "0LP01": "grant rules",
    "0A000": "not supported",
    "55000": "not supported",
    "42704": "not installed",
    "58P01": "not installed",
}
_LAYERS = (
    ("pg_hba.conf", "pg_hba"),
    ("permission denied for database", "access list"),
    ("not currently accepting connections", "connections disallowed"),
    ("permission denied", "privileges"),
    ("must be superuser", "privileges"),
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attack: `layer` is what stopped it, `None` when nothing did."""

    attacker: str
    group: str
    what: str
    layer: str | None


def attack(server: Server, credential: DatabaseCredential, me: Names, others: Sequence[Names]) -> Iterator[Attempt]:
    """Attack as the login of `me`: connect to `others` and to the platform's databases, then break out of its own.

    Raises `psycopg.Error` when the login cannot even enter its own database, so that silence is not taken for safety.
    """
    with psycopg.connect(**_params(server, credential, me.database)) as session:
        session.execute("SELECT FROM app.setting")
        session.rollback()
        for one in attacks(me, others[0] if others else None):
            yield Attempt(me.role, one.group, one.statement, _try(session, one))
    for database in [*(names.database for names in others), *PLATFORM_DATABASES]:
        yield Attempt(me.role, "connect", database, _enter(server, credential, database))
    yield Attempt(me.role, "connect", "replication", _enter(server, credential, me.database, replication="database"))


def _try(session: psycopg.Connection[Any], attack: Attack) -> str | None:
    session.autocommit = attack.alone
    try:
        session.execute(attack.statement)  # pyright: ignore[reportArgumentType, reportCallIssue]  # literals and ids
    except psycopg.Error as error:
        return _REFUSALS.get(error.sqlstate or "", f"error {error.sqlstate}")
    else:
        return None
    finally:
        session.rollback()


def _enter(server: Server, credential: DatabaseCredential, database: str, **more: Any) -> str | None:
    try:
        psycopg.connect(**(_params(server, credential, database) | more)).close()
    except psycopg.OperationalError as error:
        text = str(error)
        return next((layer for words, layer in _LAYERS if words in text), "connection refused")
    return None


def _params(server: Server, credential: DatabaseCredential, database: str) -> dict[str, Any]:
    return {**server.conninfo_params(database), **credential.conninfo_params(), "connect_timeout": 5}
