"""Gives a recovering instance the pieces of the log that it asks for, and fetches ahead the ones that it will."""

import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from ...config.errors import FailedError, NotFoundError, StrongroomError, VerificationError
from ...platform.keys import KeyStore
from ...provisioning.postgres.recovering import Room
from ..stores.contract import Store
from . import names, pieces

_AHEAD = 6  # pieces of 16 MB
_PARALLEL = 3
_POLL_SECONDS = 0.005
_LACKS = "The archive lacks the piece {piece} of the log: there is no way to that time."
_WAIT_SECONDS = 120.0  # for a piece that PostgreSQL has finished just now


@dataclass
class Log:
    """The archived log of one server, from a day on."""

    stores: list[Store]
    keys: KeyStore
    origin: pieces.Origin
    first_day: str
    _found: dict[str, tuple[Store, str, str]] = field(default_factory=dict[str, tuple[Store, str, str]])
    _days: list[str] = field(default_factory=list[str])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def read(self, piece: str) -> bytes:
        """Return a piece. Raises `NotFoundError`, `VerificationError`, `KeyMissingError`."""
        store, name, day = self._locate(piece)
        with store.open(name) as file:
            sealed = file.read()
        return pieces.unseal(self.origin, piece, sealed, self.keys.archive(day))

    def goes_on_after(self, piece: str) -> bool:
        """Say whether the archive holds a later piece."""
        with self._lock:
            return any(name > piece for name in self._found if names.is_segment(name))

    def _locate(self, piece: str) -> tuple[Store, str, str]:
        with self._lock:
            while piece not in self._found and (day := self._next_day()):
                self._list(day)
            if piece not in self._found:  # what has come since
                for day in self._days[-2:]:
                    self._list(day)
            if piece not in self._found:
                raise NotFoundError(f"The archive has no piece {piece} of the log.")
            return self._found[piece]

    def _next_day(self) -> str | None:
        day = names.day_of(names.start_of(self._days[-1]) + timedelta(days=1)) if self._days else self.first_day
        if day > names.day_of(datetime.now(UTC)):
            return None
        self._days.append(day)
        return day

    def _list(self, day: str) -> None:
        folder = names.log_folder(self.origin.server, self.origin.system_id, day)
        for store in self.stores:
            for found in store.list(folder):
                piece = found.name.rpartition("/")[2].removesuffix(".age").upper()
                self._found.setdefault(piece, (store, found.name, day))


@dataclass
class Feeder:
    """Gives what is asked for, until the block of `running` ends.

    `last`: the piece that PostgreSQL has ended for this; what comes before it and is not there yet is waited for, and
    `help_along` is called meanwhile.
    """

    log: Log
    segment_bytes: int
    last: str | None
    help_along: Callable[[], object]
    error: StrongroomError | None = None
    given: int = 0
    _fetched: dict[str, Future[bytes]] = field(default_factory=dict[str, "Future[bytes]"])

    @contextmanager
    def running(self, room: Room) -> Generator[None]:
        """Feed the instance while the block runs. Raises the first thing that went wrong with the archive, if any."""
        done = threading.Event()
        with ThreadPoolExecutor(_PARALLEL, "log-fetch") as pool:
            thread = threading.Thread(target=self._feed, args=(room, pool, done), name="log-feed")
            thread.start()
            try:
                yield
            except StrongroomError as error:
                if self.error is not None:
                    raise self.error from error
                raise
            finally:
                done.set()
                thread.join()
                pool.shutdown(wait=True, cancel_futures=True)

    def fetch_ahead(self, pool: ThreadPoolExecutor, piece: str) -> None:
        """Begin to fetch a piece and those after it."""
        for _ in range(_AHEAD):
            if self.last is not None and piece > self.last:
                return
            if piece not in self._fetched:
                self._fetched[piece] = pool.submit(self.log.read, piece)
            piece = names.next_segment(piece, self.segment_bytes)

    def _feed(self, room: Room, pool: ThreadPoolExecutor, done: threading.Event) -> None:
        while not done.is_set():
            asked = room.asked()
            for piece in asked:
                self._answer(room, pool, piece, done)
            if not asked:
                done.wait(_POLL_SECONDS)

    def _answer(self, room: Room, pool: ThreadPoolExecutor, piece: str, done: threading.Event) -> None:
        try:
            content = self._piece(pool, piece, done) if names.is_segment(piece) else None
        except StrongroomError as error:
            self.error, content = self.error or error, None
        if content is None:
            room.refuse(piece)
        else:
            room.give(piece, content)
            self.given += 1

    def _piece(self, pool: ThreadPoolExecutor, piece: str, done: threading.Event) -> bytes | None:
        """Return a piece; None if the archive ends before it."""
        deadline = time.monotonic() + _WAIT_SECONDS
        while not done.is_set():
            self.fetch_ahead(pool, piece)
            if piece not in self._fetched:
                return None
            try:
                return self._fetched.pop(piece).result()
            except NotFoundError:
                if self.log.goes_on_after(piece):
                    raise VerificationError(_LACKS.format(piece=piece)) from None
                if self.last is None:
                    return None
                self._check_patience(piece, deadline)
            with suppress(StrongroomError, OSError):  # it is the archiver's to complain
                self.help_along()
            done.wait(0.05)
        return None

    def _check_patience(self, piece: str, deadline: float) -> None:
        if time.monotonic() > deadline:
            raise FailedError(
                f"The piece {piece} of the log is not in the archive after {_WAIT_SECONDS:.0f} s; is the archiver at "
                "work? Run: strongroom status"
            )
