"""A tenant's login at the doors of all databases that are not its own, and of all logins that are not its own."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg

from ...platform.servers.records import Server
from ..names import BACKUP, CONTROL, MAINTENANCE, MIGRATOR, PROVISIONER, TEMPLATE, Names
from .attempt import Attempt
from .startup import refusal

PLATFORM_DATABASES = (MAINTENANCE, "template0", "template1", CONTROL, TEMPLATE)

_LAYERS = (
    ("pg_hba.conf", "pg_hba"),
    ("permission denied for database", "access list"),
    ("not currently accepting connections", "connections disallowed"),
    ("permission denied", "privileges"),
    ("must be superuser", "privileges"),
    ("password authentication failed", "credentials"),
    ("not permitted to log in", "credentials"),
)
_BUSY = ("too many", "connection slots", "starting up", "Resource temporarily unavailable")
_PATIENCE = 20.0  # seconds for a server that has no connection free


class Doors:
    """One attacker's way to every door."""

    def __init__(self, server: Server, me: Names, login: dict[str, Any]) -> None:
        """`login`: the parameters with which the server lets `me` into its own database."""
        self._server, self._me, self._login = server, me, login

    def attempts(self, others: Sequence[Names]) -> Iterator[Attempt]:
        """Try every other tenant's database, the platform's, replication, and other logins with this one's keys."""
        for database in [*(other.database for other in others), *PLATFORM_DATABASES]:
            yield self._attempt("connect", database, dbname=database)
        for kind in ("database", "true"):
            yield self._attempt("connect", f"replication={kind}", replication=kind)
        for user, database in self._logins(others):
            yield self._attempt("logins", f"{user} in {database}", user=user, dbname=database)

    def _logins(self, others: Sequence[Names]) -> Iterator[tuple[str, str]]:
        yield from ((PROVISIONER, MAINTENANCE), (CONTROL, CONTROL))
        yield from ((MIGRATOR, self._me.database), (BACKUP, self._me.database), (self._me.owner, self._me.database))
        for other in others[:1]:
            yield other.role, other.database

    def _attempt(self, group: str, what: str, **wanted: str) -> Attempt:
        said = self._enter(wanted)
        layer = next((layer for words, layer in _LAYERS if said and words in said), None)
        return Attempt(self._me.role, group, what, layer, said if layer is None else None)

    def _enter(self, wanted: dict[str, str]) -> str | None:
        """Return how the server refuses, or None when it lets us in; wait while it has no connection free."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            said = self._refused_at_once(wanted) or self._refused_with_proof(wanted)
            if said is None or not any(words in said for words in _BUSY) or time.monotonic() > deadline:
                return said
            time.sleep(0.05)

    def _refused_at_once(self, wanted: dict[str, str]) -> str | None:
        """Ask without a proof: what pg_hba.conf stops is stopped before one is asked for."""
        if not self._server.host.startswith("/"):
            return None  # a TLS handshake would cost more than it saves
        parameters = {"user": str(self._login["user"]), "dbname": self._me.database, **wanted}
        try:
            refused = refusal(self._server.host, self._server.port, database=parameters.pop("dbname"), **parameters)
        except OSError as error:
            return str(error)
        return refused.message if refused else None

    def _refused_with_proof(self, wanted: dict[str, str]) -> str | None:
        parameters: dict[str, Any] = {**self._login, **wanted}
        try:
            psycopg.connect(**parameters).close()
        except psycopg.OperationalError as error:
            return str(error)
        return None
