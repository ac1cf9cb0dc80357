"""Scrubbing: backups are read again where they lie, before anybody needs them.

Each copy's descriptor is opened, its object and its receipts are hashed; nothing is decrypted or restored. A receipt
that several backups of a workspace name is read once in a pass. A copy that is bad counts for nothing; a backup that
has no other copy has failed its verification.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from ..config.errors import CallError, NotFoundError, StrongroomError, VerificationError
from ..platform.control.platform import Platform
from . import catalogue, copy_checks, names
from .copy_checks import CHECKABLE, Copy
from .progress import Event, Progress, silent
from .stores.contract import Store
from .stores.opening import open_store
from .subject import identity_of
from .tools import CHUNK
from .verify import check_receipt, read_descriptor, require_not_empty

EVERY = timedelta(days=30)  # each copy is read again about once in this time
DEFAULT_RATE = 50.0  # MB/s of a pass that somebody waits for
QUIET_RATE = 10.0  # MB/s of the worker's passes
_HOURS = EVERY // timedelta(hours=1)
_BAD = (VerificationError, NotFoundError, CallError)  # CallError: a name that can be no object's

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Checked:
    """A copy that was read again. `error`: what is wrong, or why it could not be read now (`FailedError`)."""

    copy: Copy
    error: StrongroomError | None


class Pace:
    """Keeps reading at or below a rate, in bytes per second, over the whole of its life."""

    def __init__(
        self,
        rate: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`rate` in bytes per second."""
        self._rate = rate
        self._clock = clock
        self._sleep = sleep
        self._began = clock()
        self.moved = 0

    def __call__(self, length: int) -> None:
        """Count `length` bytes, and wait until they may have been read."""
        self.moved += length
        ahead = self.moved / self._rate - self.seconds
        if ahead > 0:
            self._sleep(ahead)

    @property
    def seconds(self) -> float:
        """Since it began."""
        return self._clock() - self._began


@dataclass(slots=True)
class _Pass:
    """One pass over copies, and the receipts that it has read already, by store."""

    platform: Platform
    pace: Pace
    receipts: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    bad_receipts: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    stores: dict[str, Store] = field(default_factory=dict[str, Store])

    def store(self, name: str) -> Store:
        if name not in self.stores:
            self.stores[name] = open_store(self.platform.settings, name)
        return self.stores[name]


def scrub(
    platform: Platform, copies: Sequence[Copy], *, rate: float = DEFAULT_RATE, progress: Progress = silent
) -> list[Checked]:
    """Read copies again at `rate` MB/s at most; record and return what was found, in the order of `copies`."""
    work = _Pass(platform, Pace(rate * 1e6))
    size, done = sum(copy.backup.size or 0 for copy in copies), 0
    found: list[Checked] = []
    for number, copy in enumerate(copies, 1):
        found.append(_scrub_one(work, copy))
        done += copy.backup.size or 0
        left = work.pace.seconds / done * (size - done) if done else None
        word = f"{copy.store}: {'damaged' if found[-1].error else 'good'}"
        progress(Event(copy.backup.label, word, number, len(copies), work.pace.moved, None, work.pace.seconds, left))
    return found


def all_copies(platform: Platform, slug: str | None = None) -> list[Copy]:
    """Return every copy that is said to be good, by workspace and store. Raises `NotFoundError`."""
    with platform.control.connect() as conn:
        return copy_checks.copies(conn, platform.settings, slug)


def longest_unchecked(platform: Platform, now: datetime) -> list[Copy]:
    """Return the copies that the worker reads again in this hour: those of one workspace in one store, or of more.

    Over 30 days all have their turn. Those of a workspace come together, because they share its receipts.
    """
    with platform.control.connect() as conn:
        groups = copy_checks.longest_unchecked(conn, platform.settings, now - EVERY, _HOURS)
        every = copy_checks.copies(conn, platform.settings)
    return [copy for copy in every if (copy.backup.tenant_id, copy.store) in groups]


def is_good_elsewhere(platform: Platform, copy: Copy) -> bool:
    """Say whether a copy was found bad, of a backup that another store has."""
    with platform.control.connect() as conn:
        return copy_checks.is_bad(conn, copy) and catalogue.by_id(conn, copy.backup.id).state in CHECKABLE


def make_room(platform: Platform, copy: Copy, receipts: Sequence[str] = ()) -> None:
    """Remove a bad copy, so that `copies` makes a good one: nothing in a store is ever overwritten.

    `receipts`: names of objects that are bad, too.
    """
    try:
        store = open_store(platform.settings, copy.store, pruning=True)
        names.remove_objects(store, copy.backup.object or "")
        for name in receipts:
            store.delete(name)
    except StrongroomError as error:
        _logger.warning("The bad copy of %s in %s cannot be replaced yet: %s", copy.backup.id, copy.store, error)


def _scrub_one(work: _Pass, copy: Copy) -> Checked:
    try:
        # A key that is missing or damaged, as a store that is away, says nothing about the copy.
        identity, store = identity_of(work.platform, copy.backup.tenant_id), work.store(copy.store)
        bad = _found_bad(work, store, copy, identity)
    except StrongroomError as error:
        return Checked(copy, error)
    with work.platform.control.begin() as conn:
        if bad is None:
            copy_checks.mark_checked(conn, copy, datetime.now(UTC))
            return Checked(copy, None)
        is_last = copy_checks.mark_bad(conn, copy, bad, datetime.now(UTC))
    if not is_last:
        own = names.folder(copy.backup.tenant_id) + "/"
        bad_ones = [name for store, name in work.bad_receipts if store == copy.store and name.startswith(own)]
        make_room(work.platform, copy, bad_ones)
    more = "" if is_last else " Other copies are good."
    return Checked(copy, VerificationError(f"The copy of {copy.backup.id} in “{copy.store}”: {bad}{more}"))


def _found_bad(work: _Pass, store: Store, copy: Copy, identity: str) -> str | None:
    """Return what is wrong with a copy, if anything. Raises `FailedError` when that cannot be said now."""
    try:
        descriptor = read_descriptor(store, copy.backup, identity)
        if _hash(store, descriptor.object, work.pace) != (descriptor.size, descriptor.sha256):
            return "Its object is not the one that was stored."
        _check_receipts(work, store, copy, (receipt.sha256 for receipt in descriptor.receipts))
    except _BAD as error:
        if isinstance(error, NotFoundError):
            require_not_empty(store)
        return str(error)
    return None


def _check_receipts(work: _Pass, store: Store, copy: Copy, wanted: Iterable[str]) -> None:
    for sha256 in wanted:
        key = copy.store, names.receipt_object(copy.backup.tenant_id or "", sha256)
        if key not in work.receipts:
            try:
                work.pace(check_receipt(store, copy.backup, sha256))
            except _BAD:
                work.bad_receipts.add(key)
                raise
            work.receipts.add(key)


def _hash(store: Store, name: str, pace: Pace) -> tuple[int, str]:
    found, size = hashlib.sha256(), 0
    with store.open(name) as file:
        while data := file.read(CHUNK):
            found.update(data)
            size += len(data)
            pace(len(data))
    return size, found.hexdigest()
