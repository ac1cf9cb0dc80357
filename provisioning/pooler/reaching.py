"""Whether a pooler may be recorded: one that nobody answers at, or trusts, costs all workspaces of its server."""

import socket
import ssl
from pathlib import Path

from ...config.errors import RefusedError
from .certificate import trusts
from .configuration import on_socket

_SECONDS = 5.0
# “Shall we speak TLS?”, and yes: PostgreSQL documentation, “Message Formats”, SSLRequest. PgBouncer says the same.
_TLS_REQUEST = bytes((0, 0, 0, 8, 4, 210, 22, 47))
_TLS_GRANTED = b"S"


def require_pooler(server_name: str, authority: str | None, address: tuple[str, int]) -> None:
    """Raise `RefusedError` unless a pooler with a certificate from `authority` (PEM) answers at `address` over TLS.

    On a Unix socket (the host is a folder) there is no certificate, and answering is all.
    """
    host, port = address
    where = f"{host}, port {port}"
    run = f"strongroom server pooler run {server_name} --address {_written(host, port)} --output DIR"
    if not on_socket(host) and not trusts(authority or "", host):
        raise RefusedError(
            f"“{server_name}” has no pooler with a certificate for {host}: correct the name, or run `{run}` first."
        )
    try:
        _greet(host, port, authority)
    except ssl.SSLError as error:
        raise RefusedError(f"What answers at {where} is not the pooler of “{server_name}” ({error.reason}).") from error
    except OSError as error:
        raise RefusedError(f"No pooler answers at {where} ({error.strerror or error}); run `{run}` first.") from error


def _greet(host: str, port: int, authority: str | None) -> None:
    if on_socket(host):
        with socket.socket(socket.AF_UNIX) as caller:
            caller.settimeout(_SECONDS)
            caller.connect(str(Path(host) / f".s.PGSQL.{port}"))
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(cadata=authority)
    with socket.create_connection((host, port), _SECONDS) as plain:
        plain.sendall(_TLS_REQUEST)
        if plain.recv(1) != _TLS_GRANTED:
            raise ConnectionError("it speaks no TLS")
        context.wrap_socket(plain, server_hostname=host).close()


def _written(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
