"""`status` names the erasures that somebody has to look after."""

from datetime import UTC, datetime, timedelta

from strongroom.provisioning.healthy import erasures_check

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def test_one_at_work_is_no_trouble() -> None:
    check = erasures_check([("acme", NOW - timedelta(minutes=5))], NOW)
    assert (check.ok, check.detail) == (True, "at work: acme")


def test_one_that_does_not_end_is_named_with_its_command() -> None:
    check = erasures_check([("acme", NOW - timedelta(hours=3)), ("birch", NOW)], NOW)
    assert not check.ok
    assert "strongroom tenant erase acme" in check.detail
    assert "birch" not in check.detail


def test_without_any_it_says_so() -> None:
    assert erasures_check([], NOW).ok
