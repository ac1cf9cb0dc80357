"""Collects the bodies of requests: at a least rate, of the length that was said, and as long as there is room."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Protocol

from .early_answers import RefusedRequestError, too_busy
from .patience import Patience
from .room import MIB, Room, network

SMALL = MIB  # bytes: up to here a body has a room that no uploads can fill
# Bytes in one process, altogether and of one address.
ROOM_OF_SMALL = 64 * MIB, 16 * MIB
ROOM_OF_LARGE = 256 * MIB, 128 * MIB
MOST_DISCARDED = 64 * MIB  # of a body that is too large: read on, so that the page that says so is seen


class Transport(Protocol):
    """How granian hands a body over and takes an answer."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...
    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None: ...  # noqa: D102


class Bodies:
    """All bodies of one process that are on their way. `by_address`: whether callers are told apart by theirs."""

    def __init__(self, patience: Patience, *, by_address: bool) -> None:
        self._patience = patience
        rooms = (ROOM_OF_SMALL, ROOM_OF_LARGE)
        self._small, self._large = (Room(most, of_one if by_address else most) for most, of_one in rooms)

    @property
    def held(self) -> int:
        """Bytes that are held now."""
        return self._small.held + self._large.held

    @asynccontextmanager
    async def collected(self, transport: Transport, address: str, declared: int, most: int) -> AsyncGenerator[bytes]:
        """The body, for as long as the block runs; empty where it is larger than `most` bytes.

        That it is, the application says in its own words. Raises `RefusedRequestError`.
        """
        address, kept = network(address), declared <= most
        if not declared or (not kept and (not most or declared > MOST_DISCARDED)):
            yield b""
            return
        room, body = self._small if declared <= SMALL else self._large, bytearray()

        def keep(chunk: bytes) -> None:
            if not room.take(address, len(chunk)):
                raise too_busy()
            body.extend(chunk)

        try:
            _check_length(await self._read(transport, keep if kept else _drop), declared)
            yield bytes(body)
        finally:
            room.give(address, len(body))

    async def check_none(self, transport: Transport) -> None:
        """Raise `RefusedRequestError` where a body came that said no length: HTTP/2 allows that, we do not."""

        def refuse(chunk: bytes) -> None:
            if chunk:
                raise RefusedRequestError(HTTPStatus.LENGTH_REQUIRED, "A body has to say its length.")

        await self._read(transport, refuse)

    async def _read(self, transport: Transport, take: Callable[[bytes], None]) -> int:
        """Hand over the body's pieces, for as long as they come fast enough; return how many bytes they were."""
        began, received = asyncio.get_running_loop().time(), 0
        try:
            async with asyncio.timeout_at(self._patience.next_deadline(began, 0, began)) as limit:
                async for chunk in transport:
                    received += len(chunk)
                    limit.reschedule(self._patience.next_deadline(began, received, asyncio.get_running_loop().time()))
                    take(chunk)
        except TimeoutError as error:
            sentence = "The request came too slowly. Please send it again."
            raise RefusedRequestError(HTTPStatus.REQUEST_TIMEOUT, sentence) from error
        return received


def _drop(_chunk: bytes) -> None:
    """Of a body that is too large."""


def _check_length(received: int, declared: int) -> None:
    """A body that broke off must not be taken for a whole one; granian just ends it."""
    if received != declared:
        raise RefusedRequestError(HTTPStatus.BAD_REQUEST, "The body has another length than it was said to have.")
