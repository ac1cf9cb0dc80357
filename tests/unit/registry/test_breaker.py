import pytest

from strongroom.platform.registry import breaker as module
from strongroom.platform.registry.breaker import FAILURES, OPEN_SECONDS, Breaker, ServerUnreachableError


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(module, "time", made)
    return made


def opened() -> Breaker:
    breaker = Breaker()
    for _ in range(FAILURES):
        breaker.admit()
        breaker.failed()
    return breaker


def test_it_opens_after_failures_in_a_row_only(clock: Clock) -> None:
    breaker = Breaker()
    for _ in range(5):
        breaker.failed()
        breaker.failed()
        breaker.answered()
    assert breaker.state == "closed"
    breaker.check()
    assert opened().state == "open"
    assert clock.now


def test_open_refuses_at_once_and_says_when_to_come_back(clock: Clock) -> None:
    breaker = opened()
    with pytest.raises(ServerUnreachableError) as caught:
        breaker.check()
    assert caught.value.retry_after == 1
    clock.now += OPEN_SECONDS - 0.01
    with pytest.raises(ServerUnreachableError):
        breaker.admit()


def test_half_open_lets_one_through_and_an_answer_closes_it(clock: Clock) -> None:
    breaker = opened()
    clock.now += OPEN_SECONDS
    assert breaker.state == "half-open"
    breaker.admit()
    with pytest.raises(ServerUnreachableError):
        breaker.admit()
    breaker.answered()
    breaker.admit()
    assert breaker.state == "closed"


def test_a_failed_try_opens_it_again(clock: Clock) -> None:
    breaker = opened()
    clock.now += OPEN_SECONDS
    breaker.admit()
    breaker.failed()
    with pytest.raises(ServerUnreachableError):
        breaker.admit()
    clock.now += OPEN_SECONDS
    breaker.admit()


def test_a_try_that_is_never_reported_does_not_close_the_server_off(clock: Clock) -> None:
    breaker = opened()
    clock.now += OPEN_SECONDS
    breaker.admit()
    clock.now += OPEN_SECONDS
    breaker.admit()
