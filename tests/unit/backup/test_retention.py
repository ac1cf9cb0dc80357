from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from strongroom.backup.retention import Keep, Kept, removable

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAY = timedelta(days=1)
MONTH = Keep(30)


def kept(days: float, state: str = "verified", of: str | None = None) -> Kept:
    return Kept(f"{state}{days:g}", state, NOW - DAY * days, of)


def ids(backups: list[Kept], keep: Keep = MONTH, now: datetime = NOW) -> list[str]:
    return [one.id for one in removable(backups, now, keep)]


def test_verified_backups_go_after_their_time_and_it_is_said_why() -> None:
    (gone,) = removable([kept(1), kept(29.9), kept(30.1)], NOW, MONTH)
    assert (gone.id, gone.why) == ("verified30.1", "older than 30 days")


def test_the_last_verified_one_stays_whatever_its_age() -> None:
    assert ids([kept(400), kept(500), kept(2, "failed"), kept(1, "stored")]) == ["verified500"]


def test_what_only_seems_newer_does_not_count_as_the_last_one() -> None:
    backups = [kept(40), kept(35, "stored"), kept(34, "failed"), kept(33, "unchanged", "failed34")]
    assert ids(backups) == []  # nothing of it may be all that is left
    assert ids([kept(32), *backups]) == ["unchanged33", "failed34", "stored35", "verified40"]


def test_failed_ones_go_with_the_others_or_after_a_week_when_there_is_a_newer_verified_one() -> None:
    assert ids([kept(1), kept(31, "failed")]) == ["failed31"]
    assert ids([kept(1), kept(6.9, "failed"), kept(7.1, "failed")]) == ["failed7.1"]
    assert ids([kept(20), kept(8, "failed")]) == []


def test_a_backup_that_a_young_finding_of_no_change_stands_on_is_prolonged() -> None:
    old = kept(31)
    assert ids([kept(1), old, kept(2, "unchanged", old.id)]) == []


def test_what_refers_to_another_is_removed_before_it() -> None:
    old = kept(40)
    assert ids([old, kept(1), kept(35, "unchanged", old.id)]) == ["unchanged35", "verified40"]


def daily(days: int) -> list[Kept]:
    return [kept(age) for age in range(days)]


@pytest.mark.parametrize(
    ("keep", "beyond"),
    [
        # 20 November 2026 is a Friday: the newest of each week before are Sundays.
        (Keep(7, weekly=4), {12, 19}),
        (Keep(7, weekly=2), set[int]()),
        (Keep(7, monthly=3), {20, 51}),
        (Keep(7, yearly=2), {324}),
        (Keep(7, weekly=3, monthly=2, yearly=2), {12, 20, 324}),
    ],
)
def test_beyond_the_days_the_newest_of_each_week_month_and_year_stays(keep: Keep, beyond: set[int]) -> None:
    gone = set(ids(daily(400), keep))
    assert {age for age in range(8, 400) if f"verified{age}" not in gone} == beyond
    assert not gone & {f"verified{age}" for age in range(8)}


def test_the_newest_of_a_week_is_a_verified_one() -> None:
    backups = [kept(0), kept(12, "stored"), kept(13), kept(14)]
    assert ids(backups, Keep(7, weekly=2)) == ["stored12", "verified14"]


def test_weeks_without_backups_do_not_count() -> None:
    backups = [kept(age) for age in (0, 100, 200, 300)]
    assert ids(backups, Keep(1, weekly=3)) == ["verified300"]


def test_whatever_day_it_runs_on_the_choice_of_before_is_not_given_up() -> None:
    """Run daily for a year with random outcomes: what stands for a week is still there a month later."""
    random, keep = Random(7), Keep(3, weekly=4)
    backups: list[Kept] = []
    for day in range(365):
        now = NOW + DAY * day
        backups.append(Kept(f"b{day}", random.choice(["verified", "verified", "failed", "stored"]), now))
        gone = set(ids(backups, keep, now))
        backups = [one for one in backups if one.id not in gone]
        weeks = {one.started_at.isocalendar()[:2] for one in backups if one.state == "verified"}
        assert len(weeks) >= min(4, day // 14)
        assert any(one.state == "verified" for one in backups) or day < 5


def test_a_clock_that_was_ahead_removes_nothing() -> None:
    assert ids([kept(-400), kept(1), kept(2, "failed")]) == []
