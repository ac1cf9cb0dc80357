"""Which moments can be had back, and which keys of the log have had their time."""

from datetime import UTC, datetime, timedelta

import pytest

from strongroom.backup.archive.moment import parse_moment, placement_at
from strongroom.backup.archive.names import day_of, is_segment, next_segment
from strongroom.backup.archive.window import Window, expired, key_dies_at, window_of
from strongroom.config.errors import CallError
from strongroom.platform.servers.bases import STORED, BaseBackup

NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)
DAYS = 7


def base(age: float, *, server: str = "embedded") -> BaseBackup:
    """A stored base backup that was finished so many days ago."""
    at = NOW - timedelta(days=age)
    day = day_of(at)
    return BaseBackup(
        f"b{age}", server, STORED, "local", day, "1", 1, "W", "W", 1, None, None, at - timedelta(minutes=1), at
    )


def days_of(*bases: BaseBackup) -> list[str]:
    return [one.archive_key for one in bases]


def test_the_window_begins_with_the_first_base_backup_and_is_never_longer_than_the_setting() -> None:
    assert window_of([], DAYS, NOW) is None
    assert window_of([base(2), base(1)], DAYS, NOW) == Window(NOW - timedelta(days=2), NOW)
    assert window_of([base(9), base(1)], DAYS, NOW) == Window(NOW - timedelta(days=7), NOW)


def test_the_newest_base_backup_before_the_window_is_kept_and_all_older_ones_go() -> None:
    known = [base(age) for age in (9.5, 8.5, 7.5, 6.5, 0.5)]
    over = expired(known, days_of(*known), DAYS, NOW)
    assert over.bases == known[:2]
    assert over.days == days_of(*known[:2])


def test_without_one_before_the_window_every_base_backup_is_needed() -> None:
    known = [base(3), base(2)]
    over = expired(known, ["20260301", *days_of(*known)], DAYS, NOW)
    assert over.bases == []
    assert over.days == ["20260301"]


def test_each_server_keeps_what_it_needs() -> None:
    known = [base(8.5), base(7.5), base(8.5, server="other")]
    assert expired(known, [], DAYS, NOW).bases == [known[0]]


def test_a_key_dies_at_its_date_whatever_is_still_missing() -> None:
    alone = base(12)
    over = expired([alone], days_of(alone), DAYS, NOW)
    assert over.bases == [alone]
    assert over.days == [alone.archive_key]
    assert key_dies_at("20260301", DAYS) == datetime(2026, 3, 11, tzinfo=UTC)


def test_no_window_keeps_nothing() -> None:
    known = [base(0.5)]
    over = expired(known, days_of(*known), 0, NOW)
    assert (over.bases, over.days) == (known, days_of(*known))


def test_the_placement_of_a_moment_is_the_one_that_was_left_next() -> None:
    # A restore, then another one, which was undone: “second” is left twice.
    switched = [(NOW + timedelta(hours=-h), left) for h, left in ((6, "first"), (4, "second"), (2, "third"))]
    for hours, expected in (
        (-7, "first"),
        (-6, "second"),
        (-5, "second"),
        (-3, "third"),
        (-2, "second"),
        (0, "second"),
    ):
        assert placement_at(switched, "second", NOW + timedelta(hours=hours)) == expected
    assert placement_at([], None, NOW) is None


def test_pieces_of_the_log_follow_each_other() -> None:
    size = 16 * 2**20
    assert next_segment("000000010000000000000009", size) == "00000001000000000000000A"
    assert next_segment("0000000100000000000000FF", size) == "000000010000000100000000"
    assert is_segment("0000000100000000000000FF")
    assert not is_segment("000000010000000000000002.00000028.backup")
    assert not is_segment("00000002.history")


def test_a_time_has_an_offset() -> None:
    assert parse_moment("2026-03-01T12:00:00Z") == parse_moment("2026-03-01T13:00:00+01:00")
    for wrong in ("2026-03-01T12:00:00", "yesterday", "", "2026-13-01T12:00:00Z"):
        with pytest.raises(CallError, match="write it like"):
            parse_moment(wrong)
