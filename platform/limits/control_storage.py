"""Counts in the control database, for the library `limits`, and for waits that grow."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import InterfaceError, OperationalError, TimeoutError  # noqa: A004  # of the pool

from limits.storage import MovingWindowSupport, Storage

from ...config.errors import StrongroomError
from . import queries
from .delays import FORGOTTEN_AFTER, WAITS

SCHEME = "strongroom-control"


class ControlStorage(Storage, MovingWindowSupport):
    """The storage `strongroom-control://`. Each call is one short transaction on a connection of the engine's pool."""

    STORAGE_SCHEME = [SCHEME]  # noqa: RUF012  # the library's own way to register a storage

    def __init__(self, uri: str | None = None, *, wrap_exceptions: bool = False, **options: Any) -> None:
        """`engine` among the options is the control database's."""
        super().__init__(uri, wrap_exceptions=wrap_exceptions)
        self._engine: Engine = options["engine"]

    @property
    def base_exceptions(self) -> tuple[type[Exception], ...]:
        """What a database that is away raises."""
        return (OperationalError, InterfaceError, TimeoutError, StrongroomError)

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Count `amount` tries if that stays within `limit` in any `expiry` seconds."""
        with self._connected() as conn:
            return queries.acquire(conn, key, limit, expiry, amount)

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:  # noqa: ARG002  # the library's
        """When the window began (Unix time), and how many tries are in it."""
        with self._connected() as conn:
            count, age = queries.window(conn, key, expiry)
        return time.time() - age, count

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count without a limit; nothing here does, the library asks for it."""
        with self._connected() as conn:
            queries.acquire(conn, key, 2**31 - 1, expiry, amount)
            return queries.window(conn, key, expiry)[0]

    def get(self, key: str) -> int:
        """How many tries stand in the row, whenever they were."""
        return self.get_moving_window(key, 0, 2**31 - 1)[1]

    def get_expiry(self, key: str) -> float:  # noqa: ARG002  # moving windows have none
        """Now: a moving window does not end at one moment."""
        return time.time()

    def check(self) -> bool:
        """Whether the database answers."""
        try:
            with self._connected():
                return True
        except self.base_exceptions:
            return False

    def clear(self, key: str) -> None:
        """Forget the tries of one key."""
        with self._connected() as conn:
            queries.clear(conn, key)

    def reset(self) -> int:
        """Forget everything that was counted."""
        with self._connected() as conn:
            return queries.reset(conn)

    @contextmanager
    def _connected(self) -> Generator[Connection]:
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
            yield conn


class ControlDelays:
    """Growing waits, counted in the control database."""

    def __init__(self, engine: Engine) -> None:
        """`engine`: the control database's."""
        self._engine = engine

    def hit(self, key: str) -> float:
        """As `Delays.hit`."""
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
            if queries.try_again(conn, key, WAITS, FORGOTTEN_AFTER):
                return 0
            return queries.wait_left(conn, key) or 1  # the row that was in the way may be gone by now

    def give_back(self, key: str) -> None:
        """As `Delays.give_back`."""
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
            queries.give_back(conn, key)

    def forget(self, key: str) -> None:
        """As `Delays.forget`."""
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
            queries.clear(conn, key)
