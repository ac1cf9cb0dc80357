"""Takes finished pieces of the log from the spool into the backup store, encrypted under the key of their day.

Killed at any moment it loses nothing: a piece leaves the spool once its object is durable, and one that was stored but
is still in the spool is compared and let go. One archiver works at a time.
"""

import logging
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ...config.errors import RefusedError, StrongroomError, VerificationError
from ...config.settings import Settings
from ...platform.keys import KeyStore
from ...provisioning.postgres.embedded import EmbeddedServer
from ...provisioning.postgres.locks import FileLock
from ...provisioning.postgres.setup import EMBEDDED_NAME
from ...provisioning.postgres.spool import Spool, archiver_lock
from ..stores.contract import Store
from . import names, pieces
from .places import archive_store
from .window import key_dies_at

_IDLE_SECONDS = 0.1
_PAUSE_SECONDS = (1.0, 60.0)  # after a failure, doubled each time up to the second

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Archiver:
    """What carries the log of a home's embedded server to its store."""

    settings: Settings
    keys: KeyStore
    store: Store
    spool: Spool

    def run_once(self, now: datetime | None = None) -> int:
        """Store what waits in the spool, the oldest first; return how many pieces left it. Raises `FailedError`.

        A piece whose object in the store is another one stays where it is: `VerificationError`, after the others.
        Where no way back is wanted any more, the spool is closed.
        """
        if self.settings.point_in_time_days == 0 and self.spool.is_open():
            self.spool.close()
        waiting = self.spool.waiting()
        if not waiting:
            return 0
        origin, wrong = pieces.Origin(EMBEDDED_NAME, self.spool.system_id()), list[VerificationError]()
        for path in waiting:
            try:
                self._archive(origin, path, now or datetime.now(UTC))
            except VerificationError as error:
                wrong.append(error)
        if wrong:
            raise wrong[0]
        return len(waiting)

    def _archive(self, origin: pieces.Origin, path: Path, now: datetime) -> None:
        day = names.day_of(datetime.fromtimestamp(path.stat().st_mtime, UTC))
        if key_dies_at(day, self.settings.point_in_time_days) > now:  # else it has waited longer than anybody wants it
            self._store(origin, path.name, path.read_bytes(), day)
        path.unlink()

    def _store(self, origin: pieces.Origin, piece: str, content: bytes, day: str) -> None:
        keys = self.keys.create_archive(day)
        name = names.piece_object(origin.server, origin.system_id, day, piece)
        if self.store.exists(name):
            self._compare(origin, piece, content, name, day)
            return
        sealed = pieces.seal(origin, piece, content, keys)
        try:
            with self.store.create(name) as target:
                target.write(sealed)
        except RefusedError:  # two archivers, whatever the lock says
            self._compare(origin, piece, content, name, day)

    def _compare(self, origin: pieces.Origin, piece: str, content: bytes, name: str, day: str) -> None:
        with self.store.open(name) as file:
            stored = pieces.unseal(origin, piece, file.read(), self.keys.archive(day))
        if stored != content:
            raise VerificationError(f"The archive has another piece {piece} of the log than PostgreSQL.")


def open_archiver(settings: Settings, keys: KeyStore) -> Archiver:
    """Return the archiver of a home."""
    return Archiver(settings, keys, archive_store(settings), EmbeddedServer(settings).spool)


def archive_once(settings: Settings) -> int | None:
    """Archive what waits now; return how many pieces, None if another archiver is at work."""
    with only_one(settings) as mine:
        return open_archiver(settings, KeyStore.open(settings)).run_once() if mine else None


def run_archiver(settings: Settings, announce: Callable[[], None] = lambda: None) -> None:
    """Archive until this process is told to end; a store that fails is tried again, less and less often."""
    lock = FileLock(archiver_lock(settings))
    lock.take()
    announce()
    archiver, pause = open_archiver(settings, KeyStore.open(settings)), 0.0
    while True:
        try:
            archiver.run_once()
            pause = 0.0
        except (StrongroomError, OSError) as error:
            pause = min(_PAUSE_SECONDS[1], max(_PAUSE_SECONDS[0], pause * 2))
            _logger.warning("The log is not archived: %s The next try is in %.0f s.", error, pause)
        time.sleep(pause or _IDLE_SECONDS)


@contextmanager
def only_one(settings: Settings) -> Generator[bool]:
    """Yield whether this process is the one archiver of the home; others may be at work."""
    lock = FileLock(archiver_lock(settings))
    try:
        yield lock.try_take()
    finally:
        lock.close()
