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
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from io import BytesIO
from typing import TYPE_CHECKING, Any, Protocol

from .bodies import Bodies, Transport
from .early_answers import Answer, RefusedRequestError, refusal, too_busy
from .patience import Patience

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

log = logging.getLogger(__name__)
BODILESS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
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


@dataclass(frozen=True, slots=True)
class Served:
    """An application, and how many bytes it takes: a function of method, host and path.

    `by_address`: whether the address of the connection is the caller's, and not that of a proxy for all of them.
    """

    app: "WSGIApplication"
    most: Most
    by_address: bool = True


class Gateway:
    """An RSGI application that answers with a WSGI one, in `threads` threads."""

    def __init__(self, served: Served, threads: int, patience: Patience) -> None:
        self.patience = patience
        self._served = served
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="request")
        self._room = threads * (QUEUE + 1)
        self._busy: Counter[str] = Counter()
        self._ended: dict[str, float] = {}
        self._answered: Counter[str] = Counter()
        self._bodies = Bodies(patience, by_address=served.by_address)
        self._waiting = 0

    def is_busy(self, caller: str) -> bool:
        """Whether a request of the connection `address:port` is being read or answered."""
        return caller in self._busy

    def ended(self, caller: str) -> float | None:
        """When the connection's last request was answered (monotonic clock); None before the first."""
        return self._ended.get(caller)

    def answered(self, caller: str) -> int:
        """Bytes of all answers to the connection; 0 for a proxy's, which answers for many callers and is trusted."""
        return self._answered[caller] if self._served.by_address else 0

    def forget_others(self, callers: set[str]) -> None:
        """Keep what is known of these connections only."""
        for gone in self._answered.keys() - callers:
            self._answered.pop(gone, None)
        for gone in self._ended.keys() - callers:
            self._ended.pop(gone, None)

    async def __rsgi__(self, scope: Scope, transport: Transport) -> None:
        """Answer one request."""
        self._busy[scope.client] += 1
        try:
            await self._answer(scope, transport)
        except RefusedRequestError as refused:
            _send(transport, refusal(refused.status, str(refused)))
        except Exception:
            log.exception("A request could not be answered")
            _send(transport, refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "Something broke on our side."))
        finally:
            self._ended[scope.client] = time.monotonic()
            self._busy[scope.client] -= 1
            if not self._busy[scope.client]:
                del self._busy[scope.client]

    async def _answer(self, scope: Scope, transport: Transport) -> None:
        headers = _headers(scope)
        host = _host(scope, headers)
        environ = _environ(scope, headers, host)
        declared = 0 if scope.method in BODILESS else _declared(headers)
        if not declared:
            if scope.http_version == "2" and scope.method not in BODILESS and "content-length" not in headers:
                await self._bodies.check_none(transport)
            await self._in_a_thread(environ, b"", scope.client, transport)
            return
        most = self._served.most(scope.method, host, environ["PATH_INFO"])
        async with self._bodies.collected(transport, environ["REMOTE_ADDR"], declared, most) as body:
            await self._in_a_thread(environ, body, scope.client, transport)

    async def _in_a_thread(self, environ: "WSGIEnvironment", body: bytes, caller: str, transport: Transport) -> None:
        if self._waiting >= self._room:
            raise too_busy()
        environ["wsgi.input"] = BytesIO(body)
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            self._answered[caller] += await loop.run_in_executor(self._pool, _run, self._served.app, environ, transport)
        finally:
            self._waiting -= 1


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
        "QUERY_STRING": scope.query_string.encode("utf-8", "replace").decode("latin-1"),
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


def _run(app: "WSGIApplication", environ: "WSGIEnvironment", transport: Transport) -> int:
    """Call the application, and answer from its thread: the event loop may have something else to do just now.

    Returns how many bytes the answer has.
    """
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
    _send(transport, answer)
    return len(answer.body)


def _send(transport: Transport, answer: Answer) -> None:
    transport.response_bytes(answer.status, answer.headers, answer.body)


def _no_writing(_data: bytes) -> object:
    raise NotImplementedError("Answers are returned, not written.")
