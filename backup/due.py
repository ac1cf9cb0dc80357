"""Which tenants are to be backed up now. Pure.

Each tenant has start times of its own: an interval apart, shifted by a part of the interval that follows from its id.
However many tenants come in one day, each minute then starts as many backups as any other.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ..platform.protection.policy import DAY, Window

FIRST_RETRY = timedelta(minutes=5)
CONTROL_PAUSE = timedelta(hours=1)
CLOCK_ERROR = timedelta(minutes=5)  # of two machines; what is later than that was recorded by a wrong clock
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Candidate:
    """What is known about the backups of a tenant, or of the control database."""

    tenant_id: str | None  # None: the control database
    interval: timedelta
    last_good: datetime | None  # start of the newest backup that is stored, verified or unchanged
    last_try: datetime | None  # start of the newest backup of any state
    failures: int  # backups that failed since the last good one
    window: Window | None = None  # None: at any hour


def due(candidates: Iterable[Candidate], now: datetime) -> list[str | None]:
    """Return the tenants whose backup is due, the longest unprotected first, and the control database last.

    Due means: none yet; or one of the tenant's start times has passed since the newest good one, and the window is
    open; or that one is a day old, whatever is configured. After a failure the next try waits 5 minutes, then twice as
    long each time, at most the interval. The control database is also due an hour after its last copy when there are
    backups that this copy does not know of.
    """
    every, now = list(candidates), now.astimezone(UTC)
    waiting = [one for one in every if one.tenant_id is not None and _is_due(one, now)]
    waiting.sort(key=lambda one: (_past(one.last_good, now) is not None, one.last_good or now))
    control = [None for one in every if one.tenant_id is None and _is_control_due(one, every, now)]
    return [*(one.tenant_id for one in waiting), *control]


def needs_dump(last_dump: datetime | None, now: datetime) -> bool:
    """Say whether even an unchanged database must be dumped: the newest real dump is a day old, or of the future."""
    return last_dump is None or now - last_dump >= DAY or last_dump > now + CLOCK_ERROR


def last_start(candidate: Candidate, now: datetime) -> datetime:
    """Return the newest of the candidate's start times that is not after `now` (UTC)."""
    interval = min(candidate.interval, DAY)
    if candidate.window is None:
        shifted = _EPOCH + interval * _fraction(candidate)
        return now - (now - shifted) % interval
    opened = candidate.window.opened(now)
    starts = _starts_in(candidate, opened - DAY) + _starts_in(candidate, opened)
    return max(start for start in starts if start <= now)


def _starts_in(candidate: Candidate, opened: datetime) -> list[datetime]:
    """The start times in the window that was opened then: one at least."""
    assert candidate.window is not None
    length, interval = candidate.window.starting, min(candidate.interval, DAY)
    first = min(interval, length) * _fraction(candidate)
    return [opened + first + interval * number for number in range((length - first) // interval + 1)]


def _fraction(candidate: Candidate) -> float:
    """A number from 0 to 1, the same for the same tenant always, and spread evenly over many."""
    return int.from_bytes(hashlib.sha256((candidate.tenant_id or "control").encode()).digest()[:6]) / (1 << 48)


def _is_control_due(control: Candidate, every: list[Candidate], now: datetime) -> bool:
    if _is_due(control, now):
        return True
    good = _past(control.last_good, now)
    if good is None or now - good < CONTROL_PAUSE or not _may_retry(control, now):
        return False
    return any(one.tenant_id and (moment := _past(one.last_good, now)) and moment > good for one in every)


def _is_due(candidate: Candidate, now: datetime) -> bool:
    good = _past(candidate.last_good, now)
    return (good is None or _is_time(candidate, good, now)) and _may_retry(candidate, now)


def _is_time(candidate: Candidate, good: datetime, now: datetime) -> bool:
    if now - good >= DAY:
        return True
    is_open = candidate.window is None or candidate.window.is_open(now)
    return is_open and good < last_start(candidate, now)


def _may_retry(candidate: Candidate, now: datetime) -> bool:
    tried = _past(candidate.last_try, now)
    if candidate.failures == 0 or tried is None:
        return True
    wait = FIRST_RETRY * 2 ** min(candidate.failures - 1, 10)
    return now - tried >= min(wait, candidate.interval, DAY)


def _past(moment: datetime | None, now: datetime) -> datetime | None:
    """None for what a clock has recorded that was ahead: it must not keep anything from being done now."""
    return moment if moment is None or moment <= now + CLOCK_ERROR else None
