"""A customer names an address to make our machine call what only it can reach, or to hold it up."""

import itertools
import socket
import ssl
import threading
import time
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler

import pytest
from receiver import HOST, Received, Receiver, receiver, say

from strongroom.platform.webhooks.destination import read_url
from strongroom.platform.webhooks.sending import Outcome, Sender

BODY = b'{"type":"report.paid"}'


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Generator[Receiver]:
    with receiver(tmp_path_factory.mktemp("inward")) as started:
        yield started


@pytest.fixture
def inbox(running: Receiver) -> Receiver:
    running.received.clear()
    running.answer = say(204)
    return running


def send(inbox: Receiver, sender: Sender, url: str | None = None) -> Outcome:
    return sender.send(read_url(url or inbox.url, "strongroom.example"), {"webhook-id": "msg_1"}, BODY)


def trusting(inbox: Receiver) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(inbox.authority))


@pytest.mark.parametrize("inside", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "169.254.169.254", "10.0.0.1", "0.0.0.0"])
def test_a_name_that_leads_inside_is_never_connected_to(inbox: Receiver, inside: str) -> None:
    guarded = Sender(resolver=lambda *_: [inside], trust=lambda: trusting(inbox))
    outcome = send(inbox, guarded)
    assert outcome.refused
    assert outcome.error == "The name leads to an address that is not on the public internet."
    assert inbox.received == []


def test_a_name_of_this_very_machine_is_refused_by_default() -> None:
    outcome = Sender().send(read_url("https://ip6-localhost.localdomain:8443/", "strongroom.example"), {}, BODY)
    assert not outcome.delivered
    guarded = Sender(resolver=lambda *_: [socket.gethostbyname("localhost")])
    assert guarded.send(read_url("https://innocent.example:8443/", "strongroom.example"), {}, BODY).refused


def test_a_name_is_asked_once_so_that_a_second_answer_leads_nowhere(inbox: Receiver) -> None:
    answers = itertools.chain([["127.0.0.1"]], itertools.repeat(["169.254.169.254"]))
    asked: list[str] = []

    def rebinding(host: str, _port: int) -> list[str]:
        asked.append(host)
        return next(answers)

    assert send(inbox, inbox.sender(rebinding)).delivered
    assert asked == [HOST]
    assert len(inbox.received) == 1


def test_the_system_s_resolver_is_not_asked_behind_the_checked_address(
    inbox: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = socket.getaddrinfo

    def only_numbers(host: object, *rest: object, **more: object) -> object:
        assert str(host).replace(".", "").isdigit(), f"{host} was looked up again"
        return known(host, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", only_numbers)
    assert send(inbox, inbox.sender()).delivered


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_a_failure_and_not_followed(inbox: Receiver, status: int) -> None:
    inbox.answer = say(status, {"Location": f"https://{HOST}:{inbox.port}/elsewhere"})
    outcome = send(inbox, inbox.sender())
    assert (outcome.delivered, outcome.status) == (False, status)
    assert [came.path for came in inbox.received] == ["/inbox?from=strongroom"]


def test_a_proxy_of_the_environment_is_not_asked(inbox: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert send(inbox, inbox.sender()).delivered


def test_the_certificate_must_be_for_the_name_and_from_a_known_authority(inbox: Receiver) -> None:
    other = send(inbox, inbox.sender(), f"https://other.customer.example:{inbox.port}/")
    assert (other.delivered, other.status) == (False, None)
    assert "certificate is not accepted" in (other.error or "")
    strange = send(inbox, Sender(lambda *_: ["127.0.0.1"], lambda _: True))
    assert "certificate is not accepted" in (strange.error or "")
    assert inbox.received == []


def test_an_answer_without_end_is_read_up_to_a_bound(inbox: Receiver) -> None:
    sent = 0

    def endless(handler: BaseHTTPRequestHandler, _received: Received) -> None:
        nonlocal sent
        handler.send_response(200)
        handler.send_header("Content-Length", str(10**12))
        handler.end_headers()
        try:
            while sent < 10**9:
                sent += handler.wfile.write(b"x" * 65536)
        except OSError:
            pass

    inbox.answer = endless
    assert send(inbox, inbox.sender()).delivered
    assert sent < 50_000_000


@pytest.mark.parametrize("where", ["silence", "headers", "body"])
def test_an_answer_that_drips_is_cut_off_in_time(inbox: Receiver, where: str) -> None:
    over = threading.Event()

    def dripping(handler: BaseHTTPRequestHandler, _received: Received) -> None:
        if where == "body":
            handler.send_response(200)
            handler.send_header("Content-Length", "1000")
            handler.end_headers()
        elif where == "headers":
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        try:
            while not over.wait(0.05):
                if where != "silence":
                    handler.wfile.write(b"x")
                    handler.wfile.flush()
        except OSError:
            pass

    inbox.answer = dripping
    began = time.monotonic()
    outcome = send(inbox, inbox.sender(seconds=0.6))
    over.set()
    assert not outcome.delivered
    assert outcome.error == "No answer in time."
    assert time.monotonic() - began < 10  # the drops would go on for ever


def test_a_resolver_and_a_handshake_that_hang_are_cut_off(inbox: Receiver) -> None:
    release = threading.Event()
    hanging = inbox.sender(lambda *_: ["127.0.0.1"] if release.wait(30) else [], seconds=0.2)
    assert send(inbox, hanging).error == "No answer in time."
    release.set()
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"https://{HOST}:{mute.getsockname()[1]}/"
        assert send(inbox, inbox.sender(seconds=0.2), url).error == "No answer in time."


@pytest.mark.parametrize(
    "bytes_sent",
    [
        b"",
        b"\0" * 100,
        b"HTTP/1.1 200\r\n" + b"A: b\r\n" * 500 + b"\r\n",
        b"HTTP/9 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000,
    ],
)
def test_an_answer_that_is_none_is_a_failure_and_no_error(inbox: Receiver, bytes_sent: bytes) -> None:
    def odd(handler: BaseHTTPRequestHandler, _received: Received) -> None:
        handler.wfile.write(bytes_sent)
        handler.close_connection = True

    inbox.answer = odd
    outcome = send(inbox, inbox.sender())
    assert (outcome.delivered, outcome.status) == (False, None)
    assert outcome.error


def test_what_the_other_side_says_is_not_kept(inbox: Receiver) -> None:
    def talkative(handler: BaseHTTPRequestHandler, _received: Received) -> None:
        handler.send_response(500, "<script>alert(1)</script>")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    inbox.answer = talkative
    assert send(inbox, inbox.sender()).error == "Internal Server Error"


def test_a_dead_address_is_passed_over_for_the_next_one(inbox: Receiver) -> None:
    both = inbox.sender(lambda *_: ["127.0.0.2", "127.0.0.1"])
    assert send(inbox, both).delivered


def test_the_authorities_are_the_system_s() -> None:
    assert isinstance(Sender()._tls(), ssl.SSLContext)
    assert Sender()._tls().verify_mode is ssl.CERT_REQUIRED
    assert Sender()._tls().check_hostname
