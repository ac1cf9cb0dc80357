"""What a plan says about backups: how often, at what hours, and how long they are kept. Pure."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from ...config.errors import CallError
from ...config.settings import Settings

DAY = timedelta(hours=24)
# A backup that is due is taken within minutes; promise 14 is an alarm an hour after it was missed.
TOLERANCE = timedelta(hours=1)
_BEFORE_CLOSING = timedelta(minutes=15)
_WINDOW = re.compile(r"([01]?[0-9]|2[0-3])-([01]?[0-9]|2[0-4])")


@dataclass(frozen=True, slots=True)
class Window:
    """Hours of the day, UTC, in which backups are taken: from the start of `start` to the start of `end`."""

    start: int
    end: int

    @classmethod
    def parse(cls, text: str) -> "Window":
        """Read `22-05`. Raises `CallError`."""
        found = _WINDOW.fullmatch(text.strip())
        window = cls(int(found[1]), int(found[2]) % 24) if found else None
        if window is None or window.start == window.end:
            raise CallError(f"“{text[:20]}” is no window: write two different hours (UTC) such as 22-05, or any.")
        return window

    def __str__(self) -> str:
        return f"{self.start:02}-{self.end:02}"

    @property
    def length(self) -> timedelta:
        """How long it is open each day; less than a day."""
        return timedelta(hours=(self.end - self.start) % 24)

    @property
    def starting(self) -> timedelta:
        """How long after its opening backups are started: those that wait for a worker still find it open."""
        return self.length - _BEFORE_CLOSING

    def opened(self, now: datetime) -> datetime:
        """Return when it was last opened; `now` is in UTC."""
        today = now.replace(hour=self.start, minute=0, second=0, microsecond=0)
        return today if today <= now else today - DAY

    def is_open(self, now: datetime) -> bool:
        """Say whether it is open at `now` (UTC)."""
        return now - self.opened(now) < self.length


@dataclass(frozen=True, slots=True)
class Policy:
    """What one plan promises. Beyond `days`: the newest verified backup of so many weeks, months, years."""

    interval: timedelta
    days: int
    weekly: int
    monthly: int
    yearly: int
    window: Window | None = None

    @property
    def longest_gap(self) -> timedelta:
        """The most time between two backups: the interval, or what a window makes of it; never more than a day.

        In a window with starts over the time W, at least as long as the interval I, each workspace has starts I apart,
        over W - I rounded down to whole intervals at least; the rest of the day is one gap.
        """
        interval = min(self.interval, DAY)
        if self.window is None:
            return interval
        open_for = self.window.starting
        return DAY if open_for < interval else DAY - interval * ((open_for - interval) // interval)

    @property
    def alarm_after(self) -> timedelta:
        """The age of the newest verified backup at which somebody must be told."""
        return self.longest_gap + TOLERANCE

    @property
    def longest_kept(self) -> timedelta:
        """How long a backup is kept at most as long as there are newer ones, whatever counts it."""
        return timedelta(days=max(self.days, 7 * self.weekly, 31 * self.monthly, 366 * self.yearly))


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a plan sets for itself; None is the installation's setting. `window` is text as `22-05`."""

    interval: int | None = None  # hours
    days: int | None = None
    weekly: int | None = None
    monthly: int | None = None
    yearly: int | None = None
    window: str | None = None


def policy_of(settings: Settings, wishes: Wishes | None = None) -> Policy:
    """Return the policy of a plan, or of the installation (for the control database, and where no plan is known)."""
    wishes = wishes or Wishes()
    return Policy(
        interval=timedelta(hours=wishes.interval or settings.backup_interval_hours),
        days=wishes.days or settings.backup_retention_days,
        weekly=_or(wishes.weekly, settings.backup_keep_weekly),
        monthly=_or(wishes.monthly, settings.backup_keep_monthly),
        yearly=_or(wishes.yearly, settings.backup_keep_yearly),
        window=Window.parse(wishes.window) if wishes.window else None,
    )


def _or(wish: int | None, default: int) -> int:
    return default if wish is None else wish
