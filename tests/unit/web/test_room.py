"""The memory that bodies take while they arrive."""

import pytest

from strongroom.platform.web.room import Room, network


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


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("2001:db8::1:2:3:4", "2001:db8::/64"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("nowhere", "unknown"),
    ],
)
def test_a_caller_is_an_address_or_the_network_that_one_household_has(address: str, counted: str) -> None:
    assert network(address) == counted
