"""Backup store on an SSH server, through SFTP (draft-ietf-secsh-filexfer-02 and the extensions of OpenSSH).

Temporary name → fsync → hard link, which fails if the name is taken → removal of the temporary name. The host key is
pinned: the file of credentials says which one the server must have.
"""

import contextlib
import io
import logging
import re
import secrets
import socket
import stat
import threading
import weakref
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, BinaryIO, cast
from urllib.parse import urlsplit

import paramiko
from paramiko.sftp import CMD_EXTENDED

from ...config.errors import CallError, FailedError, RefusedError
from ...config.stores import StoreSettings
from ...platform.keys.durable import TEMPORARY
from .blocks import BLOCK, BlockReader
from .causes import answering
from .contract import ObjectWriter, StoredObject, check_name, missing, taken
from .credentials import Credentials
from .objects import Patience

_FAILURES = (OSError, EOFError, paramiko.SSHException)
_PIECE = 1 << 18  # bytes that are sent together; the last ones are sent alone, and waited for
_KEEP_ALIVE = 30  # seconds


@dataclass(frozen=True, slots=True)
class Login:
    """Where to connect, as whom, and which key the host must have."""

    store: str
    host: str
    port: int
    user: str
    host_key: str
    password: str = field(default="", repr=False)
    private_key: paramiko.PKey | None = field(default=None, repr=False)
    patience: Patience = field(default_factory=Patience)


def login_to(store: StoreSettings, credentials: Credentials, patience: Patience) -> Login:
    """Return the login that settings and credentials describe. Raises `CallError`."""
    parts = urlsplit(store.url)
    user = credentials.get("user") or parts.username
    if not parts.hostname or not user:
        raise CallError(f"The url of the backup store “{store.name}” must be sftp://user@host/folder.")
    key = _private_key(credentials) if credentials.get("private_key") else None
    if key is None and not credentials.get("password"):
        raise CallError(f"{credentials.path} needs a password or a private_key.")
    host_key = " ".join(credentials["host_key"].split()[:2])
    if not host_key.partition(" ")[2]:
        raise CallError(f"host_key in {credentials.path} must be as ssh-keyscan prints it: ssh-ed25519 AAAA…")
    return Login(
        store.name,
        parts.hostname,
        parts.port or 22,
        user,
        host_key,
        credentials.get("password"),
        key,
        patience,
    )


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
            if _is_file(sftp, path):
                raise taken(name)
            writer = _Writer(self, name, _beside(sftp), temporary)
        try:
            yield writer
            writer.finish()
            with self.session(f"take {name}") as sftp:
                _publish(sftp, temporary, path, name)
        finally:
            writer.close()
            with suppress(FailedError), self.session("clear up") as sftp:
                _remove(sftp, temporary)

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
            return _is_file(sftp, path)

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
            return _remove(sftp, path)

    def replace(self, name: str, content: bytes) -> None:
        """Put `content` in the place of whatever was there."""
        path = self._path(name)
        temporary = self._temporary(path)
        with self.session(f"take {name}") as sftp:
            writer = _Writer(self, name, _beside(sftp), temporary)
            try:
                writer.write(content)
                writer.finish()
                sftp.posix_rename(temporary, path)
            except BaseException:
                _remove(sftp, temporary)
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
            return _remove(sftp, f"{self._root}/{name}")

    def make_root(self) -> bool:
        """Make the folder of the store; return whether it was not there."""
        with self.session("make its folder") as sftp:
            if _exists(sftp, self._root or "/"):
                return False
            _make_folders(sftp, self._root)
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
        if found is not None and _is_alive(found):
            return found
        self._threads.client = client = _connect(self._login)
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
        self._file = _open_new(sftp, path)
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
            _sync(self._sftp, self._file)
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


def _connect(login: Login) -> paramiko.SFTPClient:
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)  # it logs what it raises, with a traceback
    patience = login.patience
    connection = socket.create_connection((login.host, login.port), timeout=patience.connect)
    transport = paramiko.Transport(connection)
    try:
        transport.banner_timeout = transport.auth_timeout = transport.handshake_timeout = patience.connect * 3
        _enter(transport, login)
        client = paramiko.SFTPClient.from_transport(transport)
        assert client is not None
    except BaseException:
        transport.close()
        raise
    channel = client.get_channel()
    if channel is not None:
        channel.settimeout(patience.silence)
    weakref.finalize(client, transport.close)
    return client


