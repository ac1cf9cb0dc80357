"""Between granian and a WSGI application: a request takes a thread once all of it is here.

Granian's own WSGI reads a body inside the thread that answers, so as many slow senders as there are threads would stop
the portal. Here (RSGI, github.com/emmett-framework/granian/blob/master/docs/spec/RSGI.md) the event loop collects the
body, at a least rate and up to what the route takes, and the answer is handed over whole. A request that two programs
could read in two ways is refused (RFC 9112, 3.2, 6.3, 11.2). Nothing of the process's own environment reaches one.
"""

import asyncio
import logging
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus
from io import BytesIO
from typing import TYPE_CHECKING, Any, Protocol

from .patience import Patience
from .security import HSTS

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

log = logging.getLogger(__name__)
BODILESS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
MOST_DISCARDED = 64 * 1024 * 1024  # bytes of a body that is too large: read on, so that the page that says so is seen
MOST_HELD = 256 * 1024 * 1024  # bytes of all bodies of one process
QUEUE = 64  # requests that may wait for each thread

Most = Callable[[str, str, str], int]


class Scope(Protocol):
    """What granian says of a request."""

    @property
    def headers(self) -> Any: ...  # noqa: D102  # granian's own type

    authority: str | None
    client: str
    http_version: str
    method: str
    path: str
    query_string: str
    scheme: str
    server: str


class Transport(Protocol):
    """How granian hands a body over and takes an answer."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...
    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Served:
    """An application, and how many bytes it takes: a function of method, host and path."""

    app: "WSGIApplication"
    most: Most


@dataclass(slots=True)
class Answer:
    """A whole answer."""

    status: int = 500
    headers: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    body: bytes = b""


class RefusedRequestError(Exception):
    """Raised for a request that the application never sees. `status` is the answer's."""

    def __init__(self, status: HTTPStatus, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Gateway:
    """An RSGI application that answers with a WSGI one, in `threads` threads."""

    def __init__(self, served: Served, threads: int, patience: Patience) -> None:
        self.patience = patience
        self._served = served
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="request")
        self._room = threads * (QUEUE + 1)
        self._busy: Counter[str] = Counter()
        self._ended: dict[str, float] = {}
        self._held = 0

    def is_busy(self, caller: str) -> bool:
        """Whether a request of the connection `address:port` is being read or answered."""
        return caller in self._busy

    def ended(self, caller: str) -> float | None:
        """When the connection's last request was answered (monotonic clock); None before the first."""
        return self._ended.get(caller)

    def forget_others(self, callers: set[str]) -> None:
        """Keep what is known of these connections only."""
        for gone in self._ended.keys() - callers:
            self._ended.pop(gone, None)

    async def __rsgi__(self, scope: Scope, transport: Transport) -> None:
        """Answer one request."""
        self._busy[scope.client] += 1
        try:
            answer = await self._answer(scope, transport)
        except RefusedRequestError as refused:
            answer = refusal(refused.status, str(refused))
        except Exception:
            log.exception("A request could not be answered")
            answer = refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "Something broke on our side.")
        finally:
            self._ended[scope.client] = time.monotonic()
            self._busy[scope.client] -= 1
            if not self._busy[scope.client]:
                del self._busy[scope.client]
        transport.response_bytes(answer.status, answer.headers, answer.body)

    async def _answer(self, scope: Scope, transport: Transport) -> Answer:
        headers = _headers(scope)
        host = _host(scope, headers)
        environ = _environ(scope, headers, host)
        declared = 0 if scope.method in BODILESS else _declared(headers)
        body = await self._body(scope, transport, declared, self._served.most(scope.method, host, environ["PATH_INFO"]))
        try:
            if sum(self._busy.values()) > self._room:
                raise _too_busy()
            environ["wsgi.input"] = BytesIO(body)
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._pool, _run, self._served.app, environ)
        finally:
            self._held -= len(body)

    async def _body(self, scope: Scope, transport: Transport, declared: int, most: int) -> bytes:
        """The body; empty where it is larger than `most`, which the application says in its own words.

        What is returned counts as held until the caller takes it off.
        """
        if scope.method in BODILESS or declared == 0:
            return b""
        kept = declared <= most
        if not kept and (not most or declared > MOST_DISCARDED):
            return b""
        body = bytearray()
        received = 0
        try:
            async for chunk in self._arriving(transport):
                received += len(chunk)
                if kept:
                    self._hold(len(chunk))
                    body += chunk
            _check_length(received, declared)
        except BaseException:
            self._held -= len(body)
            raise
        return bytes(body)

    def _hold(self, size: int) -> None:
        if self._held + size > MOST_HELD:
            raise _too_busy()
        self._held += size

    async def _arriving(self, transport: Transport) -> AsyncIterator[bytes]:
        """The body's pieces, for as long as they come fast enough."""
        loop = asyncio.get_running_loop()
        began, received = loop.time(), 0
        try:
            async with asyncio.timeout_at(self.patience.body_deadline(began, 0)) as limit:
                async for chunk in transport:
                    received += len(chunk)
                    limit.reschedule(self.patience.body_deadline(began, received))
                    yield chunk
        except TimeoutError as error:
            sentence = "The request came too slowly. Please send it again."
            raise RefusedRequestError(HTTPStatus.REQUEST_TIMEOUT, sentence) from error


