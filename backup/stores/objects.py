"""Backup store in a bucket: S3, Google Cloud Storage, Azure, through obstore.

Small objects go in one request that fails if the name is taken. Larger ones go in parts of fixed size, at most
`IN_FLIGHT` of them at a time, so memory stays below 32 MB; they are visible when the last request succeeded.
"""

import io
import logging
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, BinaryIO, Protocol, cast

import obstore
from obstore.exceptions import BaseError, GenericError
from obstore.store import ObjectStore

from ...config.errors import StrongroomError
from .blocks import BLOCK, BlockReader
from .causes import NO_BUCKET, answering, cause, no_bucket
from .contract import ObjectWriter, StoredObject, check_name, missing, taken

PART = 10 << 20  # bytes; S3 takes at most 10,000 parts, so an object has at most 97 GiB
IN_FLIGHT = 2

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a store may take. Seconds, for one request; a failed request is repeated `retries` times."""

    connect: float = 10.0  # also for a stalled piece of what is sent
    request: float = 120.0  # a part at 90 kB/s
    silence: float = 30.0  # between two pieces of an answer
    retries: int = 3

    def client_options(self) -> dict[str, Any]:
        """Return obstore's names for it."""
        return {
            "connect_timeout": timedelta(seconds=self.connect),
            "timeout": timedelta(seconds=self.request),
            "read_timeout": timedelta(seconds=self.silence),
        }

    def retry_config(self) -> dict[str, Any]:
        """Return obstore's names for it."""
        pauses = {"init_backoff": timedelta(milliseconds=200), "max_backoff": timedelta(seconds=5), "base": 2}
        limit = timedelta(seconds=self.request * (self.retries + 1))
        return {"max_retries": self.retries, "backoff": pauses, "retry_timeout": limit}


class Upload(Protocol):
    """One object on its way, part by part. Nothing of it is visible before `finish`."""

    def add(self, part: bytes, /) -> None:
        """Send the next part; all but the last have the size `PART`."""
        ...

    def finish(self) -> None:
        """Make the object visible. Raises `RefusedError` if its name was taken meanwhile."""
        ...

    def abort(self) -> None:
        """Leave nothing of it."""
        ...


class Uploads(Protocol):
    """How a provider takes an object in parts, and what killed writers have left there."""

    def put_new(self, name: str, content: bytes) -> None:
        """Store a small object in one request. Raises `RefusedError` if the name is taken."""
        ...

    def begin(self, name: str) -> Upload:
        """Begin an upload."""
        ...

    def abandoned(self) -> Iterator[StoredObject]:
        """Yield uploads without an end."""
        ...

    def delete_abandoned(self, name: str) -> bool:
        """Remove one of them. Raises `CallError` for a name that is none of theirs."""
        ...


