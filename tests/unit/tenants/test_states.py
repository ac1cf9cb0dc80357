"""A tenant's states: which may follow which is said once, and everything else is refused."""

from itertools import product

import pytest

from strongroom.config.errors import RefusedError
from strongroom.platform.tenants.states import TRANSITIONS, TenantState, check_transition


@pytest.mark.parametrize(("old", "new"), list(product(TenantState, TenantState)))
def test_only_listed_transitions_pass(old: TenantState, new: TenantState) -> None:
    if new in TRANSITIONS[old]:
        check_transition("acme", old, new)
    else:
        with pytest.raises(RefusedError, match=f"is {old} and cannot become {new}"):
            check_transition("acme", old, new)


def test_erased_is_final_and_every_other_state_can_be_left() -> None:
    assert not TRANSITIONS[TenantState.ERASED]
    assert all(TRANSITIONS[state] for state in TenantState if state is not TenantState.ERASED)


def test_every_state_can_be_reached() -> None:
    assert set().union(*TRANSITIONS.values()) | {TenantState.PENDING} == set(TenantState)
