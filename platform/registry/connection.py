"""A psycopg connection of one tenant that can tell, without a round trip, whether it may be used (again)."""

import select
from typing import Any

import psycopg
from psycopg.pq import ConnStatus, TransactionStatus

from ...config.errors import UnavailableError
from ..keys import DatabaseCredential
from .breaker import ServerUnreachableError

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
_SETTINGS = {
    "search_path": "pg_catalog",
    "TimeZone": "UTC",
    "statement_timeout": "60s",
    "idle_in_transaction_session_timeout": "60s",
}
_OPTIONS = " ".join(f"-c {name}={value}" for name, value in _SETTINGS.items())
# A pooler starts the server's session itself, without our options, so there they come in front of the first question.
_SET = "".join(f"SET {name} = '{value}';" for name, value in _SETTINGS.items()).encode()
_WHO = b"SELECT pg_catalog.current_database(), session_user"
# libpq passes on no error code of a login that failed, so the server's words have to do (53300; PgBouncer's own).
_NO_ROOM = ("too many clients", "remaining connection slots", "no more connections allowed")
_NO_ROOM_FOR_TENANT = ("too many connections for role", "too many connections for database")
_NOT_SERVING = ("the database system is", "terminating connection")  # 57P01 to 57P03: it starts, stops or recovers


class ServerFullError(UnavailableError):
    """Raised when a server has no room for one more connection."""

    def __init__(self) -> None:
        super().__init__("Too many people are using this right now; try again in a moment.", retry_after=2)


class TenantFullError(ServerFullError):
    """Raised when a server has room, but not for one more connection of this tenant."""


class TenantConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection that knows which database and role it was made for."""

    _poll: select.poll
    _reported: tuple[bytes | None, ...]
    _whose: tuple[str, str]  # database and role, by the server's own word: a session keeps both until its end

    @classmethod
    def open(
        cls,
        credential: DatabaseCredential,
        database: str,
        address: dict[str, Any],
        timeout: float,
        *,
        pooled: bool = False,
    ) -> "TenantConnection":
        """Log in as the tenant's own role and make sure that the server says so too.

        `address` and `pooled` are what `tenant_address` returns; `timeout` is in seconds. Raises
        `ServerUnreachableError` when the server does not answer, `ServerFullError` when it has no room, and
        `UnavailableError` when it refuses.
        """
        parameters: dict[str, Any] = {
            **address,
            "dbname": database,
            "connect_timeout": max(2, round(timeout)),  # libpq treats 1 as 2
            "application_name": "strongroom",
            **({} if pooled else {"options": _OPTIONS}),
            "require_auth": "scram-sha-256",
            "gssencmode": "disable",
            **credential.conninfo_params(),
        }
        try:
            connection = cls.connect(**parameters)
        except psycopg.OperationalError as error:
            raise _failure(str(error)) from error
        try:
            connection._remember(database, credential.role, _SET + _WHO if pooled else _WHO)
        except BaseException:
            connection.close()
            raise
        return connection

    def belongs_to(self, database: str, role: str) -> bool:
        """Say whether this is a session of `role` in `database`."""
        return self._whose == (database, role)

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

    def _remember(self, database: str, role: str, question: bytes) -> None:
        # Not taken from our own parameters: a pooler or a wrong address in between would agree with those.
        answer = self.pgconn.exec_(question)
        if self.pgconn.status != ConnStatus.OK:
            raise ServerUnreachableError
        if (answer.get_value(0, 0), answer.get_value(0, 1)) != (database.encode(), role.encode()):
            raise UnavailableError("The database of this workspace cannot be reached right now.")
        self._whose = database, role
        self._reported = self._report()
        self._poll = select.poll()
        self._poll.register(self.pgconn.socket, select.POLLIN)

    def _report(self) -> tuple[bytes | None, ...]:
        return tuple(map(self.pgconn.parameter_status, _REPORTED))


def _failure(said: str) -> UnavailableError:
    """Return what a login that failed with these words means."""
    if any(phrase in said for phrase in _NO_ROOM_FOR_TENANT):
        return TenantFullError()
    if any(phrase in said for phrase in _NO_ROOM):
        return ServerFullError()
    if "FATAL" in said and not any(phrase in said for phrase in _NOT_SERVING):
        return UnavailableError("The database of this workspace cannot be reached right now.")
    return ServerUnreachableError()
