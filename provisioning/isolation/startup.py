"""The bare first message of a connection, and the server's first answer to it: which layer stops a login, for little.

The format is PostgreSQL's protocol 3.0: documentation, “Message Formats”, StartupMessage and ErrorResponse.
"""

import socket
import struct
from dataclasses import dataclass

_PROTOCOL = 3 << 16
_SECONDS = 10.0  # for an answer, on a machine that is busy


@dataclass(frozen=True, slots=True)
class Refusal:
    """The server's first answer when it is an error."""

    sqlstate: str
    message: str


def refusal(folder: str, port: int, user: str, database: str, **more: str) -> Refusal | None:
    """Say how the server behind the Unix socket in `folder` refuses `user` at once; None if it asks for a proof.

    Raises `OSError` when it does not answer.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_SECONDS)
        connection.connect(f"{folder}/.s.PGSQL.{port}")
        connection.sendall(_message({"user": user, "database": database, **more}))
        kind, body = _answer(connection)
    return _parsed(body) if kind == b"E" else None


def _message(parameters: dict[str, str]) -> bytes:
    pairs = b"".join(name.encode() + b"\0" + value.encode() + b"\0" for name, value in parameters.items())
    body = struct.pack("!i", _PROTOCOL) + pairs + b"\0"
    return struct.pack("!i", len(body) + 4) + body


def _answer(connection: socket.socket) -> tuple[bytes, bytes]:
    head = _exactly(connection, 5)
    return head[:1], _exactly(connection, struct.unpack("!i", head[1:])[0] - 4)


def _exactly(connection: socket.socket, length: int) -> bytes:
    received = b""
    while len(received) < length:
        part = connection.recv(length - len(received))
        if not part:
            raise ConnectionError("the server ended the connection without an answer")
        received += part
    return received


def _parsed(body: bytes) -> Refusal:
    fields = {part[:1]: part[1:].decode("utf-8", "replace") for part in body.split(b"\0") if part}
    return Refusal(fields.get(b"C", ""), fields.get(b"M", ""))
