"""Backup store on an SSH server, through SFTP (draft-ietf-secsh-filexfer-02 and the extensions of OpenSSH).

Temporary name → fsync → hard link, which fails if the name is taken → removal of the temporary name.
"""

import contextlib
import io
import secrets
import stat
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import BinaryIO, cast

import paramiko

from ...config.errors import CallError, FailedError
from ...platform.keys.durable import TEMPORARY
from . import sftp_files as files
from .blocks import BLOCK, BlockReader
from .causes import answering
from .contract import ObjectWriter, StoredObject, check_name, missing, taken
from .ssh import Login, beside, connect, is_alive

_FAILURES = (OSError, EOFError, paramiko.SSHException)
_PIECE = 1 << 18  # bytes that are sent together; the last ones are sent alone, and waited for


class SftpStore:
    """A `Store` in the folder `root` of an SSH server; each thread has a connection of its own."""

    def __init__(self, name: str, login: Login, root: str) -> None:
        """Connects at the first use."""
        self.name = name
        self._login = login
        self._root = root.rstrip("/")
        self._threads = threading.local()

    @contextmanager
    def create(self, name: str) -> Generator[ObjectWriter]:
        """Write a new object; see `Store.create`."""
        path = self._path(name)
        temporary = self._temporary(path)
        with self.session(f"take {name}") as sftp:
            if files.is_file(sftp, path):
                raise taken(name)
            writer = _Writer(self, name, beside(sftp), temporary)
        try:
            yield writer
            writer.finish()
            with self.session(f"take {name}") as sftp:
                files.publish(sftp, temporary, path, name)
        finally:
            writer.close()
            with suppress(FailedError), self.session("clear up") as sftp:
                files.remove(sftp, temporary)

    @contextmanager
    def open(self, name: str) -> Generator[BinaryIO]:
        """Read an object; see `Store.open`."""
        path = self._path(name)
        with self.session(f"give {name}") as sftp:
            try:
                file = sftp.open(path, "rb")
                size = int(file.stat().st_size or 0)
            except FileNotFoundError:
                raise missing(name) from None
        with contextlib.closing(file), io.BufferedReader(_Blocks(self, name, file, size), BLOCK) as reader:
            yield cast(BinaryIO, reader)

    def exists(self, name: str) -> bool:
        """Say whether the object is there."""
        path = self._path(name)
        with self.session(f"say whether it has {name}") as sftp:
            return files.is_file(sftp, path)

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """Yield the objects in the folder `prefix` and below, sorted by name."""
        if prefix:
            check_name(prefix)
        found = [one for one in self._walk(prefix) if not _is_temporary(one.name)]
        yield from sorted(found, key=lambda one: one.name)

    def delete(self, name: str) -> bool:
        """Remove an object; return whether it was there."""
        path = self._path(name)
        with self.session(f"delete {name}") as sftp:
            return files.remove(sftp, path)

    def replace(self, name: str, content: bytes) -> None:
        """Put `content` in the place of whatever was there."""
        path = self._path(name)
        temporary = self._temporary(path)
        with self.session(f"take {name}") as sftp:
            writer = _Writer(self, name, beside(sftp), temporary)
            try:
                writer.write(content)
                writer.finish()
                sftp.posix_rename(temporary, path)
            except BaseException:
                files.remove(sftp, temporary)
                raise
            finally:
                writer.close()

    def abandoned(self) -> Iterator[StoredObject]:
        """Yield temporary files of writers that were killed, and of those still at work: compare the time."""
        return iter(sorted((one for one in self._walk("") if _is_temporary(one.name)), key=lambda one: one.name))

    def delete_abandoned(self, name: str) -> bool:
        """Remove one of `abandoned`."""
        if not _is_temporary(name) or ".." in name.split("/"):
            raise CallError(f"“{name[:80]}” is no unfinished object.")
        with self.session("delete an unfinished object") as sftp:
            return files.remove(sftp, f"{self._root}/{name}")

    def make_root(self) -> bool:
        """Make the folder of the store; return whether it was not there."""
        with self.session("make its folder") as sftp:
            if files.exists(sftp, self._root or "/"):
                return False
            files.make_folders(sftp, self._root)
            return True

    def _path(self, name: str) -> str:
        return f"{self._root}/{check_name(name)}"

    def _temporary(self, path: str) -> str:
        folder, _, last = path.rpartition("/")
        return f"{folder}/{TEMPORARY}{last}-{secrets.token_hex(8)}"

    def _walk(self, prefix: str) -> Iterator[StoredObject]:
        folders = [prefix]
        while folders:
            folder = folders.pop()
            with self.session("list its objects") as sftp:
                try:
                    entries = sftp.listdir_attr("/".join(filter(None, (self._root, folder))) or "/")
                except FileNotFoundError:  # nothing was written yet, or a folder went meanwhile
                    continue
            for entry in entries:
                name = "/".join(filter(None, (folder, entry.filename)))
                if stat.S_ISDIR(entry.st_mode or 0):
                    folders.append(name)
                elif stat.S_ISREG(entry.st_mode or 0):
                    modified = datetime.fromtimestamp(entry.st_mtime or 0, UTC)
                    yield StoredObject(name, entry.st_size or 0, modified)

    @contextmanager
    def session(self, doing: str) -> Generator[paramiko.SFTPClient]:
        """Yield this thread's connection; what fails in the block becomes one `FailedError`."""
        with answering(self.name, doing, *_FAILURES):
            try:
                yield self._client()
            except (EOFError, TimeoutError, paramiko.SSHException):
                self._disconnect()  # the next call gets a fresh connection
                raise

    def _client(self) -> paramiko.SFTPClient:
        """Return this thread's connection: paramiko's answers are not told apart between threads."""
        found: paramiko.SFTPClient | None = getattr(self._threads, "client", None)
        if found is not None and is_alive(found):
            return found
        self._threads.client = client = connect(self._login)
        return client

    def _disconnect(self) -> None:
        found: paramiko.SFTPClient | None = getattr(self._threads, "client", None)
        self._threads.client = None
        if found is not None:
            with suppress(*_FAILURES):
                found.close()


