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
_RETRY_SECONDS = 0.05
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
        try:
            with store.open(name) as file:
                sealed = file.read()
        except NotFoundError as error:
            raise VerificationError(_LACKS.format(piece=piece)) from error
        return pieces.unseal(self.origin, piece, sealed, self.keys.archive(day))

    def has(self, piece: str) -> bool:
        """Say whether the archive holds a piece by now."""
        try:
            self._locate(piece)
        except NotFoundError:
            return False
        return True

    def goes_on_after(self, piece: str) -> bool:
        """Say whether the archive was seen to hold a later piece."""
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
    """Fetches ahead from `first` on and gives what is asked for, until the block of `running` ends.

    `last`: the piece that PostgreSQL has ended for this; what comes before it and is not there yet is waited for, and
    `help_along` is called meanwhile. None: the archive ends where it ends.
    """

    log: Log
    segment_bytes: int
    first: str
    last: str | None
    help_along: Callable[[], object]
    error: StrongroomError | None = None
    _fetching: dict[str, Future[None]] = field(default_factory=dict[str, "Future[None]"])
    _waiting_since: float | None = None

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

    def _feed(self, room: Room, pool: ThreadPoolExecutor, done: threading.Event) -> None:
        coming = self.first
        while not done.is_set():
            coming = self._fetch_ahead(room, pool, coming)
            for piece in room.asked():
                self._serve(room, pool, piece, done)
            done.wait(_POLL_SECONDS)

    def _fetch_ahead(self, room: Room, pool: ThreadPoolExecutor, coming: str) -> str:
        """Begin to fetch what will be asked for, and return where to go on; never far beyond what is missing yet."""
        self._fetching = {piece: future for piece, future in self._fetching.items() if not _is_given(future)}
        while len(self._fetching) + room.stock() < _AHEAD and not self._is_beyond(coming):
            self._begin(room, pool, coming)
            coming = names.next_segment(coming, self.segment_bytes)
        return coming

    def _serve(self, room: Room, pool: ThreadPoolExecutor, piece: str, done: threading.Event) -> None:
        """See to it that a piece that PostgreSQL waits for comes, or that it hears that there is none."""
        if not names.is_segment(piece) or self._is_beyond(piece):
            room.refuse(piece)
            return
        future = self._fetching.get(piece) or self._begin(room, pool, piece)
        if not future.done() or _is_given(future):
            return
        del self._fetching[piece]
        try:
            self._judge(piece, future)
        except StrongroomError as error:
            self.error = self.error or error
            room.refuse(piece)
            return
        if self.last is None and not self.log.has(piece):
            room.refuse(piece)
            return
        with suppress(StrongroomError, OSError):  # it is the archiver's to complain
            self.help_along()
        done.wait(_RETRY_SECONDS)

    def _begin(self, room: Room, pool: ThreadPoolExecutor, piece: str) -> "Future[None]":
        self._fetching[piece] = pool.submit(self._fetch, room, piece)
        return self._fetching[piece]

    def _fetch(self, room: Room, piece: str) -> None:
        room.give(piece, self.log.read(piece))

    def _is_beyond(self, piece: str) -> bool:
        return self.last is not None and piece > self.last

    def _judge(self, piece: str, future: "Future[None]") -> None:
        """Return if a piece may still come. Raises what is wrong otherwise."""
        error = future.exception()
        if isinstance(error, StrongroomError) and not isinstance(error, NotFoundError):
            raise error
        if not isinstance(error, NotFoundError):
            raise FailedError(f"The piece {piece} of the log cannot be read: {error}.") from error
        goes_on = self.log.goes_on_after(piece)  # asked first: a piece is stored before the ones after it
        if self.log.has(piece):
            return
        if goes_on:
            raise VerificationError(_LACKS.format(piece=piece))
        self._waiting_since = self._waiting_since or time.monotonic()
        if time.monotonic() - self._waiting_since > _WAIT_SECONDS:
            raise FailedError(
                f"The piece {piece} of the log is not in the archive after {_WAIT_SECONDS:.0f} s; is the archiver at "
                "work? Run: strongroom status"
            )


def _is_given(future: "Future[None]") -> bool:
    return future.done() and not future.cancelled() and future.exception() is None
