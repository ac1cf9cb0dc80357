"""Connections whose answers nobody takes end sooner while too much of them waits in memory."""

import socket
from collections.abc import Generator
from contextlib import ExitStack
from typing import Any, cast

import pytest

from strongroom.platform.web.gateway import Gateway
from strongroom.platform.web.patience import Patience
from strongroom.platform.web.reaper import Reaper

PATIENCE = Patience()
SHARE = PATIENCE.owed // 2 + 1  # of two callers that together owe too much
NOW = 1000.0


class Answering:
    """A gateway that has answered every caller with so many bytes."""

    patience = PATIENCE

    def __init__(self, answered: int) -> None:
        self._answered = answered

    def is_busy(self, _caller: str) -> bool:
        return True

    def ended(self, _caller: str) -> float | None:
        return None

    def answered(self, _caller: str) -> int:
        return self._answered

    def forget_others(self, _callers: set[str]) -> None:
        """Nothing is kept."""


@pytest.fixture
def listener() -> Generator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


@pytest.mark.parametrize(("callers", "cut"), [(1, 0), (2, 2)])
def test_while_too_much_is_owed_who_takes_nothing_has_two_seconds(
    listener: socket.socket, callers: int, cut: int
) -> None:
    port = listener.getsockname()[1]
    reaper = Reaper(port, cast(Gateway, cast(Any, Answering(SHARE))), crowd=100)
    with ExitStack() as stack:
        for _ in range(callers):
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            stack.enter_context(listener.accept()[0])
        assert reaper.look(NOW) == 0
        assert reaper.look(NOW + PATIENCE.hurried) == 0
        assert reaper.look(NOW + PATIENCE.hurried + 0.1) == cut


def test_who_takes_nothing_has_half_a_minute_otherwise(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    reaper = Reaper(port, cast(Gateway, cast(Any, Answering(SHARE))), crowd=100)
    with socket.create_connection(("127.0.0.1", port)), listener.accept()[0]:
        assert [reaper.look(NOW), reaper.look(NOW + PATIENCE.stalled), reaper.look(NOW + PATIENCE.stalled + 0.1)] == [
            0,
            0,
            1,
        ]
