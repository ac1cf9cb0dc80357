"""Promise 14: an hour after a backup was missed by its plan's policy somebody is told."""

from datetime import UTC, datetime, timedelta

import pytest

from strongroom.platform.protection.policy import Policy, Window
from strongroom.platform.protection.records import Damaged, Lacking, Standing, late
from strongroom.provisioning.healthy import backup_check

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def standing(
    label: str, verified: float | None, hours: int = 6, window: Window | None = None, since: float = 900
) -> Standing:
    """Ages in hours."""
    newest = None if verified is None else NOW - HOUR * verified
    tenant_id = None if label == "control" else label
    return Standing(tenant_id, label, Policy(HOUR * hours, 30, 0, 0, 0, window), NOW - HOUR * since, newest)


@pytest.mark.parametrize(
    ("one", "is_late"),
    [
        (standing("t", 6.99), False),
        (standing("t", 7.01), True),
        (standing("control", 7.01), True),
        (standing("t", 3.01, hours=2), True),
        (standing("t", 24.9, window=Window(22, 5)), False),
        (standing("t", 25.1, window=Window(22, 5)), True),
        (standing("t", 25.1, hours=24), True),
        (standing("t", None, since=6.9), False),
        (standing("t", None, since=7.1), True),
    ],
)
def test_an_hour_behind_its_policy_is_late(one: Standing, is_late: bool) -> None:
    assert late([one], NOW) == ([one] if is_late else [])


def test_the_worst_is_named_first() -> None:
    every = [standing("eight", 8), standing("nine", 9), standing("none", None), standing("one", 1)]
    assert [one.label for one in late(every, NOW)] == ["none", "nine", "eight"]


def test_status_is_red_for_what_is_late_damaged_or_lacks_receipts() -> None:
    good = [standing("acme", 1), standing("control", 1)]
    assert backup_check(good, [], [], NOW).ok
    assert backup_check(good, [], [], NOW).detail == "1 of 1 workspaces have a verified one"
    assert backup_check([*good, standing("b", 8)], [], [], NOW).detail == "late for b"
    damaged = backup_check(good, [Damaged("b1", "t", "acme", "It is cut.")], [], NOW)
    assert (damaged.ok, damaged.detail) == (False, "failed its verification: b1 of acme")
    assert not backup_check(good, [], [Lacking("b1", "t", "acme", 2)], NOW).ok
    many = backup_check([standing(f"t{number:02}", 9) for number in range(30)], [], [], NOW)
    assert many.detail.endswith("t19 and 10 more")
