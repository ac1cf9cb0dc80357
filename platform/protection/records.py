"""How a workspace, or the control database, stands: pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from .policy import Policy

CONTROL = "control"


@dataclass(frozen=True, slots=True)
class Standing:
    """One thing that is backed up. `since`: when it came to be; `verified`: start of its newest verified backup.

    A finding that nothing has changed counts as a backup, as long as what it stands on is verified.
    """

    tenant_id: str | None  # None: the control database
    label: str
    policy: Policy
    since: datetime
    verified: datetime | None

    @property
    def protected_until(self) -> datetime:
        """From when on its newest verified backup is too old."""
        return (self.verified or self.since) + self.policy.alarm_after


def late(standings: Iterable[Standing], now: datetime) -> list[Standing]:
    """Return those whose newest verified backup is older than their policy and an hour, the worst first."""
    return sorted(
        (one for one in standings if one.protected_until < now), key=lambda one: (one.verified or one.since, one.label)
    )


@dataclass(frozen=True, slots=True)
class Damaged:
    """A backup that was whole and failed a verification."""

    backup_id: str
    tenant_id: str | None
    label: str
    failure: str


@dataclass(frozen=True, slots=True)
class Lacking:
    """A thing whose newest backup lacks receipts that were lost at their origin."""

    backup_id: str
    tenant_id: str
    label: str
    receipts: int


@dataclass(frozen=True, slots=True)
class DamagedCopy:
    """A copy of a backup that was found damaged or missing in one store."""

    backup_id: str
    store: str
    label: str
    failure: str
