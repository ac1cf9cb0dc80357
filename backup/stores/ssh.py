"""The connection to the SSH server of a backup store: who we are there, and that it is the right one.

The host key is pinned: the file of credentials says which one the server must have.
"""

import io
import logging
import socket
import weakref
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import paramiko

from ...config.errors import CallError, RefusedError
from ...config.stores import StoreSettings
from .credentials import Credentials
from .objects import Patience

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


def connect(login: Login) -> paramiko.SFTPClient:
    """Enter the server; what is returned closes its connection when it goes. Raises `RefusedError` for another key."""
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


def is_alive(client: paramiko.SFTPClient) -> bool:
    """Whether the connection still stands, as far as this side knows."""
    channel = client.get_channel()
    if channel is None or channel.closed:
        return False
    return channel.get_transport().is_active()


def beside(sftp: paramiko.SFTPClient) -> paramiko.SFTPClient:
    """Return a second channel of the same connection."""
    first = sftp.get_channel()
    assert first is not None
    second = paramiko.SFTPClient.from_transport(first.get_transport())
    assert second is not None
    channel = second.get_channel()
    if channel is not None:
        channel.settimeout(first.gettimeout())
    return second
