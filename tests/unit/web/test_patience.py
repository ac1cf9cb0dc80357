"""When a connection has had its time."""

import pytest

from strongroom.platform.web.patience import Connection, Patience, overdue

PATIENCE = Patience()
BEGAN = 1000.0


def why(
    one: Connection, now: float, *, ended: float | None = None, waiting: int = 0, crowded: bool = False
) -> str | None:
    return overdue(one, ended=ended, waiting=waiting, now=now, patience=PATIENCE, crowded=crowded)


def test_a_first_request_has_ten_seconds() -> None:
    assert why(Connection(BEGAN), BEGAN + 10) is None
    assert why(Connection(BEGAN), BEGAN + 10.1) == "sends no request"


def test_the_next_request_has_a_minute() -> None:
    one = Connection(BEGAN)
    assert why(one, BEGAN + 70, ended=BEGAN + 10) is None
    assert why(one, BEGAN + 70.1, ended=BEGAN + 10) == "is idle"


def test_less_while_many_are_connected() -> None:
    assert why(Connection(BEGAN), BEGAN + 2.1, crowded=True) == "sends no request"
    assert why(Connection(BEGAN), BEGAN + 12.1, ended=BEGAN + 10, crowded=True) == "is idle"


def test_who_takes_an_answer_step_by_step_may_take_long() -> None:
    one = Connection(BEGAN)
    for second in range(0, 600, 20):
        one.note(second * PATIENCE.step, 9, BEGAN + second, PATIENCE)
        assert why(one, BEGAN + second, ended=BEGAN, waiting=9) is None


def test_who_takes_less_than_a_step_in_its_time_is_cut_off() -> None:
    one = Connection(BEGAN)
    one.note(PATIENCE.step - 1, 9, BEGAN + 30, PATIENCE)
    assert why(one, BEGAN + 30, ended=BEGAN, waiting=9) is None
    assert why(one, BEGAN + 30.1, ended=BEGAN, waiting=9) == "reads too slowly"


def test_what_was_sent_before_an_answer_is_no_step_of_it() -> None:
    one = Connection(BEGAN)
    one.note(10 * PATIENCE.step, 0, BEGAN + 1, PATIENCE)
    one.note(10 * PATIENCE.step + 1, 9, BEGAN + 40, PATIENCE)
    assert why(one, BEGAN + 40, ended=BEGAN + 1, waiting=9) == "reads too slowly"


@pytest.mark.parametrize(("received", "seconds"), [(0, 20), (4096, 21), (25 * 1024 * 1024, 6420)])
def test_what_is_here_of_a_body_gives_it_more_time(received: int, seconds: float) -> None:
    assert PATIENCE.body_deadline(BEGAN, received) == BEGAN + seconds


def test_a_body_that_came_fast_earns_no_long_pause() -> None:
    assert PATIENCE.next_deadline(BEGAN, 25 * 1024 * 1024, BEGAN + 1) == BEGAN + 11
    assert PATIENCE.next_deadline(BEGAN, 0, BEGAN + 15) == BEGAN + 20


def test_answers_that_never_reach_the_kernel_are_owed_too() -> None:
    one, answered = Connection(BEGAN), 20 * PATIENCE.step
    assert not one.is_stuck(100, answered, BEGAN, PATIENCE)
    assert not one.is_stuck(PATIENCE.step + 100, answered, BEGAN + 20, PATIENCE)
    assert not one.is_stuck(PATIENCE.step + 200, answered, BEGAN + 50, PATIENCE)
    assert one.is_stuck(PATIENCE.step + 300, answered, BEGAN + 50.1, PATIENCE)
    assert not one.is_stuck(answered, answered, BEGAN + 60, PATIENCE)


def test_who_takes_a_step_in_two_seconds_stays_however_much_others_leave() -> None:
    one, answered = Connection(BEGAN), 20 * PATIENCE.step
    for second in range(0, 20, 2):
        assert not one.is_stuck(second // 2 * PATIENCE.step, answered, BEGAN + second, PATIENCE, 2 * PATIENCE.owed)
    assert one.is_stuck(9 * PATIENCE.step + 1, answered, BEGAN + 20.1, PATIENCE, 2 * PATIENCE.owed)
