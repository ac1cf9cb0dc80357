"""Counting tries in the control database and in Redis: never more than the limit, however many come at once."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import text

from strongroom.config.errors import CallError, FailedError, RefusedError
from strongroom.config.settings import SETTINGS_FILE, Settings, load_settings
from strongroom.platform.control.platform import Platform
from strongroom.platform.limits import delays as delays_module
from strongroom.platform.limits import queries
from strongroom.platform.limits.choice import check_storage
from strongroom.platform.limits.delays import MOST_TRIES, REST, wait_after
from strongroom.platform.limits.tasks import sweep_rate_limits

Counted = Any  # the fixture's class, in conftest.py
LIMIT = "5 per minute"


def test_of_sixty_at_once_as_many_as_the_limit_get_through(storage: Counted) -> None:
    together = Barrier(20)

    def try_three_times(_: int) -> int:
        together.wait()
        return sum(storage.hit(LIMIT, "key") for _ in range(3))

    with ThreadPoolExecutor(20) as pool:
        assert sum(pool.map(try_three_times, range(20))) == 5


def test_keys_are_counted_apart_and_forgotten_one_by_one(storage: Counted) -> None:
    assert [storage.hit("1 per hour", key) for key in ("a", "b", "a")] == [True, True, False]
    storage.clear("1 per hour", "a")
    assert [storage.hit("1 per hour", key) for key in ("a", "b")] == [True, False]


def test_the_wait_is_until_the_first_try_leaves_the_window(storage: Counted) -> None:
    for _ in range(6):
        storage.hit(LIMIT, "key")
    end, remaining = storage.left(LIMIT, "key")
    assert remaining == 0
    assert 50 < end - time.time() <= 61


def test_a_reset_forgets_windows_and_waits(storage: Counted) -> None:
    storage.hit("1 per hour", "key")
    for _ in range(6):
        storage.delays.hit("other")
    storage.storage.reset()
    assert storage.hit("1 per hour", "key")
    assert storage.delays.hit("other") == 0


def test_after_five_tries_there_is_a_wait_and_success_ends_it(delays: Any) -> None:
    assert [delays.hit("key") for _ in range(5)] == [0] * 5
    wait = delays.hit("key")
    assert 20 < wait <= 30
    assert delays.hit("other") == 0
    delays.forget("key")
    assert delays.hit("key") == 0


def test_a_try_that_is_given_back_counts_for_nothing_and_ends_its_wait(delays: Any) -> None:
    delays.give_back("key")  # none was counted
    assert [delays.hit("key") for _ in range(5)] == [0] * 5
    delays.give_back("key")
    assert delays.hit("key") == 0
    assert 20 < delays.hit("key") <= 30


def test_of_many_at_once_that_are_given_back_none_counts(delays: Any) -> None:
    together = Barrier(20)

    def try_it(_: int) -> None:
        together.wait()
        if delays.hit("key") == 0:
            delays.give_back("key")

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(try_it, range(20)))
    assert [delays.hit("key") for _ in range(5)] == [0] * 5
    assert delays.hit("key") > 20


def test_of_many_at_once_five_may_try(delays: Any) -> None:
    together = Barrier(20)

    def try_it(_: int) -> float:
        together.wait()
        return delays.hit("key")

    with ThreadPoolExecutor(20) as pool:
        waits = list(pool.map(try_it, range(20)))
    assert waits.count(0) == 5
    assert all(wait > 20 for wait in waits if wait)


def test_the_waits_double_up_to_a_quarter_of_an_hour_and_a_hundred_tries_end_the_day() -> None:
    waits = [wait_after(count) for count in (1, 4, 5, 6, 10, 15, 20, 25, 30, 35, 95)]
    assert waits == [0, 0, 30, 0, 60, 120, 240, 480, 900, 900, 900]
    assert [wait_after(count) for count in (MOST_TRIES, MOST_TRIES + 1)] == [REST, REST]
    assert len(delays_module.WAITS) == MOST_TRIES


def test_the_second_wait_is_twice_the_first(platform: Platform) -> None:
    with platform.control.connect() as conn:
        for _ in range(6):
            queries.try_again(conn, "doubling", delays_module.WAITS, 60)
        conn.execute(text("UPDATE rate_limit SET free_at = clock_timestamp() WHERE key = 'doubling'"))
        assert [queries.try_again(conn, "doubling", delays_module.WAITS, 60) for _ in range(6)] == [True] * 5 + [False]
        assert 55 < queries.wait_left(conn, "doubling") <= 60
        conn.rollback()


def test_an_old_try_is_outside_the_window_and_old_rows_are_swept(platform: Platform) -> None:
    with platform.control.begin() as conn:
        assert [queries.acquire(conn, "aged", 1, 60) for _ in range(2)] == [True, False]
        conn.execute(text("UPDATE rate_limit SET hits = ARRAY[now() - interval '61 s'] WHERE key = 'aged'"))
        assert queries.acquire(conn, "aged", 1, 60)
        conn.execute(text("UPDATE rate_limit SET expires_at = now() - interval '1 s' WHERE key = 'aged'"))
    sweep_rate_limits(platform)
    with platform.control.connect() as conn:
        assert queries.window(conn, "aged", 3600) == (0, 0.0)


def test_a_storage_that_does_not_answer_is_named_at_the_start(settings: Settings) -> None:
    with pytest.raises(FailedError, match=r"redis://127.0.0.1:1, does not answer"):
        check_storage(replace(settings, rate_limit_storage="redis://127.0.0.1:1"))


def test_the_control_database_is_not_asked_at_the_start(settings: Settings) -> None:
    check_storage(settings)


@pytest.mark.parametrize(
    ("address", "sentence"),
    [("memcached://x", "must begin with"), ("redis://:secret@x", "rate_limit_password_file"), ("redis://[", "must")],
)
def test_an_address_that_will_not_do_is_refused(tmp_path: Any, address: str, sentence: str) -> None:
    (tmp_path / SETTINGS_FILE).write_text(f'rate_limit_storage = "{address}"\n')
    with pytest.raises(CallError, match=sentence) as refused:
        load_settings(tmp_path)
    assert "secret" not in str(refused.value)


def test_a_password_that_others_can_read_is_refused(settings: Settings, tmp_path: Any) -> None:
    password = tmp_path / "password"
    password.write_text("x")
    password.chmod(0o644)
    named = replace(settings, rate_limit_storage="redis://127.0.0.1:1", rate_limit_password_file=str(password))
    with pytest.raises(RefusedError, match="chmod 0600"):
        check_storage(named)
