"""What the gateway makes of a request, without a server."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from strongroom.platform.web import bodies, gateway
from strongroom.platform.web.gateway import Gateway, Served
from strongroom.platform.web.patience import Patience

MOST = 1000


class Headers:
    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self.pairs = pairs

    def items(self) -> list[tuple[str, str]]:
        return self.pairs


@dataclass
class Scope:
    headers: Any
    method: str = "POST"
    authority: str | None = None
    client: str = "203.0.113.9:4711"
    http_version: str = "1.1"
    path: str = "/"
    query_string: str = ""
    scheme: str = "https"
    server: str = "127.0.0.1:8443"


@dataclass
class Transport:
    """Hands over pieces, and keeps the answer."""

    pieces: list[bytes]
    answered: tuple[int, dict[str, str], bytes] | None = None
    seen: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            await asyncio.sleep(0)
            yield piece

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.answered = status, dict(headers), body


def ask(pieces: list[bytes], *headers: tuple[str, str], **scope: Any) -> Transport:
    transport = Transport(pieces)

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        transport.seen.append(environ | {"body": environ["wsgi.input"].read()})
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"a", b"b"]

    one = Gateway(Served(app, lambda _method, _host, _path: MOST), 1, Patience())
    asyncio.run(one.__rsgi__(Scope(Headers([("host", "acme.localhost"), *headers]), **scope), transport))
    assert not one.is_busy("203.0.113.9:4711")
    assert one._bodies.held == one._waiting == 0  # pyright: ignore[reportPrivateUsage]  # nothing may be left behind
    return transport


def test_a_whole_body_reaches_the_application() -> None:
    transport = ask([b"abc", b"", b"def"], ("content-length", "6"))
    assert transport.answered == (200, {"Content-Type": "text/plain"}, b"ab")
    assert transport.seen[0]["body"] == b"abcdef"


@pytest.mark.parametrize("pieces", [[b"abc"], [], [b"abcdefg"]])
def test_a_body_of_another_length_than_it_says_does_not(pieces: list[bytes]) -> None:
    transport = ask(pieces, ("content-length", "6"))
    assert transport.answered is not None
    assert transport.answered[0] == 400
    assert transport.seen == []


def test_of_a_body_that_is_too_large_nothing_is_kept_and_the_application_says_so() -> None:
    transport = ask([b"x" * 600, b"x" * 600], ("content-length", "1200"))
    assert transport.seen[0]["body"] == b""
    assert transport.seen[0]["CONTENT_LENGTH"] == "1200"


def test_of_one_that_is_absurdly_large_nothing_is_waited_for() -> None:
    transport = ask([], ("content-length", str(bodies.MOST_DISCARDED + 1)))
    assert transport.seen[0]["body"] == b""


def test_all_bodies_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "ROOM_OF_SMALL", (100, 100))
    transport = ask([b"x" * 60, b"x" * 60], ("content-length", "120"))
    assert transport.answered is not None
    assert transport.answered[0] == 503
    assert transport.answered[1]["Retry-After"] == "5"


def test_cookies_of_several_lines_are_one_as_http2_sends_them() -> None:
    transport = ask([], ("cookie", "a=1"), ("cookie", "b=2"), ("x-a", "1"), ("x-a", "2"), method="GET")
    assert transport.seen[0]["HTTP_COOKIE"] == "a=1; b=2"
    assert transport.seen[0]["HTTP_X_A"] == "1,2"


def test_the_caller_is_who_is_connected() -> None:
    (seen,) = ask([], method="GET", client="[2001:db8::9]:4711", server="[::1]:8443").seen
    assert (seen["REMOTE_ADDR"], seen["REMOTE_PORT"]) == ("2001:db8::9", "4711")
    assert (seen["SERVER_NAME"], seen["SERVER_PORT"]) == ("::1", "8443")


def test_a_path_is_handed_over_as_wsgi_wants_it() -> None:
    (seen,) = ask([], method="GET", path="/ü").seen
    assert seen["PATH_INFO"] == "/ü".encode().decode("latin-1")


def test_a_body_of_http2_without_a_length_is_refused_and_none_is_none() -> None:
    refused = ask([b"", b"abc"], http_version="2")
    assert refused.answered is not None
    assert refused.answered[0] == 411
    assert refused.seen == []
    assert ask([], http_version="2").seen[0]["body"] == b""


def test_so_is_a_query_that_is_not_percent_encoded() -> None:
    (seen,) = ask([], method="GET", query_string="q=€").seen
    assert seen["QUERY_STRING"] == "q=€".encode().decode("latin-1")


def test_a_request_waits_only_among_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "QUEUE", -1)
    transport = ask([], method="GET")
    assert transport.answered is not None
    assert transport.answered[0] == 503
