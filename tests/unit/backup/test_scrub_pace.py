import pytest

from strongroom.backup.scrub import Pace


@pytest.mark.parametrize(("pieces", "slept"), [([100] * 10, 9.0), ([1000], 9.0), ([10, 90], 0.0)])
def test_reading_waits_until_it_is_slow_enough(pieces: list[int], slept: float) -> None:
    """The reading itself takes a second."""
    now, total = [0.0], list[float]()

    def sleep(seconds: float) -> None:
        total.append(seconds)
        now[0] += seconds

    pace = Pace(100, lambda: now[0], sleep)
    for piece in pieces:
        now[0] += 1 / len(pieces)
        pace(piece)
    assert sum(total) == pytest.approx(slept)
    assert pace.moved == sum(pieces)
