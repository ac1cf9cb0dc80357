"""What a role has that its member does not use: the report of least privilege. Pure, at a given time.

The thresholds follow NIST SP 800-53 AC-2(3) and AC-6(7): inactive accounts and unused privileges are reviewed.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID

from ...web.permissions import Permission, Role, Scope, allowed, scope

ABSENT_FOR: Final = timedelta(days=60)
UNUSED_FOR: Final = timedelta(days=90)
GOVERNING: Final = frozenset(
    one for one in Permission if allowed(Role.ADMIN, one) and not allowed(Role.MEMBER, one)
)  # what an Admin has and a Member has not


@dataclass(frozen=True, slots=True)
class Account:
    """What is known of a member. `role_since` and `last_seen_at` are None where nothing is recorded."""

    id: UUID
    role: Role
    created_at: datetime
    role_since: datetime | None
    last_seen_at: datetime | None
    used: Collection[str]  # values of permissions used within `UNUSED_FOR`
    joined: bool = True


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to look at. `suggestion` is what to do about it."""

    reason: str
    suggestion: str


def first_day(now: datetime) -> date:
    """The first day of which a use still counts as recent."""
    return (now - UNUSED_FOR).date()


def permissions_of(role: Role) -> list[Permission]:
    """What the role permits at all, in the order of the table."""
    return [one for one in Permission if scope(role, one) is not Scope.NONE]


def unused(account: Account) -> list[Permission]:
    """The permissions of the role that were not used of late."""
    return [one for one in permissions_of(account.role) if one.value not in account.used]


def findings(account: Account, recorded_since: date | None, now: datetime) -> list[Finding]:
    """What stands out about a member. `recorded_since`: the first day of which uses are known."""
    if account.last_seen_at is None:
        return [_never(account)]
    if account.role not in (Role.OWNER, Role.ADMIN):
        sees_all = scope(account.role, Permission.SEE) is Scope.ALL
        return _absent(account, now, "could be removed") if sees_all else []
    step_down = "could be Member" if account.role is Role.ADMIN else "could be Admin or Member, if another Owner stays"
    found = _absent(account, now, step_down)
    if not found and _uses_nothing(account, recorded_since, now):
        found = [Finding(f"has used no {account.role.label} permission for {UNUSED_FOR.days} days", step_down)]
    return found


def is_idle(created_at: datetime, last_used_at: datetime | None, now: datetime) -> bool:
    """Whether something, such as an API token, was not used for 90 days."""
    return now - (last_used_at or created_at) >= UNUSED_FOR


def _never(account: Account) -> Finding:
    how = "has never signed in" if account.joined else "was entered by an import and never joined"
    return Finding(how, "could be removed")


def _absent(account: Account, now: datetime, suggestion: str) -> list[Finding]:
    if account.last_seen_at is None or now - account.last_seen_at < ABSENT_FOR:
        return []
    return [Finding(f"was not here for {(now - account.last_seen_at).days} days", suggestion)]


def _uses_nothing(account: Account, recorded_since: date | None, now: datetime) -> bool:
    """Only where uses were recorded, and the role was held, for long enough to tell."""
    held_since = account.role_since or account.created_at
    if recorded_since is None or recorded_since > first_day(now) or now - held_since < UNUSED_FOR:
        return False
    return not any(one.value in account.used for one in GOVERNING)
