"""Locks in the control database that end with the process that holds them, however it ends."""

import time
from collections.abc import Generator
from contextlib import contextmanager

from sqlalchemy import text

from ..platform.control.platform import Platform

_TRY_LOCK = text("SELECT pg_try_advisory_lock(hashtextextended(:key, 0))")
_UNLOCK = text("SELECT pg_advisory_unlock(hashtextextended(:key, 0))")


@contextmanager
def held(platform: Platform, key: str, patience: float = 0.0) -> Generator[bool]:
    """Yield whether this process holds the lock `key` now; tries for `patience` seconds."""
    deadline = time.monotonic() + patience
    with platform.control.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        while not (mine := conn.execute(_TRY_LOCK, {"key": key}).scalar_one()) and time.monotonic() < deadline:
            time.sleep(0.05)
        try:
            yield mine
        finally:
            if mine:
                conn.execute(_UNLOCK, {"key": key})
