from datetime import UTC, datetime, timedelta

from strongroom.backup.fingerprint import Fingerprint
from strongroom.backup.proved import Proved
from strongroom.backup.unchanged import comparable

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def proved(fingerprint: Fingerprint | None, age: timedelta = timedelta(hours=6)) -> Proved:
    return Proved("b", "t", "uk", "tenants/t/b.age", "local", "database", fingerprint, NOW - age)


def test_statistics_are_enough_for_a_database_without_sequences() -> None:
    assert comparable(proved({"written": 3, "sequences": {}}), NOW)


def test_they_are_not_where_a_sequence_may_have_moved_or_nothing_is_known() -> None:
    assert not comparable(proved({"written": 3, "sequences": {"app.number": 7}}), NOW)
    assert not comparable(proved({"written": 3}), NOW)
    assert not comparable(proved(None), NOW)


def test_after_a_day_even_an_unchanged_database_is_dumped() -> None:
    assert not comparable(proved({"sequences": {}}, timedelta(hours=24)), NOW)