def _enter(transport: paramiko.Transport, login: Login) -> None:
    kind = login.host_key.partition(" ")[0]
    options = transport.get_security_options()
    options.key_types = [one for one in options.key_types if _same_kind(one, kind)]
    transport.start_client(timeout=login.patience.connect * 3)
    key = transport.get_remote_server_key()
    if f"{key.get_name()} {key.get_base64()}" != login.host_key:
        raise RefusedError(
            f"The host of the backup store “{login.store}” has another key than its credentials say; "
            "find out why before you change host_key."
        )
    transport.set_keepalive(_KEEP_ALIVE)
    if login.private_key is not None:
        transport.auth_publickey(login.user, login.private_key)
    else:
        transport.auth_password(login.user, login.password, fallback=False)


def _same_kind(algorithm: str, kind: str) -> bool:
    """RSA keys sign in several ways."""
    return algorithm == kind or (kind == "ssh-rsa" and algorithm.startswith("rsa-sha2-"))


def _private_key(credentials: Credentials) -> paramiko.PKey:
    passphrase = credentials.get("passphrase") or None
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        with suppress(paramiko.SSHException, ValueError, IndexError):
            return kind.from_private_key(io.StringIO(credentials["private_key"]), password=passphrase)
    raise CallError(f"private_key in {credentials.path} cannot be read: Ed25519, ECDSA or RSA, and its passphrase.")


def _is_alive(client: paramiko.SFTPClient) -> bool:
    channel = client.get_channel()
    if channel is None or channel.closed:
        return False
    return channel.get_transport().is_active()


def _beside(sftp: paramiko.SFTPClient) -> paramiko.SFTPClient:
    """Return a second channel of the same connection."""
    first = sftp.get_channel()
    assert first is not None
    second = paramiko.SFTPClient.from_transport(first.get_transport())
    assert second is not None
    channel = second.get_channel()
    if channel is not None:
        channel.settimeout(first.gettimeout())
    return second


def _is_file(sftp: paramiko.SFTPClient, path: str) -> bool:
    try:
        return stat.S_ISREG(sftp.stat(path).st_mode or 0)
    except FileNotFoundError:
        return False


def _exists(sftp: paramiko.SFTPClient, path: str) -> bool:
    try:
        sftp.stat(path)
    except FileNotFoundError:
        return False
    return True


def _remove(sftp: paramiko.SFTPClient, path: str) -> bool:
    try:
        sftp.remove(path)
    except FileNotFoundError:
        return False
    return True


def _open_new(sftp: paramiko.SFTPClient, path: str) -> paramiko.SFTPFile:
    try:
        file = sftp.open(path, "wx")
    except FileNotFoundError:
        _make_folders(sftp, path.rpartition("/")[0])
        file = sftp.open(path, "wx")
    file.chmod(0o600)
    return file


def _make_folders(sftp: paramiko.SFTPClient, folder: str) -> None:
    lacking: list[str] = []
    while folder and not _exists(sftp, folder):
        lacking.append(folder)
        folder = folder.rpartition("/")[0]
    for path in reversed(lacking):
        try:
            sftp.mkdir(path, 0o700)
        except OSError:
            if not _exists(sftp, path):  # else another writer was faster
                raise


def _sync(sftp: paramiko.SFTPClient, file: paramiko.SFTPFile) -> None:
    """Have the server's disk hold the file, where the server can do that."""
    try:
        _extended(sftp, "fsync@openssh.com", file.handle)
    except OSError as error:
        if not re.search(r"unsupported|not supported|not implemented|unknown", str(error), re.IGNORECASE):
            raise


def _publish(sftp: paramiko.SFTPClient, temporary: str, path: str, name: str) -> None:
    try:
        _extended(sftp, "hardlink@openssh.com", temporary, path)
    except OSError:
        if _exists(sftp, path):
            raise taken(name) from None
        sftp.rename(temporary, path)  # of the protocol itself: fails if there is a file


def _extended(sftp: paramiko.SFTPClient, request: str, *arguments: Any) -> None:
    cast(Any, sftp)._request(CMD_EXTENDED, request, *arguments)  # as `posix_rename` of paramiko does


def _is_temporary(name: str) -> bool:
    return name.rpartition("/")[2].startswith(TEMPORARY)
