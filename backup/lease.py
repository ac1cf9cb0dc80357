"""A running backup says that it is alive; one that stops saying so is given up by the collector."""

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from . import catalogue

LEASE = timedelta(minutes=5)
RENEWAL_SECONDS = 60.0

Renew = Callable[[Connection, str, datetime], object]


def lease_end() -> datetime:
    """Return until when a process that speaks now counts as alive."""
    return datetime.now(UTC) + LEASE


@contextmanager
def kept_alive(control: Engine, backup_id: str, renew: Renew = catalogue.renew_lease) -> Generator[None]:
    """Renew the lease of a backup once a minute, in a thread, for as long as the block runs.

    `renew` does it, where it is not a tenant's backup.
    """
    done = threading.Event()
    thread = threading.Thread(target=_renew, args=(control, backup_id, done, renew), name="backup-lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _renew(control: Engine, backup_id: str, done: threading.Event, renew: Renew) -> None:
    while not done.wait(RENEWAL_SECONDS):
        try:
            with control.begin() as conn:
                renew(conn, backup_id, lease_end())
        except SQLAlchemyError:
            continue  # the next minute may be better; after five the backup does not count
