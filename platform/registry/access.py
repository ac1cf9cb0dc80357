"""The way into one server: how many connections this process may hold there, and whether the server answers."""

import os
import select
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import psycopg
from sqlalchemy.pool import ConnectionPoolEntry

from ..keys import DatabaseCredential
from .address import TenantAddress
from .breaker import Breaker, ServerUnreachableError
from .budget import Budget
from .connection import ServerFullError, TenantConnection, TenantFullError
from .leases import limit_of

_FULL_PAUSE = 0.05  # seconds until a server that had no room is asked again
_GONE_SECONDS = 1.0  # at most so long closing waits for the server's own end of the sessions
_BUSIEST = 20
# `reserved_connections` is known since PostgreSQL 16.
_CAPACITY = """
    SELECT current_setting('max_connections')::int,
           current_setting('superuser_reserved_connections')::int
           + COALESCE(current_setting('reserved_connections', true)::int, 0)
"""


class ServerAccess:
    """Budget and breaker of one server in this process. Thread-safe."""

    def __init__(self, name: str, most: int, per_tenant: int, wake: Callable[[], None]) -> None:
        """`most` connections at most in this process, once the keeper has been granted them."""
        self.name = name
        self.breaker = Breaker()
        self.budget: Budget[ConnectionPoolEntry] = Budget(
            0, per_tenant, most=most, wake=wake, gate=self.breaker.check, close=close_together
        )
        self.has_lease = threading.Event()
        self.asks_for_limit = False  # set by the keeper while nobody knows how many connections the server takes
        self.limit: int | None = None  # what it answered

    def open(
        self, credential: DatabaseCredential, database: str, address: TenantAddress, timeout: float
    ) -> TenantConnection:
        """Log in as a tenant; wait up to `timeout` seconds while the server itself has no room.

        Raises `UnavailableError`.
        """
        deadline = time.monotonic() + timeout
        while True:
            self.breaker.admit()
            try:
                connection = self._opened(credential, database, address, timeout)
            except TenantFullError:
                raise  # waiting here would keep all others from connecting
            except ServerFullError:
                if time.monotonic() + _FULL_PAUSE >= deadline:
                    raise
                time.sleep(_FULL_PAUSE)
            else:
                self._ask_for_limit(connection)
                return connection

    def stats(self) -> dict[str, Any]:
        """Return the counters, the breaker's state and the busiest tenants."""
        return {
            **asdict(self.budget.counters()),
            "breaker": self.breaker.state,
            "busiest": [asdict(usage) for usage in self.budget.busiest(_BUSIEST)],
        }

    def _opened(
        self, credential: DatabaseCredential, database: str, address: TenantAddress, timeout: float
    ) -> TenantConnection:
        answered = True
        try:
            return TenantConnection.open(credential, database, address.parameters, timeout, pooled=address.pooled)
        except ServerUnreachableError:
            answered = False
            raise
        finally:
            (self.breaker.answered if answered else self.breaker.failed)()

    def _ask_for_limit(self, connection: TenantConnection) -> None:
        if self.asks_for_limit and self.limit is None:
            capacity = connection.execute(_CAPACITY).fetchone()
            connection.rollback()
            assert capacity, "the statement returns one row"
            self.limit = limit_of(*capacity)


def close_together(entries: list[ConnectionPoolEntry]) -> None:
    """Close connections and wait until the server has ended their sessions: only then is there room for others.

    A server keeps the socket open until the session's process is gone, for exactly this purpose (PostgreSQL source,
    `socket_close` in pqcomm.c).
    """
    sockets = [fd for entry in entries if (fd := _socket_of(entry)) is not None]
    try:
        for entry in entries:
            entry.close()
        _wait_until_closed(sockets)
    finally:
        for fd in sockets:
            os.close(fd)


def _socket_of(entry: ConnectionPoolEntry) -> int | None:
    connection = entry.dbapi_connection
    if connection is None or connection.closed:
        return None
    try:
        return os.dup(connection.pgconn.socket)
    except (OSError, psycopg.Error):  # the session is lost
        return None


def _wait_until_closed(sockets: list[int]) -> None:
    poll = select.poll()
    waiting = set(sockets)
    for fd in sockets:
        poll.register(fd, select.POLLIN)
    deadline = time.monotonic() + _GONE_SECONDS
    while waiting and (left := deadline - time.monotonic()) > 0:
        for fd, _ in poll.poll(left * 1000):
            if _is_at_end(fd):
                poll.unregister(fd)
                waiting.discard(fd)


def _is_at_end(fd: int) -> bool:
    try:
        return not os.read(fd, 4096)
    except BlockingIOError:
        return False
    except OSError:
        return True
