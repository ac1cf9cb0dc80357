"""The folder of wrapped objects, and its second copy.

An object is `<kind>/<id>.json` in the store and `<master id>/<kind>/<id>.json` among the copies. The copy is written
first: whatever the store holds has a copy, and of several writers the first copy decides. It is removed last.
"""

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...config.errors import CallError, FailedError, KeyMissingError, RefusedError
from . import durable
from .wrapping import MasterKey

_NAME = re.compile(r"[a-z0-9_][a-z0-9_-]{0,62}")


class ObjectFolder:
    """Wrapped objects of one master key. Every method names the file in its errors, never its content."""

    def __init__(self, folder: Path, copies: Path, master: MasterKey) -> None:
        """`copies` is the root of the second copies; those of this master key have a folder of their own in it."""
        self._folder = folder
        self._copies = copies / master.id
        self._master = master

    def path(self, kind: str, name: str) -> Path:
        """Return where the store keeps the object. Raises `CallError` for a name that is none of ours."""
        return self._folder / kind / _file_name(name)

    def copy_path(self, kind: str, name: str) -> Path:
        """Return where the second copy is."""
        return self._copies / kind / _file_name(name)

    def create(self, kind: str, name: str, payload: dict[str, Any]) -> dict[str, Any]:
        """Keep `payload` unless the object exists; return what is kept. Store and copy are durable afterwards."""
        path, copy = self.path(kind, name), self.copy_path(kind, name)
        for folder in (path.parent, self._copies.parent, self._copies, copy.parent):
            durable.make_folder(folder)
        existing = _existing(path)
        durable.write_once(copy, existing or self._master.wrap(kind, name, payload))
        copied = read_private(copy)
        kept = existing or copied
        unwrapped = self._master.unwrap(kind, name, kept, path if existing else copy)
        if kept != copied:
            durable.replace(copy, kept)  # a copy that was damaged since
        durable.write_once(path, kept)
        return unwrapped

    def replace(self, kind: str, name: str, payload: dict[str, Any]) -> None:
        """Keep `payload` instead of what the object holds; durable on return, in the copy first."""
        content = self._master.wrap(kind, name, payload)
        for path in (self.copy_path(kind, name), self.path(kind, name)):
            durable.replace(path, content)

    def read(self, kind: str, name: str) -> dict[str, Any]:
        """Return the payload. Raises `KeyMissingError`, `VerificationError`, `RefusedError`."""
        path = self.path(kind, name)
        try:
            content = read_private(path)
        except FileNotFoundError as error:
            raise KeyMissingError(f"The key store has no {kind} keys of that name: {name}.") from error
        return self._master.unwrap(kind, name, content, path)

    def read_copy(self, kind: str, name: str) -> dict[str, Any]:
        """Return the payload of the second copy. Raises `FileNotFoundError`, `VerificationError`, `RefusedError`."""
        copy = self.copy_path(kind, name)
        return self._master.unwrap(kind, name, read_private(copy), copy)

    def destroy(self, kind: str, name: str) -> None:
        """Remove the object and its copy; both are gone durably afterwards, and repeating it is harmless."""
        for path in (self.path(kind, name), self.copy_path(kind, name)):
            if path.parent.exists():
                durable.remove(path)

    def names(self, kind: str) -> list[str]:
        """Return the ids of all objects of this kind, sorted."""
        return sorted(path.stem for path in _documents(self._folder / kind))

    def recover(self) -> int:
        """Bring back every object that only the second copy still has; return how many."""
        copies = [path for kind in sorted(self._copies.glob("*")) for path in _documents(kind)]
        return sum(self._recover_one(path) for path in copies)

    def accept(self, kind: str, name: str, content: bytes) -> bool:
        """Take an object from a copy elsewhere, unless it is here already; return whether it was not.

        Copy and store are durable afterwards. Raises `VerificationError` for what this master key did not wrap.
        """
        path, copy = self.path(kind, name), self.copy_path(kind, name)
        self._master.unwrap(kind, name, content, copy)
        for folder in (self._copies.parent, self._copies, copy.parent, path.parent):
            durable.make_folder(folder)
        durable.write_once(copy, content)
        return durable.write_once(path, content)

    def _recover_one(self, copy: Path) -> bool:
        kind, name = copy.parent.name, copy.stem
        content = read_private(copy)
        self._master.unwrap(kind, name, content, copy)
        path = self.path(kind, name)
        durable.make_folder(path.parent)
        return durable.write_once(path, content)


def _existing(path: Path) -> bytes | None:
    try:
        return read_private(path)
    except FileNotFoundError:
        return None


def read_private(path: Path) -> bytes:
    """Return the content of a file that only its owner may touch.

    Raises `RefusedError` if others may, `FailedError` if it cannot be read, `FileNotFoundError` if it is not there.
    """
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
            check_private(path, os.fstat(file.fileno()))
            return file.read()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise FailedError(f"{path} cannot be read: {error.strerror}.") from error


def check_private(path: Path, status: os.stat_result) -> None:
    """Raise `RefusedError` if group or others have any right, or somebody else is the owner."""
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o077:
        right = "0700" if stat.S_ISDIR(status.st_mode) else "0600"
        raise RefusedError(f"{path} may be touched by others (mode {mode:04o}); run: chmod {right} {path}")
    if status.st_uid != os.geteuid():
        raise RefusedError(f"{path} belongs to another user; run Strongroom as its owner.")


def _file_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise CallError(f"“{name[:80]}” is not the id of a key object.")
    return f"{name}.json"


def _documents(folder: Path) -> Iterator[Path]:
    return (path for path in folder.glob("*.json") if not path.name.startswith(durable.TEMPORARY))
