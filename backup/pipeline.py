"""The two streams: `pg_dump` → zstd → age → store, and back. Memory is bounded whatever the database's size."""

import hashlib
from dataclasses import dataclass

import zstandard

from ..config.errors import VerificationError
from . import age
from .header import Header, read_frame
from .progress import Watch, unwatched
from .stores.contract import Store
from .tools import CHUNK

COMPRESSION_LEVEL = 1


@dataclass(frozen=True, slots=True)
class Written:
    """What a finished object turned out to be."""

    size: int  # bytes
    sha256: str


def write_object(
    store: Store, name: str, header: Header, dump: age.Reader, recipient: str, watch: Watch = unwatched
) -> Written:
    """Compress, encrypt and store `dump`. Nothing of it exists in the store when `dump` raises before its end.

    `watch` is told of what is stored.
    """
    with store.create(name) as target:
        counted = _Counting(target, watch)
        age.encrypt(_Compressed(header.frame(), dump), counted, recipient)
    return counted.written()


def read_object(
    store: Store,
    name: str,
    expected: Written,
    header: Header,
    identity: str,
    target: age.Writer,
    *,
    watch: Watch = unwatched,
) -> None:
    """Decrypt and decompress an object into `target`; `watch` is told of what is read from the store.

    On return the object is proved to be the one that `expected` and `header` describe, whole and authentic. What
    `target` got before that counts for nothing. Raises `VerificationError`, `NotFoundError` or what `target` raised.
    """
    with store.open(name) as file:
        source = _CountingReader(file, watch)
        age.decrypt(source, _Decompressed(header, target), identity)
    if source.written() != expected:
        raise VerificationError(f"The object {name} is not the one that the catalogue describes.")


class _Compressed:
    """The header's frame, then the compressed dump."""

    def __init__(self, frame: bytes, dump: age.Reader) -> None:
        self._frame = frame
        compressor = zstandard.ZstdCompressor(level=COMPRESSION_LEVEL)
        self._stream = compressor.stream_reader(dump, read_size=CHUNK)  # pyright: ignore[reportArgumentType]

    def read(self, size: int = -1, /) -> bytes:
        if self._frame:
            data, self._frame = self._frame[:size], self._frame[size:]
            return data
        return self._stream.read(size)


class _Decompressed:
    """Takes a zstd stream that starts with a header's frame; hands on what it decompresses to."""

    def __init__(self, expected: Header, target: age.Writer) -> None:
        self._expected = expected
        self._start: bytes | None = b""
        self._stream = zstandard.ZstdDecompressor().stream_writer(target, CHUNK, closefd=False)  # pyright: ignore[reportArgumentType]

    def write(self, data: bytes, /) -> int:
        if self._start is not None:
            self._write_start(bytes(data))
        else:
            self._hand_on(data)
        return len(data)

    def _write_start(self, data: bytes) -> None:
        assert self._start is not None
        self._start += data
        found = read_frame(self._start)
        if found is None:
            return
        header, length = found
        if header != self._expected:
            raise VerificationError("The backup object is another backup than its catalogue entry says.")
        rest, self._start = self._start[length:], None
        self._hand_on(rest)

    def _hand_on(self, data: bytes) -> None:
        try:
            self._stream.write(data)
        except zstandard.ZstdError as error:
            raise VerificationError(f"The backup object cannot be decompressed: {error}.") from error


class _Counting:
    def __init__(self, target: age.Writer, watch: Watch) -> None:
        self._target = target
        self._watch = watch
        self._hash = hashlib.sha256()
        self._size = 0

    def write(self, data: bytes, /) -> int:
        self._hash.update(data)
        self._size += len(data)
        self._watch(len(data))
        return self._target.write(data)

    def written(self) -> Written:
        return Written(self._size, self._hash.hexdigest())


class _CountingReader:
    def __init__(self, source: age.Reader, watch: Watch) -> None:
        self._source = source
        self._watch = watch
        self._hash = hashlib.sha256()
        self._size = 0

    def read(self, size: int = -1, /) -> bytes:
        data = self._source.read(size)
        self._hash.update(data)
        self._size += len(data)
        self._watch(len(data))
        return data

    def written(self) -> Written:
        return Written(self._size, self._hash.hexdigest())
