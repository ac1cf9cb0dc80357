"""Which backups have had their time. Pure."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice

FAILED_DAYS = timedelta(days=7)  # a backup that failed its verification is of use until there are newer ones


@dataclass(frozen=True, slots=True)
class Kept:
    """A finished backup of one tenant, as far as retention cares."""

    id: str
    state: str  # stored, verified, failed or unchanged
    started_at: datetime
    unchanged_since: str | None = None


@dataclass(frozen=True, slots=True)
class Keep:
    """How long backups are kept; beyond `days` the newest verified one of so many weeks, months and years."""

    days: int
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0


@dataclass(frozen=True, slots=True)
class Removable:
    """A backup that has had its time, and why."""

    id: str
    why: str


def removable(backups: Iterable[Kept], now: datetime, keep: Keep) -> list[Removable]:
    """Return what to remove, newest first, so that what refers to another goes before it.

    Only verified backups count: the newest one stays whatever its age, and what is newer, too. One that stands for an
    unchanged database is as young as the last time that was found. What failed its verification goes a week after it
    was made, as soon as a newer verified one exists. Of weeks, months and years (UTC; weeks as in ISO 8601) those count
    that have a backup.
    """
    known = sorted(backups, key=lambda backup: (backup.started_at, backup.id), reverse=True)
    proofs = _proofs(known)
    staying = _staying(proofs, now, keep)
    newest = proofs[0][0] if proofs else None
    found = ((backup, _why(backup, newest, now, keep)) for backup in known if backup.id not in staying)
    return [Removable(backup.id, why) for backup, why in found if why]


def _proofs(known: list[Kept]) -> list[tuple[datetime, str]]:
    """When something was known to be safe, and in which verified backup, newest first."""
    verified = {backup.id for backup in known if backup.state == "verified"}
    stands_on = ((backup.started_at, backup.unchanged_since or backup.id) for backup in known)
    return [(moment, backup_id) for moment, backup_id in stands_on if backup_id in verified]


def _staying(proofs: list[tuple[datetime, str]], now: datetime, keep: Keep) -> set[str]:
    """The verified backups that stay: the last one, the young ones, and those that stand for a time."""
    last = {backup_id for _, backup_id in proofs[:1]}
    young = {backup_id for moment, backup_id in proofs if now - moment <= timedelta(days=keep.days)}
    return last | young | {backup_id for count, name in _periods(keep) for backup_id in _of_each(proofs, count, name)}


def _periods(keep: Keep) -> Iterator[tuple[int, Callable[[datetime], tuple[int, ...]]]]:
    yield keep.weekly, lambda moment: tuple(moment.isocalendar()[:2])
    yield keep.monthly, lambda moment: (moment.year, moment.month)
    yield keep.yearly, lambda moment: (moment.year,)


def _of_each(
    proofs: list[tuple[datetime, str]], count: int, name: Callable[[datetime], tuple[int, ...]]
) -> Iterable[str]:
    newest: dict[tuple[int, ...], str] = {}
    for moment, backup_id in proofs:
        newest.setdefault(name(moment.astimezone(UTC)), backup_id)
    return islice(newest.values(), count)


def _why(backup: Kept, newest: datetime | None, now: datetime, keep: Keep) -> str | None:
    age = now - backup.started_at
    if newest is None or newest <= backup.started_at:
        return None  # whatever it is, there is nothing better
    if age > timedelta(days=keep.days):
        return f"older than {keep.days} days"
    if backup.state == "failed" and age > FAILED_DAYS:
        return f"failed more than {FAILED_DAYS.days} days ago, and a newer one is verified"
    return None
