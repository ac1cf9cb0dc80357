"""How far back one can go, and when which key has had its time. Pure decisions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ...platform.servers.bases import BaseBackup
from .names import day_of, start_of

# Beyond the window: a day's key opens that whole day, and its log belongs to a base backup of the day before or of that
# day. A day more for a base backup that failed.
_MARGIN = timedelta(days=3)


@dataclass(frozen=True, slots=True)
class Window:
    """The moments that a server can go back to, the last of which is now."""

    first: datetime
    last: datetime

    def __str__(self) -> str:
        """In words, for a sentence."""
        return f"{_text(self.first)} to {_text(self.last)}"


@dataclass(frozen=True, slots=True)
class Expiry:
    """What has had its time."""

    bases: list[BaseBackup]
    days: list[str]


def window_of(stored: Sequence[BaseBackup], days: int, now: datetime) -> Window | None:
    """Return the possible moments, given a server's stored base backups; None without any."""
    ends = [base.finished_at for base in stored if base.finished_at]
    return Window(max(min(ends), now - timedelta(days=days)), now) if ends else None


def expired(stored: Sequence[BaseBackup], key_days: Sequence[str], days: int, now: datetime) -> Expiry:
    """Return the base backups and the days of keys that nothing inside the window needs any more.

    The newest base backup before the window leads to its first moment. A key dies at `key_dies_at` whatever else
    happens: an erasure promises that date.
    """
    begin = now - timedelta(days=days)
    if days == 0:
        return Expiry(list(stored), list(key_days))
    needed: list[BaseBackup] = []
    for server in {base.server for base in stored}:
        mine = sorted((base for base in stored if base.server == server), key=lambda base: base.started_at)
        old = [base for base in mine if base.finished_at and base.finished_at <= begin]
        needed += [base for base in mine if not old or base.started_at >= old[-1].started_at]
    alive = [base for base in needed if key_dies_at(base.archive_key, days) > now]
    first = min((base.archive_key for base in alive), default=day_of(begin))
    dead = [day for day in key_days if day < first or key_dies_at(day, days) <= now]
    return Expiry([base for base in stored if base not in alive], dead)


def key_dies_at(day: str, days: int) -> datetime:
    """Return when the key of a day is destroyed at the latest, with a window of so many days."""
    return start_of(day) + timedelta(days=days) + _MARGIN


def _text(moment: datetime) -> str:
    return moment.isoformat(sep="T", timespec="seconds")
