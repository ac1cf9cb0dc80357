"""Backup store in a local folder, with the durability that a local object store library does not give.

Temporary file → fsync → link (fails if the name is taken) → fsync of the folder.
"""

import os
import secrets
import stat
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from ...config.errors import CallError, FailedError
from ...config.stores import LOCAL
from ...platform.keys import durable
from .contract import ObjectWriter, StoredObject, check_name, missing, taken


class LocalStore:
    """A `Store` in the folder `root`; files have mode 0600, folders 0700."""

    def __init__(self, root: Path, name: str = LOCAL) -> None:
        """The folder is made at the first write."""
        self.root = root
        self.name = name

    @contextmanager
    def create(self, name: str) -> Generator[ObjectWriter]:
        """Write a new object; see `Store.create`."""
        path = self._path(name)
        if path.exists():
            raise taken(name)
        durable.make_folder(path.parent)
        temporary = path.with_name(f"{durable.TEMPORARY}{secrets.token_hex(8)}")
        file = _open_new(temporary, name)
        try:
            yield _FullWriter(file, name)
            _finish(file, name)
            _publish(temporary, path, name)
        finally:
            with suppress(OSError):  # closing flushes; what matters was flushed and looked at before
                file.close()
            temporary.unlink(missing_ok=True)

    @contextmanager
    def open(self, name: str) -> Generator[BinaryIO]:
        """Read an object; see `Store.open`."""
        try:
            file = self._path(name).open("rb")
        except FileNotFoundError as error:
            raise missing(name) from error
        except OSError as error:
            raise FailedError(f"The object {name} of the backup store cannot be read: {error.strerror}.") from error
        with file:
            yield file

    def exists(self, name: str) -> bool:
        """Say whether the object is there."""
        try:
            return stat.S_ISREG(self._path(name).stat().st_mode)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise FailedError(f"The object {name} of the backup store cannot be read: {error.strerror}.") from error

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """Yield the objects in the folder `prefix` and below, sorted by name."""
        folder = self._path(prefix) if prefix else self.root
        for path in sorted(folder.rglob("*"), key=Path.as_posix):
            if not path.name.startswith(durable.TEMPORARY) and (found := self._describe(path)):
                yield found

    def delete(self, name: str) -> bool:
        """Remove an object; return whether it was there."""
        path = self._path(name)
        return path.parent.is_dir() and durable.remove(path)

    def replace(self, name: str, content: bytes) -> None:
        """Put `content` in the place of whatever was there."""
        path = self._path(name)
        durable.make_folder(path.parent)
        durable.replace(path, content)

    def abandoned(self) -> Iterator[StoredObject]:
        """Yield temporary files of writers that were killed, and of those still at work: compare the time."""
        for path in sorted(self.root.rglob(f"{durable.TEMPORARY}*")):
            if found := self._describe(path):
                yield found

    def delete_abandoned(self, name: str) -> bool:
        """Remove one of `abandoned`."""
        path = self.root / name
        if not path.name.startswith(durable.TEMPORARY) or ".." in path.parts:
            raise CallError(f"“{name[:80]}” is no unfinished object.")
        return durable.remove(path)

    def _path(self, name: str) -> Path:
        return self.root / check_name(name)

    def _describe(self, path: Path) -> StoredObject | None:
        try:
            status = path.stat()
        except FileNotFoundError:
            return None
        if not path.is_file():
            return None
        modified = datetime.fromtimestamp(status.st_mtime, UTC)
        return StoredObject(path.relative_to(self.root).as_posix(), status.st_size, modified)


class _FullWriter:
    """Writes all bytes or says that the disk did not take them."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self._name = name

    def write(self, data: bytes, /) -> int:
        try:
            return self._file.write(data)
        except OSError as error:
            raise _unwritable(self._name, error) from error


def _open_new(path: Path, name: str) -> BinaryIO:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unwritable(name, error) from error
    return os.fdopen(descriptor, "wb", 1 << 18)


def _finish(file: BinaryIO, name: str) -> None:
    try:
        file.flush()
        os.fsync(file.fileno())
    except OSError as error:
        raise _unwritable(name, error) from error


def _publish(temporary: Path, path: Path, name: str) -> None:
    try:
        os.link(temporary, path)
        durable.sync_folder(path.parent)
    except FileExistsError as error:
        raise taken(name) from error
    except OSError as error:
        raise _unwritable(name, error) from error


def _unwritable(name: str, error: OSError) -> FailedError:
    return FailedError(f"The object {name} cannot be written to the backup store: {error.strerror}.")
