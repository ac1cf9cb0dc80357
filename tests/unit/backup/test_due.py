from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from strongroom.backup.due import Candidate, due, last_start, needs_dump
from strongroom.platform.protection.policy import Policy, Window

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
NIGHT = Window(22, 5)


def candidate(
    name: str | None,
    good: float | None,
    tried: float | None = None,
    failures: int = 0,
    interval: float = 6,
    window: Window | None = None,
) -> Candidate:
    """Ages in hours."""

    def ago(hours: float | None) -> datetime | None:
        return None if hours is None else NOW - HOUR * hours

    tried = tried if tried is not None else good
    return Candidate(name, HOUR * interval, ago(good), ago(tried), failures, window)


def test_a_tenant_without_backup_is_due_first_then_the_longest_unprotected() -> None:
    candidates = [candidate("seven", 7), candidate("new", None), candidate("ten", 10), candidate("five", 0)]
    assert due(candidates, NOW) == ["new", "ten", "seven"]


def test_a_tenant_is_due_when_a_start_time_of_its_own_has_passed_since_its_last_backup() -> None:
    start = last_start(candidate("t", 1), NOW)
    assert NOW - 6 * HOUR < start <= NOW
    for second, expected in ((-1, ["t"]), (0, []), (60, [])):
        one = replace(candidate("t", 1), last_good=start + timedelta(seconds=second))
        assert due([one], NOW) == expected
        assert due([one], start + 6 * HOUR) == ["t"]


@pytest.mark.parametrize("window", [None, NIGHT, Window(12, 13), Window(3, 4)])
def test_nothing_configured_counts_as_more_than_a_day(window: Window | None) -> None:
    assert due([candidate("t", 24.001, interval=100, window=window)], NOW) == ["t"]


def test_the_first_backup_waits_for_no_window() -> None:
    assert due([candidate("t", None, window=NIGHT)], NOW) == ["t"]


def test_a_backup_is_taken_in_the_window_only() -> None:
    assert due([candidate("t", 20, window=NIGHT)], NOW) == []
    assert due([candidate("t", 20, window=NIGHT)], NOW + 4 * HOUR) == ["t"]  # a day old before the window opens
    assert due([candidate("t", 14, window=Window(6, 13), interval=1)], NOW) == ["t"]


@pytest.mark.parametrize(
    ("failures", "minutes", "expected"), [(1, 4, False), (1, 5, True), (2, 9, False), (2, 10, True), (40, 361, True)]
)
def test_after_failures_the_next_try_waits_longer_but_never_longer_than_the_interval(
    failures: int, minutes: int, expected: bool
) -> None:
    assert bool(due([candidate("t", 20, minutes / 60, failures)], NOW)) == expected


def test_the_control_database_is_due_at_its_start_time_and_an_hour_after_its_last_copy_when_it_lacks_backups() -> None:
    fresh = replace(candidate(None, 0), interval=DAY)
    assert due([fresh], NOW) == []
    assert due([candidate(None, 7)], NOW) == [None]
    tenant = replace(candidate("t", 0, interval=24), last_good=NOW)
    older, young = replace(fresh, last_good=NOW - 2 * HOUR), replace(fresh, last_good=NOW - HOUR / 2)
    assert last_start(older, NOW) < NOW - 2 * HOUR  # its own time is another one
    assert due([older], NOW) == []
    assert due([older, tenant], NOW) == [None]
    assert due([young, tenant], NOW) == []
    assert due([replace(older, failures=1, last_try=NOW - MINUTE), tenant], NOW) == []


def test_a_real_dump_is_forced_every_day_and_after_one_of_the_future() -> None:
    assert needs_dump(None, NOW)
    assert not needs_dump(NOW - 23.9 * HOUR, NOW)
    assert needs_dump(NOW - DAY, NOW)
    assert needs_dump(NOW + DAY, NOW)


def ids(count: int) -> list[str]:
    random = Random(42)
    return ["".join(random.choices("abcdefghijklmnopqrstuvwxyz234567", k=16)) for _ in range(count)]


@pytest.mark.parametrize(
    ("window", "hours", "per_hour"), [(None, 6, 2000 / 6), (Window(1, 4), 6, 2000 / 3), (Window(22, 2), 24, 500)]
)
def test_2000_tenants_that_came_at_once_are_spread(window: Window | None, hours: int, per_hour: float) -> None:
    """Followed for a day in steps of five minutes, as the worker asks."""
    tenants = {name: candidate(name, 0, interval=hours, window=window) for name in ids(2000)}
    tenants = {name: replace(one, last_good=last_start(one, NOW)) for name, one in tenants.items()}
    starts: Counter[int] = Counter()
    for step in range(1, 24 * 12 + 1):
        now = NOW + 5 * MINUTE * step
        for name in due(tenants.values(), now):
            assert name is not None
            assert window is None or window.is_open(now)
            tenants[name] = replace(tenants[name], last_good=now, last_try=now)
            starts[step] += 1
    assert max(starts.values()) <= per_hour / 12 * 1.7
    assert sum(starts.values()) == 2000 * (24 // hours if window is None else 1)


@pytest.mark.parametrize("window", [None, NIGHT, Window(0, 12), Window(5, 22), Window(23, 0)])
@pytest.mark.parametrize("hours", [1, 5, 24])
def test_the_gap_between_two_backups_is_what_the_policy_promises(window: Window | None, hours: int) -> None:
    promised = Policy(HOUR * hours, 30, 0, 0, 0, window).longest_gap
    assert promised <= DAY
    for name in ids(5):
        now, longest = NOW, timedelta()
        one = replace(candidate(name, 0, interval=hours, window=window), last_good=NOW)
        for step in range(1, 3 * 24 * 12):
            now = NOW + 5 * MINUTE * step
            if due([one], now):
                longest = max(longest, now - (one.last_good or now))
                one = replace(one, last_good=now, last_try=now)
        assert longest <= promised + 10 * MINUTE
        assert now - (one.last_good or now) <= promised + 5 * MINUTE


@pytest.mark.parametrize("jump", [10 * MINUTE, 3 * HOUR, 40 * DAY])
def test_a_clock_that_was_ahead_blocks_nothing(jump: timedelta) -> None:
    """The catalogue leaves what is of the future out where something older is known; here nothing is."""
    one = replace(candidate("t", 0), last_good=NOW + jump, last_try=NOW + jump, failures=3)
    assert due([one], NOW) == ["t"]
    assert due([replace(one, tenant_id=None)], NOW) == [None]


def test_after_a_jump_forward_each_tenant_is_due_once() -> None:
    tenants = [replace(candidate(name, 0), last_good=NOW) for name in ids(50)]
    later = NOW + 40 * DAY
    assert sorted(filter(None, due(tenants, later))) == sorted(ids(50))
    assert due([replace(one, last_good=later) for one in tenants], later) == []
