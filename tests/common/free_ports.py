"""Ports for servers that tests start: below those that the kernel gives to whoever asks for any, or calls out.

Between being looked at and being listened on, a port of the kernel's own range (from 32,768 on) may go to another
test's server or to an outgoing connection; or a caller that tries it again and again may be given it, and reach itself.
"""

import secrets
import socket
from contextlib import ExitStack, suppress

_LOWEST, _MANY = 10_240, 20_000


def free_ports(count: int = 1) -> int:
    """The first of `count` ports in a row that nobody uses on 127.0.0.1."""
    while True:
        first = _LOWEST + secrets.randbelow(_MANY)
        with ExitStack() as held, suppress(OSError):
            for port in range(first, first + count):
                held.enter_context(socket.create_server(("127.0.0.1", port)))
            return first
