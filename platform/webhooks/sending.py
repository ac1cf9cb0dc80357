"""One message to one destination: pinned to the address that was checked, over verified TLS, within bounds.

The standard library's client follows no redirect and asks the environment for no proxy.
"""

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import truststore

from ...config.errors import FailedError
from .destination import Address, ClosedDestinationError, Destination, Resolver, is_open, pinned, resolve

SECONDS: Final = 10.0  # for all of it: name, connection, TLS, answer
MOST_ADDRESSES: Final = 3
_ANSWER_BYTES: Final = 16 * 1024  # read so that the receiver can finish writing; never kept


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one try ended. `status` is the answer's, where there was one; `error` says in words why it failed."""

    status: int | None
    error: str | None
    milliseconds: int
    refused: bool = False  # by us: it would have led inside

    @property
    def delivered(self) -> bool:
        """Whether the receiver has it."""
        return self.status is not None and 200 <= self.status < 300


def _trust() -> ssl.SSLContext:
    return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@dataclass(frozen=True, slots=True)
class Sender:
    """How messages leave. Tests have their own authority, names and addresses; there is no setting for any of it."""

    resolver: Resolver = resolve
    opened: Callable[[Address], bool] = is_open
    trust: Callable[[], ssl.SSLContext] = _trust
    seconds: float = SECONDS
    _context: list[ssl.SSLContext] = field(default_factory=list[ssl.SSLContext], repr=False)

    def send(self, where: Destination, headers: Mapping[str, str], body: bytes) -> Outcome:
        """POST `body` and return how it ended; raises nothing that the other side could cause."""
        began = time.monotonic()
        try:
            addresses = pinned(where, self._resolve_in_time, self.opened)
            status = self._post(where, addresses, headers, body, began + self.seconds)
        except ClosedDestinationError as error:
            return _ended(began, error=str(error), refused=True)
        except (FailedError, OSError, http.client.HTTPException, ValueError) as error:
            return _ended(began, error=_reason(error, time.monotonic() - began >= self.seconds))
        return _ended(began, status, None if 200 <= status < 300 else http.client.responses.get(status, "Unknown"))

    def _resolve_in_time(self, host: str, port: int) -> list[str]:
        """What the resolver says; a resolver cannot be interrupted, so the thread of one that hangs is left behind."""
        found: list[list[str]] = []

        def ask() -> None:
            try:
                found.append(list(self.resolver(host, port)))
            except (OSError, UnicodeError):
                found.append([])

        asking = threading.Thread(target=ask, daemon=True, name="webhook-name")
        asking.start()
        asking.join(self.seconds)
        if not found:
            raise TimeoutError
        return found[0]

    def _post(
        self, where: Destination, addresses: list[Address], headers: Mapping[str, str], body: bytes, until: float
    ) -> int:
        connection = self._connected(where, addresses, until)
        # A timeout of the socket counts from byte to byte; this one counts for all of them.
        watch = threading.Timer(max(0.0, until - time.monotonic()), connection.cut)
        watch.daemon = True
        watch.start()
        try:
            status = connection.post(where, headers, body)
        finally:
            watch.cancel()
            connection.close()
        if connection.is_cut:  # what the client takes for the end of the answer was ours
            raise TimeoutError
        return status

    def _connected(self, where: Destination, addresses: list[Address], until: float) -> "_Pinned":
        """Try the addresses in their order; the last one's failure is the one that counts."""
        *firsts, last = addresses[:MOST_ADDRESSES]
        for address in firsts:
            try:
                return self._connect(where, address, until)
            except OSError:
                continue
        return self._connect(where, last, until)

    def _connect(self, where: Destination, address: Address, until: float) -> "_Pinned":
        seconds = until - time.monotonic()
        if seconds <= 0:
            raise TimeoutError
        return _Pinned(where, socket.create_connection((str(address), where.port), seconds), self._tls())

    def _tls(self) -> ssl.SSLContext:
        """One context for all messages: reading the authorities takes as long as a handshake."""
        if not self._context:
            context = self.trust()
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            self._context.append(context)
        return self._context[0]


class _Pinned(http.client.HTTPSConnection):
    """A connection that is open already, to an address that was checked, for a name that the certificate must have."""

    def __init__(self, where: Destination, raw: socket.socket, context: ssl.SSLContext) -> None:
        super().__init__(where.host, where.port, context=context)
        self._tls = context.wrap_socket(raw, server_hostname=where.host, do_handshake_on_connect=False)
        self.sock = self._tls
        self.is_cut = False

    def connect(self) -> None:
        """Refuse: the one connection was made to the one address that was checked."""
        raise ConnectionError("The connection was closed.")

    def post(self, where: Destination, headers: Mapping[str, str], body: bytes) -> int:
        """Return the status of the answer, whose body is read up to a bound and thrown away."""
        self._tls.do_handshake()
        self.request("POST", where.target, body, dict(headers))
        answer = self.getresponse()
        answer.read(_ANSWER_BYTES)
        return answer.status

    def cut(self) -> None:
        """End whatever another thread waits for. `sock` may be gone by now: the client hands it to the answer."""
        self.is_cut = True
        with suppress(OSError):  # it has ended in this moment
            socket.socket.shutdown(self._tls, socket.SHUT_RDWR)


def _ended(began: float, status: int | None = None, error: str | None = None, *, refused: bool = False) -> Outcome:
    return Outcome(status, error, round((time.monotonic() - began) * 1000), refused)


_REASONS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (TimeoutError, "No answer in time."),
    (ssl.SSLError, "TLS failed."),
    (ConnectionRefusedError, "The connection was refused."),
    (http.client.HTTPException, "The answer was no HTTP."),
)


def _reason(error: Exception, late: bool) -> str:
    """In our own words: what the other side sends is not repeated."""
    if late:
        return "No answer in time."
    if isinstance(error, FailedError):
        return str(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"The certificate is not accepted: {error.verify_message}."
    return next((text for kind, text in _REASONS if isinstance(error, kind)), "The connection failed.")
