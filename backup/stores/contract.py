"""The one contract of every backup store."""

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, Protocol

from ...config.errors import CallError, NotFoundError, RefusedError

_NAME = re.compile(r"[a-z0-9_][a-z0-9._-]{0,120}(/[a-z0-9_][a-z0-9._-]{0,120}){0,5}")


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One complete object of a store."""

    name: str
    size: int  # bytes
    modified: datetime


class ObjectWriter(Protocol):
    """Takes the bytes of one object that is not there yet."""

    def write(self, data: bytes, /) -> int:
        """Append `data`, all of it; return its length."""
        ...


class Store(Protocol):
    """Named objects that are there completely or not at all, and never change.

    Names are relative paths of lower-case letters, digits, `.`, `_` and `-`; anything else raises `CallError`.
    Every method raises `FailedError` when the store does not answer, is full or denies access. Any number of threads
    may use a store at the same time.
    """

    name: str  # what the settings call the store

    def create(self, name: str) -> AbstractContextManager[ObjectWriter]:
        """Write a new object: it exists, durably, when the block ends well, and never when it raises.

        Raises `RefusedError` if an object of that name exists: nothing is overwritten.
        """
        ...

    def open(self, name: str) -> AbstractContextManager[BinaryIO]:
        """Read an object, in pieces: memory is bounded whatever its size. Raises `NotFoundError`."""
        ...

    def exists(self, name: str) -> bool:
        """Say whether the object is there."""
        ...

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """Yield the objects in the folder `prefix` and below, sorted by name; unfinished ones are not among them."""
        ...

    def delete(self, name: str) -> bool:
        """Remove an object; return whether it was there."""
        ...

    def replace(self, name: str, content: bytes) -> None:
        """Put `content` in the place of whatever was there, in one step. For copies of keys: backups never change."""
        ...

    def abandoned(self) -> Iterator[StoredObject]:
        """Yield what writers that were killed have left behind; their names are good for `delete_abandoned` only."""
        ...

    def delete_abandoned(self, name: str) -> bool:
        """Remove one of `abandoned`; return whether it was there."""
        ...


def check_name(name: str) -> str:
    """Return `name` if it may name an object. Raises `CallError`."""
    if not _NAME.fullmatch(name):
        raise CallError(f"“{name[:80]}” cannot be the name of an object in a backup store.")
    return name


def taken(name: str) -> RefusedError:
    """Return the error for an object that is there already."""
    return RefusedError(f"The backup store has an object {name} already; nothing is overwritten.")


def missing(name: str) -> NotFoundError:
    """Return the error for an object that is not there."""
    return NotFoundError(f"The backup store has no object {name}.")
