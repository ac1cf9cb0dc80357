"""A psycopg connection of one tenant that can tell, without a round trip, whether it may be used (again)."""

import select
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from ...config.errors import UnavailableError
from ..keys import DatabaseCredential

# Parameters that the server reports after every change (libpq documentation, PQparameterStatus; `search_path` since
# 18). A connection that comes back with another value carries a request's `SET` and is not used again.
_REPORTED = (
    b"session_authorization",
    b"search_path",
    b"TimeZone",
    b"DateStyle",
    b"IntervalStyle",
    b"client_encoding",
    b"application_name",
    b"default_transaction_read_only",
    b"standard_conforming_strings",
)
# Nothing is looked up by search path: all SQL is qualified. The time limits end what a lost client left behind.
_OPTIONS = (
    "-c search_path=pg_catalog -c TimeZone=UTC -c statement_timeout=60s -c idle_in_transaction_session_timeout=60s"
)


class TenantConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection that knows which database and role it was made for."""

    _poll: select.poll
    _reported: tuple[bytes | None, ...]

    @classmethod
    def open(
        cls, credential: DatabaseCredential, database: str, host: str, port: int, timeout: float
    ) -> "TenantConnection":
        """Log in as the tenant's own role and make sure that the server says so too.

        Raises `UnavailableError` when the server cannot be reached or refuses.
        """
        parameters: dict[str, Any] = {
            "host": host,
            "port": port,
            "dbname": database,
            "connect_timeout": max(2, round(timeout)),  # libpq treats 1 as 2
            "application_name": "strongroom",
            "options": _OPTIONS,
            "require_auth": "scram-sha-256",
            "gssencmode": "disable",
            "sslmode": "disable" if host.startswith("/") else "require",
            **credential.conninfo_params(),
        }
        try:
            connection = cls.connect(**parameters)
        except psycopg.OperationalError as error:
            raise UnavailableError("The database of this workspace cannot be reached right now.") from error
        try:
            connection._remember(database, credential.role)
        except BaseException:
            connection.close()
            raise
        return connection

    def belongs_to(self, database: str, role: str) -> bool:
        """Say whether this is a session of `role` in `database`."""
        pgconn = self.pgconn
        return pgconn.db == database.encode() and pgconn.user == role.encode()

    def is_alive(self) -> bool:
        """Say whether the server has kept the idle session: one that it ended has something to read."""
        return not self.closed and not self._poll.poll(0)

    def set_idle_autocommit(self, on: bool) -> None:  # mirrors psycopg's own `set_autocommit(value)`
        """Do what `autocommit = on` does for a session without a transaction, at a tenth of the time.

        Raises `RuntimeError` inside a transaction.
        """
        if self.pgconn.transaction_status != TransactionStatus.IDLE:
            raise RuntimeError("A transaction is open.")
        self._autocommit = on

    def comes_back_clean(self) -> bool:
        """Roll back what is open and say whether nothing of the last use is left."""
        if self.closed:
            return False
        if self.pgconn.transaction_status != TransactionStatus.IDLE:
            try:
                self.rollback()
            except psycopg.Error:
                return False
            if self.pgconn.transaction_status != TransactionStatus.IDLE:
                return False
        self._autocommit = False
        return self._reported == self._report()

    def _remember(self, database: str, role: str) -> None:
        # Not taken from our own parameters: a pooler or a wrong address in between would agree with those.
        answer = self.pgconn.exec_(b"SELECT pg_catalog.current_database(), session_user")
        if (answer.get_value(0, 0), answer.get_value(0, 1)) != (database.encode(), role.encode()):
            raise UnavailableError("The database of this workspace cannot be reached right now.")
        self._reported = self._report()
        self._poll = select.poll()
        self._poll.register(self.pgconn.socket, select.POLLIN)

    def _report(self) -> tuple[bytes | None, ...]:
        return tuple(map(self.pgconn.parameter_status, _REPORTED))
