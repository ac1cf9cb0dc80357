from datetime import UTC, datetime, timedelta

import pytest

from strongroom.config.errors import CallError
from strongroom.platform.tenants.records import Placement, PlacementState
from strongroom.provisioning.names import Names
from strongroom.provisioning.tasks import is_over

NOW = datetime(2026, 1, 10, tzinfo=UTC)
HOUR, DAYS = timedelta(hours=1), timedelta(days=2)


def placement(
    state: str, age: timedelta, drop_in: timedelta | None = None, tenant_id: str | None = "t", *, spare: bool = False
) -> Placement:
    drop_after = None if drop_in is None else NOW + drop_in
    return Placement("a" * 16, "embedded", tenant_id, PlacementState(state), None, NOW - age, None, drop_after, spare)


@pytest.mark.parametrize(
    ("of", "over"),
    [
        (placement("current", DAYS), False),
        (placement("retired", DAYS), False),
        (placement("retired", DAYS, HOUR), False),
        (placement("retired", DAYS, timedelta(0)), True),
        (placement("retired", DAYS, -HOUR), True),
        (placement("dropping", HOUR), True),
        (placement("building", HOUR), False),
        (placement("building", DAYS), True),
        (placement("ready", HOUR), False),
        (placement("ready", DAYS), True),
        (placement("ready", DAYS, tenant_id=None), True),
        (placement("ready", DAYS, tenant_id=None, spare=True), False),
        (placement("building", DAYS, tenant_id=None), True),
        (placement("building", DAYS, tenant_id=None, spare=True), False),
        (placement("dropping", HOUR, tenant_id=None, spare=True), True),
        (placement("dropped", DAYS), False),
    ],
)
def test_only_what_nobody_needs_any_more_is_dropped(of: Placement, over: bool) -> None:
    assert is_over(of, NOW) is over


@pytest.mark.parametrize("pid", ["", "a" * 15, "a" * 17, "A" * 16, "a" * 15 + "1", "a" * 15 + '"', "a" * 15 + "\n"])
def test_only_an_id_becomes_part_of_a_statement(pid: str) -> None:
    with pytest.raises(CallError):
        Names(pid)
