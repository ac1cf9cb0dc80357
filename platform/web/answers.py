"""Sends large answers piece by piece: the next one once the caller has room for it, and none to who takes too long.

Granian's `send_bytes` is done when the piece before it was taken by the connection, which an HTTP/2 window that stays
closed never lets it be; so at most two pieces of an answer lie beneath us, and the rest is counted here.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

from granian.rsgi import ProtocolClosed, ProtocolError  # pyright: ignore[reportPrivateImportUsage]  # documented

from .early_answers import Answer, too_busy
from .patience import Patience
from .room import MIB, Room, network

ROOM = 256 * MIB, 128 * MIB  # bytes of large answers in one process, altogether and of one address
PIECE = 64 * 1024  # bytes


class Stream(Protocol):
    """How granian takes an answer in pieces."""

    async def send_bytes(self, data: bytes) -> None: ...  # noqa: D102


class Transport(Protocol):
    """How granian hands a body over and takes an answer."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...
    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None: ...  # noqa: D102
    def response_stream(self, status: int, headers: list[tuple[str, str]]) -> Stream: ...  # noqa: D102


class Answers:
    """All large answers of one process that are on their way. `by_address`: whether callers are told apart by theirs.

    `stuck` are the connections, as `address:port`, that did not take a piece in time; the reaper cuts them off.
    """

    def __init__(self, patience: Patience, *, by_address: bool) -> None:
        self._patience = patience
        most, of_one = ROOM
        self._room = Room(most, of_one if by_address else most)
        self.stuck = set[str]()

    @property
    def held(self) -> int:
        """Bytes that are held now."""
        return self._room.held

    async def send(self, transport: Transport, caller: str, answer: Answer) -> None:
        """Send it to the connection `caller`. Raises `RefusedRequestError` where there is no room, nothing sent."""
        address, size = network(caller.rpartition(":")[0].strip("[]")), len(answer.body)
        if not self._room.take(address, size):
            raise too_busy()
        try:
            await self._send(transport.response_stream(answer.status, answer.headers), answer.body)
        except TimeoutError:
            self.stuck.add(caller)
        except (ProtocolClosed, ProtocolError):  # the caller went away
            pass
        finally:
            self._room.give(address, size)

    async def _send(self, stream: Stream, body: bytes) -> None:
        for start in range(0, len(body), PIECE):
            async with asyncio.timeout(self._patience.stalled):
                await stream.send_bytes(body[start : start + PIECE])
