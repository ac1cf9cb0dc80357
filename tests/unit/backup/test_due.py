from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from strongroom.backup.due import Candidate, due, needs_dump
from strongroom.backup.retention import Kept, removable

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def candidate(
    name: str, good: float | None, tried: float | None = None, failures: int = 0, interval: float = 6
) -> Candidate:
    """Ages in hours."""

    def ago(hours: float | None) -> datetime | None:
        return None if hours is None else NOW - HOUR * hours

    return Candidate(name, HOUR * interval, ago(good), ago(tried if tried is not None else good), failures)


def test_a_tenant_without_backup_is_due_first_then_the_longest_unprotected() -> None:
    candidates = [candidate("seven", 7), candidate("new", None), candidate("ten", 10), candidate("five", 5)]
    assert due(candidates, NOW) == ["new", "ten", "seven", None]


@pytest.mark.parametrize(("age", "expected"), [(5.999, []), (6, ["t", None]), (6.001, ["t", None])])
def test_due_at_the_interval(age: float, expected: list[str | None]) -> None:
    assert due([candidate("t", age)], NOW) == expected


def test_no_interval_counts_as_more_than_a_day() -> None:
    assert due([candidate("t", 24.001, interval=100)], NOW) == ["t", None]


@pytest.mark.parametrize(
    ("failures", "minutes", "expected"), [(1, 4, False), (1, 5, True), (2, 9, False), (2, 10, True), (40, 361, True)]
)
def test_after_failures_the_next_try_waits_longer_but_never_longer_than_the_interval(
    failures: int, minutes: int, expected: bool
) -> None:
    assert bool(due([candidate("t", 20, minutes / 60, failures)], NOW)) == expected


def test_the_control_database_alone_is_due_at_its_interval() -> None:
    assert due([replace(candidate("t", 1), tenant_id=None)], NOW) == []
    assert due([replace(candidate("t", 7), tenant_id=None)], NOW) == [None]


def test_a_real_dump_is_forced_every_day() -> None:
    assert needs_dump(None, NOW)
    assert not needs_dump(NOW - 23.9 * HOUR, NOW)
    assert needs_dump(NOW - DAY, NOW)


def kept(days: float, state: str = "verified", of: str | None = None) -> Kept:
    return Kept(f"{state}{days:g}", state, NOW - DAY * days, of)


def test_verified_backups_go_after_their_time() -> None:
    assert removable([kept(1), kept(29.9), kept(30.1)], NOW, 30 * DAY) == ["verified30.1"]


def test_the_last_verified_one_stays_whatever_its_age() -> None:
    backups = [kept(400), kept(500), kept(2, "failed"), kept(1, "stored")]
    assert removable(backups, NOW, 30 * DAY) == ["verified500"]


def test_failed_ones_go_too() -> None:
    assert removable([kept(1), kept(31, "failed")], NOW, 30 * DAY) == ["failed31"]


def test_a_backup_that_a_young_finding_of_no_change_stands_on_is_prolonged() -> None:
    old = kept(31)
    backups = [kept(1), old, kept(2, "unchanged", old.id)]
    assert removable(backups, NOW, 30 * DAY) == []


def test_what_refers_to_another_is_removed_before_it() -> None:
    old = kept(40)
    backups = [old, kept(1), kept(35, "unchanged", old.id)]
    assert removable(backups, NOW, 30 * DAY) == ["unchanged35", "verified40"]
