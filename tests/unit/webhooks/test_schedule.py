"""A message is tried for a bit more than a day; an endpoint that fails for five is left alone."""

from datetime import UTC, datetime, timedelta

from strongroom.platform.webhooks.schedule import TRIES, WAITS, is_hopeless, next_try

NOW = datetime(2024, 3, 12, tzinfo=UTC)


def test_the_waits_grow_and_add_up_to_more_than_a_day() -> None:
    assert list(WAITS) == sorted(WAITS)
    assert timedelta(hours=24) < sum(WAITS, timedelta()) < timedelta(hours=30)


def test_each_wait_has_at_most_a_fifth_of_jitter() -> None:
    for tries, wait in enumerate(WAITS, 1):
        assert next_try(tries, NOW, 0.0) == NOW + wait
        assert next_try(tries, NOW, 1.0) == NOW + 1.2 * wait


def test_after_the_last_try_there_is_none() -> None:
    assert next_try(TRIES - 1, NOW, 0.0) is not None
    assert next_try(TRIES, NOW, 0.0) is None


def test_five_days_to_the_second() -> None:
    assert not is_hopeless(NOW - timedelta(days=5) + timedelta(seconds=1), NOW)
    assert is_hopeless(NOW - timedelta(days=5), NOW)
