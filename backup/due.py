"""Which tenants are to be backed up now. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

DAY = timedelta(hours=24)
FIRST_RETRY = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Candidate:
    """What is known about the backups of a tenant, or of the control database."""

    tenant_id: str | None  # None: the control database
    interval: timedelta
    last_good: datetime | None  # start of the newest backup that is stored, verified or unchanged
    last_try: datetime | None  # start of the newest backup of any state
    failures: int  # backups that failed since the last good one


def due(candidates: Iterable[Candidate], now: datetime) -> list[str | None]:
    """Return the tenants whose backup is due, the longest unprotected first, and the control database last.

    Due means: none yet, or the newest good one is older than the interval, which never counts as more than a day.
    After a failure the next try waits 5 minutes, then twice as long each time, at most the interval.
    """
    waiting = [candidate for candidate in candidates if _is_due(candidate, now)]
    waiting.sort(key=lambda candidate: (candidate.last_good is not None, candidate.last_good or now))
    found = [candidate.tenant_id for candidate in waiting]
    # Whenever a tenant is backed up, the catalogue changes: the copy of the control database must know of it.
    return [*filter(None, found), None] if found else []


def needs_dump(last_dump: datetime | None, now: datetime) -> bool:
    """Say whether even an unchanged database must be dumped: the newest real dump is a day old."""
    return last_dump is None or now - last_dump >= DAY


def _is_due(candidate: Candidate, now: datetime) -> bool:
    interval = min(candidate.interval, DAY)
    if candidate.last_good is not None and now - candidate.last_good < interval:
        return False
    if candidate.failures == 0 or candidate.last_try is None:
        return True
    return now - candidate.last_try >= min(FIRST_RETRY * 2 ** min(candidate.failures - 1, 10), interval)
