"""Locks in the control database that end with the process that holds them, however it ends."""

import time
from collections.abc import Generator
from contextlib import contextmanager

import psycopg
from sqlalchemy import text

from ..platform.control.engine import control_params
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


@contextmanager
def shared(platform: Platform, key: str, patience: float = 0.0) -> Generator[bool]:
    """Yield whether this process holds the lock `key` now together with others, which keeps `held` from it.

    Over a connection of its own: many may be held at once, for long, and the control database's pool is small.
    """
    deadline = time.monotonic() + patience
    with psycopg.connect(**control_params(platform.settings, platform.keys), autocommit=True) as conn:
        while not (mine := _try_shared(conn, key)) and time.monotonic() < deadline:
            time.sleep(0.05)
        yield mine  # the lock ends with the connection


def _try_shared(conn: psycopg.Connection[tuple[bool]], key: str) -> bool:
    row = conn.execute("SELECT pg_try_advisory_lock_shared(hashtextextended(%s, 0))", (key,)).fetchone()
    return row is not None and row[0]