class _Writer:
    """Sends without waiting for each answer, but for the last one: with it every error has come.

    It has a channel of its own: what else happens on the same one would take answers away that it waits for.
    """

    def __init__(self, store: SftpStore, name: str, sftp: paramiko.SFTPClient, path: str) -> None:
        self._store = store
        self._name = name
        self._sftp = sftp
        self._file = files.open_new(sftp, path)
        self._size = 0
        self._waiting = bytearray()
        self._file.set_pipelined(True)

    def write(self, data: bytes, /) -> int:
        self._waiting += data
        if len(self._waiting) > _PIECE:
            with self._store.session(f"take {self._name}"):
                self._send(len(self._waiting) - 1)
        return len(data)

    def finish(self) -> None:
        """Have all of it durable there, as far as the server goes."""
        with self._store.session(f"take {self._name}"):
            self._file.set_pipelined(False)
            self._send(len(self._waiting))
            files.sync(self._sftp, self._file)
            if self._file.stat().st_size != self._size:
                raise OSError("no space left, it seems")
            self._file.close()

    def close(self) -> None:
        """Give the channel back."""
        with suppress(*_FAILURES):
            self._sftp.close()

    def _send(self, length: int) -> None:
        if length:
            self._file.write(bytes(self._waiting[:length]))
            del self._waiting[:length]
            self._size += length


class _Blocks(BlockReader):
    """Reads a file block by block, with many requests on their way for each block."""

    def __init__(self, store: SftpStore, name: str, file: paramiko.SFTPFile, size: int) -> None:
        self._store = store
        self._name = name
        self._file = file
        self._size = size
        self._position = 0

    def next_piece(self, most: int) -> bytes:
        length = min(most, BLOCK, self._size - self._position)
        if length <= 0:
            return b""
        with self._store.session(f"give {self._name}"):
            piece = b"".join(self._file.readv([(self._position, length)]))
        self._position += len(piece)
        return piece


def _is_temporary(name: str) -> bool:
    return name.rpartition("/")[2].startswith(TEMPORARY)
