"""The one place that says which states a tenant has and which transitions exist."""

from enum import StrEnum

from ...config.errors import RefusedError


class TenantState(StrEnum):
    """Life of a customer account."""

    PENDING = "pending"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    MIGRATING = "migrating"
    RESTORING = "restoring"
    ERASED = "erased"


TRANSITIONS: dict[TenantState, frozenset[TenantState]] = {
    TenantState.PENDING: frozenset({TenantState.ACTIVE, TenantState.ERASED}),
    TenantState.ACTIVE: frozenset(
        {TenantState.SUSPENDED, TenantState.MIGRATING, TenantState.RESTORING, TenantState.ERASED}
    ),
    TenantState.SUSPENDED: frozenset(
        {TenantState.ACTIVE, TenantState.MIGRATING, TenantState.RESTORING, TenantState.ERASED}
    ),
    # An account whose move or restore was killed need not be made whole before it is erased.
    TenantState.MIGRATING: frozenset({TenantState.ACTIVE, TenantState.SUSPENDED, TenantState.ERASED}),
    TenantState.RESTORING: frozenset({TenantState.ACTIVE, TenantState.SUSPENDED, TenantState.ERASED}),
    TenantState.ERASED: frozenset(),
}


def check_transition(slug: str, old: TenantState, new: TenantState) -> None:
    """Raise `RefusedError` unless a tenant in state `old` may go to `new`."""
    if new not in TRANSITIONS[old]:
        raise RefusedError(f"The workspace “{slug}” is {old} and cannot become {new}.")
