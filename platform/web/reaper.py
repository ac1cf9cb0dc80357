"""Cuts off connections that have had their time, in each process that serves.

Granian bounds the handshake and the head of an HTTP/1.1 request, and nothing else: a caller that says nothing after the
handshake, or keeps an HTTP/2 connection without asking for anything, stays for ever. It offers no setting for that, so
the kernel is asked about every accepted connection of this process (tcp(7), TCP_INFO), and what is overdue is shut down
beneath the server, which sees a caller that went away. Works on Linux; elsewhere it does nothing.
"""

import logging
import os
import socket
import stat
import struct
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from .patience import Connection, Patience, overdue

if TYPE_CHECKING:
    from .gateway import Gateway

log = logging.getLogger(__name__)
_DESCRIPTORS = Path("/proc/self/fd")
_ESTABLISHED, _CLOSE_WAIT = 1, 8
# Places in struct tcp_info of linux/tcp.h: tcpi_state, tcpi_unacked, tcpi_bytes_acked, tcpi_notsent_bytes.
_STATE, _UNACKED, _ACKED, _NOT_SENT = 0, 24, 120, 144
_LENGTH = 148


class Reaper(threading.Thread):
    """Looks every few seconds at the connections to `port`, whose requests `gateway` answers.

    From `crowd` connections on, those that have no request at work are given less time; so are those that take nothing
    of their answers, while too much of them waits in memory.
    """

    def __init__(self, port: int, gateway: "Gateway", crowd: int) -> None:
        super().__init__(daemon=True, name="reaper")
        self._port, self._gateway, self._crowd = port, gateway, crowd
        self._patience: Patience = gateway.patience
        self._known: dict[str, Connection] = {}
        self._owed = 0  # bytes of answers that all callers together had not taken at the last look

    def run(self) -> None:
        """Look until the process ends."""
        while sys.platform.startswith("linux"):
            time.sleep(self._patience.look_every)
            try:
                self.look(time.monotonic())
            except Exception:
                log.warning("The connections could not be looked at", exc_info=True)

    def look(self, now: float) -> int:
        """Look once; return how many connections were cut off."""
        cut, seen = 0, set[str]()
        crowded = len(self._known) >= self._crowd
        self._owed = sum(one.owed for one in self._known.values())
        for caller, connection in accepted(self._port):
            with connection:
                seen.add(caller)
                why = self._why(caller, connection, now, crowded=crowded)
                if why:
                    cut += 1
                    log.info("A caller %s and was cut off", why)
                    _shut(connection)
        self._known = {caller: one for caller, one in self._known.items() if caller in seen}
        self._gateway.forget_others(seen)
        return cut

    def _why(self, caller: str, connection: socket.socket, now: float, *, crowded: bool) -> str | None:
        acknowledged, waiting = _progress(connection)
        one = self._known.setdefault(caller, Connection(now))
        one.note(acknowledged, waiting, now, self._patience)
        if one.is_stuck(acknowledged, self._gateway.answered(caller), now, self._patience, self._owed):
            return "reads too slowly"
        if self._gateway.is_busy(caller):
            return None
        ended = self._gateway.ended(caller)
        return overdue(one, ended=ended, waiting=waiting, now=now, patience=self._patience, crowded=crowded)


def accepted(port: int) -> Iterator[tuple[str, socket.socket]]:
    """Each connection of this process to its own `port`: who calls, and a second handle on it, to be closed."""
    for path in list(_DESCRIPTORS.iterdir()):
        found = _connection(int(path.name), port)
        if found is not None:
            yield found


def label(host: str, port: int) -> str:
    """A caller as granian writes it: `127.0.0.1:1234` or `[::1]:1234`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _connection(descriptor: int, port: int) -> tuple[str, socket.socket] | None:
    try:
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            return None
        handle = socket.socket(fileno=os.dup(descriptor))
    except OSError:  # closed meanwhile
        return None
    try:
        if handle.family in {socket.AF_INET, socket.AF_INET6} and handle.getsockname()[1] == port:
            host, caller_port = handle.getpeername()[:2]
            return label(host, caller_port), handle
    except OSError:  # it listens, or has ended
        pass
    handle.close()
    return None


def _progress(connection: socket.socket) -> tuple[int, int]:
    """Bytes that the caller has acknowledged, and how much still waits for it: 0 for nothing."""
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    if len(info) < _LENGTH or info[_STATE] not in {_ESTABLISHED, _CLOSE_WAIT}:
        return 0, 0
    (unacked,) = struct.unpack_from("=I", info, _UNACKED)
    (acknowledged,) = struct.unpack_from("=Q", info, _ACKED)
    (not_sent,) = struct.unpack_from("=I", info, _NOT_SENT)
    return acknowledged, unacked + not_sent


def _shut(connection: socket.socket) -> None:
    """End it for the server, and have the kernel drop what the caller has not taken instead of keeping it."""
    with suppress(OSError):  # it has ended by itself
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RDWR)
