"""A running server's files as a tar stream, and back into a folder. Plain USTAR, so that `tar` opens it as well.

The server writes while its files are read. That is as it should be: the log since the start of the base backup holds
every page that changes, whole. A file keeps the length that it had when it was opened, whatever becomes of it.
"""

import os
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from ...config.errors import VerificationError
from ..tools import CHUNK

_BLOCK = tarfile.BLOCKSIZE
_END = bytes(2 * _BLOCK)


class TarStream:
    """Reads as a tar stream of files and folders below `root`; a file that is gone meanwhile is left out."""

    def __init__(self, root: Path, paths: Iterable[Path]) -> None:
        """`paths` are relative to `root`; a folder stands before what is in it."""
        self._chunks = _stream(root, paths)
        self._rest = b""

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes, at most `size`; none at the end."""
        if not self._rest:
            self._rest = next(self._chunks, b"")
        wanted = len(self._rest) if size < 0 else size
        data, self._rest = self._rest[:wanted], self._rest[wanted:]
        return data


class Unpacking:
    """Takes a tar stream of `TarStream`'s making and writes what is in it below `root`."""

    def __init__(self, root: Path, uid: int = -1, gid: int = -1) -> None:
        """What is written belongs to `uid` and `gid`; -1: to us."""
        self._root = root
        self._owner = uid, gid
        self._pending = b""
        self._file: IO[bytes] | None = None
        self._left = 0  # bytes of the file that is being written
        self._padding = 0
        self._ended = False

    def write(self, data: bytes, /) -> int:
        """Take the next bytes. Raises `VerificationError` for what is no tar stream of ours."""
        length, data = len(data), self._pending + bytes(data) if self._pending else bytes(data)
        position = 0
        while position < len(data) and not self._ended:
            taken = self._take(memoryview(data)[position:])
            if taken == 0:
                break
            position += taken
        self._pending = b"" if self._ended else data[position:]
        return length

    def finish(self) -> None:
        """Raise `VerificationError` unless the stream came to its end."""
        if self._file is not None or not self._ended:
            raise VerificationError("A part of the base backup ends too early.")

    def close(self) -> None:
        """Close what is open after a failure."""
        if self._file is not None:
            self._file.close()

    def _take(self, data: memoryview) -> int:
        if self._file is not None:
            return self._take_content(data)
        if self._padding:
            skipped = min(self._padding, len(data))
            self._padding -= skipped
            return skipped
        if len(data) < _BLOCK:
            return 0
        self._take_header(bytes(data[:_BLOCK]))
        return _BLOCK

    def _take_content(self, data: memoryview) -> int:
        assert self._file is not None
        taken = min(self._left, len(data))
        self._file.write(data[:taken])
        self._left -= taken
        if self._left == 0:
            self._file.close()
            self._file = None
        return taken

    def _take_header(self, block: bytes) -> None:
        if block == bytes(_BLOCK):
            self._ended = True
            return
        try:
            entry = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
        except tarfile.HeaderError as error:
            raise VerificationError("A part of the base backup is damaged.") from error
        path = self._root / _checked(entry.name)
        if entry.isdir():
            path.mkdir(mode=0o700, exist_ok=True)
        else:
            self._begin_file(path, entry.size)
        if self._owner != (-1, -1):
            os.chown(path, *self._owner)

    def _begin_file(self, path: Path, size: int) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        file = os.fdopen(descriptor, "wb")
        self._padding = -size % _BLOCK
        if size:
            self._file, self._left = file, size
        else:
            file.close()


def _stream(root: Path, paths: Iterable[Path]) -> Iterator[bytes]:
    for path in paths:
        try:
            if (root / path).is_dir():
                yield _header(path, 0, tarfile.DIRTYPE)
                continue
            file = (root / path).open("rb")
        except FileNotFoundError:
            continue
        with file:
            size = os.fstat(file.fileno()).st_size
            yield _header(path, size, tarfile.REGTYPE)
            yield from _content(file, size)
    yield _END


def _content(file: IO[bytes], size: int) -> Iterator[bytes]:
    left = size
    while left:
        data = file.read(min(left, CHUNK)) or bytes(min(left, CHUNK))  # cut short meanwhile: the log knows
        left -= len(data)
        yield data
    if padding := -size % _BLOCK:
        yield bytes(padding)


def _header(path: Path, size: int, kind: bytes) -> bytes:
    entry = tarfile.TarInfo(path.as_posix())
    entry.size, entry.type, entry.mode = size, kind, 0o700 if kind == tarfile.DIRTYPE else 0o600
    return entry.tobuf(tarfile.USTAR_FORMAT)


def _checked(name: str) -> str:
    if name.startswith("/") or ".." in Path(name).parts:
        raise VerificationError("A part of the base backup names a file outside of it.")
    return name
