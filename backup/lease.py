"""A running backup says that it is alive; one that stops saying so is given up by the collector."""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from . import catalogue

LEASE = timedelta(minutes=5)
RENEWAL_SECONDS = 60.0


def lease_end() -> datetime:
    """Return until when a process that speaks now counts as alive."""
    return datetime.now(UTC) + LEASE


@contextmanager
def kept_alive(control: Engine, backup_id: str) -> Generator[None]:
    """Renew the lease of a backup once a minute, in a thread, for as long as the block runs."""
    done = threading.Event()
    thread = threading.Thread(target=_renew, args=(control, backup_id, done), name="backup-lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _renew(control: Engine, backup_id: str, done: threading.Event) -> None:
    while not done.wait(RENEWAL_SECONDS):
        try:
            with control.begin() as conn:
                catalogue.renew_lease(conn, backup_id, lease_end())
        except SQLAlchemyError:
            continue  # the next minute may be better; after five the backup does not count
