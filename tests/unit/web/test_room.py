"""The memory that bodies take while they arrive."""

from strongroom.platform.web.room import Room


def test_all_together_and_each_for_itself_are_bounded() -> None:
    room = Room(100, 40)
    assert room.take("a", 40)
    assert not room.take("a", 1)
    assert room.take("b", 40)
    assert not room.take("c", 21)
    assert room.take("c", 20)
    assert room.held == 100


def test_what_was_given_back_can_be_taken_again() -> None:
    room = Room(100, 40)
    room.take("a", 40)
    room.give("a", 15)
    assert not room.take("a", 16)
    assert room.take("a", 15)
    room.give("a", 40)
    assert room.held == 0


def test_what_was_refused_is_not_held() -> None:
    room = Room(10, 10)
    assert not room.take("a", 11)
    assert room.held == 0
    assert room.take("a", 10)