def _check_length(received: int, declared: int) -> None:
    """A body that broke off must not be taken for a whole one; granian just ends it."""
    if received != declared:
        raise RefusedRequestError(HTTPStatus.BAD_REQUEST, "The body has another length than it was said to have.")


def _too_busy() -> RefusedRequestError:
    return RefusedRequestError(HTTPStatus.SERVICE_UNAVAILABLE, "Busy right now. Please try again in a few seconds.")


def refusal(status: HTTPStatus, sentence: str) -> Answer:
    """The answer to a request that the application never sees; the connection ends with it."""
    body = f"{sentence}\n".encode()
    headers = [
        ("Strict-Transport-Security", HSTS),
        ("X-Content-Type-Options", "nosniff"),
        ("Cache-Control", "no-store"),
        ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Connection", "close"),
    ]
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        headers.append(("Retry-After", "5"))
    return Answer(status, headers, body)


def _headers(scope: Scope) -> dict[str, list[str]]:
    """All values by name. A name with “_” is dropped: WSGI cannot tell it from the one with “-”."""
    found: dict[str, list[str]] = {}
    for name, value in scope.headers.items():
        if "_" not in name:
            found.setdefault(name.lower(), []).append(value)
    return found


def _host(scope: Scope, headers: dict[str, list[str]]) -> str:
    """The one host that the request names, in its head and, if it is there, in its target."""
    named = {*headers.get("host", ()), *filter(None, [scope.authority])}
    if scope.method == "CONNECT" or len(headers.get("host", ())) > 1 or len(named) != 1:
        raise RefusedRequestError(HTTPStatus.BAD_REQUEST, "A request names one host, once.")
    return named.pop()


def _declared(headers: dict[str, list[str]]) -> int:
    """Bytes of the body as the head says. Without a length there may be none (RFC 9110, 8.6)."""
    lengths = set(headers.get("content-length", ()))
    if "transfer-encoding" in headers:
        raise RefusedRequestError(HTTPStatus.LENGTH_REQUIRED, "A body has to say its length.")
    if len(lengths) > 1 or not all(length.isascii() and length.isdigit() for length in lengths):
        raise RefusedRequestError(HTTPStatus.BAD_REQUEST, "A body has one length.")
    return int(lengths.pop()) if lengths else 0


def _environ(scope: Scope, headers: dict[str, list[str]], host: str) -> "WSGIEnvironment":
    """PEP 3333, with nothing of this process's own environment."""
    server, _, port = scope.server.rpartition(":")
    caller, _, caller_port = scope.client.rpartition(":")
    environ: dict[str, Any] = {
        f"HTTP_{name.replace('-', '_').upper()}": ("; " if name == "cookie" else ",").join(values)
        for name, values in headers.items()
    }
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        value = environ.pop(f"HTTP_{name}", None)
        if value is not None:
            environ[name] = value
    return environ | {
        "HTTP_HOST": host,
        "REQUEST_METHOD": scope.method,
        "SCRIPT_NAME": "",
        # As granian hands it over: percent-decoded. WSGI wants the bytes in Latin-1 clothes.
        "PATH_INFO": scope.path.encode("utf-8", "replace").decode("latin-1"),
        "QUERY_STRING": scope.query_string,
        "SERVER_NAME": server.strip("[]"),
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": f"HTTP/{scope.http_version}",
        "REMOTE_ADDR": caller.strip("[]"),
        "REMOTE_PORT": caller_port,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.scheme,
        "wsgi.errors": sys.stderr,
        "wsgi.input_terminated": True,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }


def _run(app: "WSGIApplication", environ: "WSGIEnvironment") -> Answer:
    answer = Answer()

    def start_response(status: str, headers: list[tuple[str, str]], _error: object = None) -> Callable[[bytes], object]:
        answer.status, answer.headers = int(status.split(" ", 1)[0]), headers
        return _no_writing

    result: Iterable[bytes] = app(environ, start_response)
    try:
        answer.body = b"".join(result)
    finally:
        close = getattr(result, "close", None)
        if close is not None:
            close()
    return answer


def _no_writing(_data: bytes) -> object:
    raise NotImplementedError("Answers are returned, not written.")
