"""Who may hash or wait for it: the rest is sent away at once, so that threads stay free for pages."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from strongroom.config.errors import UnavailableError
from strongroom.platform.keys.hashing_room import HashingRoom


@pytest.mark.parametrize(("threads", "most"), [(1, 1), (2, 1), (4, 3), (8, 6)])
def test_a_quarter_of_the_threads_at_least_one_stays_free(threads: int, most: int) -> None:
    room, go_on = HashingRoom(1), Event()
    room.admit(threads)

    def stay() -> None:
        with room.entered(30):
            go_on.wait(30)

    with ThreadPoolExecutor(most) as pool:
        staying = [pool.submit(stay) for _ in range(most)]
        while room.inside < most:
            assert not any(each.done() for each in staying)
        with pytest.raises(UnavailableError) as refused, room.entered(30):
            pass
        go_on.set()
    assert refused.value.retry_after > 0
    with room.entered(1):  # all have left
        assert room.inside == 1


def test_who_fails_inside_leaves_all_the_same() -> None:
    room = HashingRoom(1)
    room.admit(1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), room.entered(1):
            raise ZeroDivisionError
    assert room.inside == 0