class BucketStore:
    """A `Store` in a bucket, below the prefix that `store` carries."""

    def __init__(self, name: str, store: ObjectStore, uploads: Uploads) -> None:
        """`name` is what the settings call it."""
        self.name = name
        self._store = store
        self._uploads = uploads

    @contextmanager
    def create(self, name: str) -> Generator[ObjectWriter]:
        """Write a new object; see `Store.create`."""
        writer = _Writer(self, check_name(name))
        try:
            yield writer
            writer.finish()
        except BaseException:
            writer.abort()
            raise

    @contextmanager
    def open(self, name: str) -> Generator[BinaryIO]:
        """Read an object; see `Store.open`."""
        with io.BufferedReader(_Blocks(self, check_name(name))) as file:
            yield cast(BinaryIO, file)

    def exists(self, name: str) -> bool:
        """Say whether the object is there."""
        with self._answering(f"say whether it has {name}"):
            try:
                obstore.head(self._store, check_name(name))
            except FileNotFoundError:
                self._require_bucket(name)
                return False
            return True

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """Yield the objects in the folder `prefix` and below, sorted by name."""
        if prefix:
            check_name(prefix)
        with self._answering("list its objects", FileNotFoundError):
            for page in obstore.list(self._store, prefix=prefix or None, chunk_size=1000):  # pyright: ignore[reportUnknownMemberType]  # Arrow
                for found in page:
                    yield StoredObject(found["path"], found["size"], found["last_modified"])

    def delete(self, name: str) -> bool:
        """Remove an object; return whether it was there."""
        if not self.exists(name):
            return False
        with self._answering(f"delete {name}", FileNotFoundError):
            obstore.delete(self._store, name)
        return True

    def replace(self, name: str, content: bytes) -> None:
        """Put `content` in the place of whatever was there."""
        with self._answering(f"take {name}", FileNotFoundError):
            obstore.put(self._store, check_name(name), content, use_multipart=False)

    def abandoned(self) -> Iterator[StoredObject]:
        """Yield the uploads of writers that were killed, and of those still at work: compare the time."""
        return self._uploads.abandoned()

    def delete_abandoned(self, name: str) -> bool:
        """Remove one of `abandoned`."""
        return self._uploads.delete_abandoned(name)

    def put_new(self, name: str, content: bytes) -> None:
        """Store a small object in one request. Raises `RefusedError` if the name is taken."""
        self._uploads.put_new(name, content)

    def begin(self, name: str) -> Upload:
        """Begin a large object. Raises `RefusedError` if the name is taken, before much was sent."""
        if self.exists(name):
            raise taken(name)
        return self._uploads.begin(name)

    def first_block(self, name: str) -> tuple[bytes, int]:
        """Return the beginning of an object and the size of all of it. Raises `NotFoundError`."""
        with self._answering(f"give {name}"):
            try:
                found = obstore.get(self._store, name, options={"range": (0, BLOCK)})
                return bytes(found.bytes()), found.meta["size"]
            except FileNotFoundError as error:
                if cause(error) == NO_BUCKET:
                    raise no_bucket(self.name) from None
                raise missing(name) from None
            except GenericError as error:
                if "range" not in str(error).lower() or obstore.head(self._store, name)["size"]:
                    raise
                return b"", 0  # an empty object has no range

    def block(self, name: str, start: int, length: int) -> bytes:
        """Return a piece of an object."""
        with self._answering(f"give {name}", FileNotFoundError):
            return bytes(obstore.get_range(self._store, name, start=start, length=length))

    def _answering(self, doing: str, *more: type[BaseException]) -> Any:
        return answering(self.name, doing, BaseError, *more)

    def _require_bucket(self, name: str) -> None:
        """Raise `FailedError` if it is the bucket that is missing: the answer to HEAD has no body that would say so."""
        try:
            obstore.get(self._store, name, options={"range": (0, 1)})
        except FileNotFoundError as error:
            if cause(error) == NO_BUCKET:
                raise no_bucket(self.name) from None


class _Writer:
    """Gathers parts; an object that fits into one goes in one request."""

    def __init__(self, store: BucketStore, name: str) -> None:
        self._store = store
        self._name = name
        self._part = bytearray()
        self._upload: Upload | None = None

    def write(self, data: bytes, /) -> int:
        rest = memoryview(data)
        while rest:
            if len(self._part) == PART:
                self._send()
            room = PART - len(self._part)
            self._part += rest[:room]
            rest = rest[room:]
        return len(data)

    def finish(self) -> None:
        if self._upload is None:
            self._store.put_new(self._name, bytes(self._part))
            return
        self._send()
        self._upload.finish()

    def abort(self) -> None:
        self._part.clear()
        if self._upload is None:
            return
        try:
            self._upload.abort()
        except StrongroomError as error:  # the collector removes it, and so does the bucket's own rule
            _logger.warning("What was sent of %s is kept for now: %s", self._name, error)

    def _send(self) -> None:
        part, self._part = self._part, bytearray()
        if self._upload is None:
            self._upload = self._store.begin(self._name)
        self._upload.add(cast(bytes, part))


class _Blocks(BlockReader):
    """Reads an object block by block, each with a request of its own, which can be repeated."""

    def __init__(self, store: BucketStore, name: str) -> None:
        self._store = store
        self._name = name
        self._block, self._size = store.first_block(name)
        self._start = 0  # of the block, in the object
        self._position = 0

    def next_piece(self, most: int) -> bytes:
        if self._position >= self._size:
            return b""
        if self._position >= self._start + len(self._block):
            self._start = self._position
            length = min(BLOCK, self._size - self._position)
            self._block = self._store.block(self._name, self._start, length)
        offset = self._position - self._start
        piece = self._block[offset : offset + most]
        self._position += len(piece)
        return piece
