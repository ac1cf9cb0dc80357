"""Callers that take their time: each is cut off, and takes nothing from others meanwhile."""

import concurrent.futures
import socket
import ssl
import time
from contextlib import ExitStack

from edge_worker import MOST, PATIENCE

# h2 (RFC 9113): the client's preface with empty settings.
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
LONG = 60.0
POST = b"POST / HTTP/1.1\r\nHost: acme.localhost\r\nContent-Length: 1000\r\n\r\n"


def test_who_says_nothing_after_the_handshake_is_cut_off(https, ended_after):
    with https.connect() as caller:
        assert ended_after(caller, LONG) is not None


def test_who_sends_a_request_line_by_line_is_cut_off(https, ended_after):
    with https.connect() as caller:
        caller.sendall(b"GET / HTTP/1.1\r\nHost: acme.localhost\r\nX-")
        assert ended_after(caller, LONG) is not None


def test_who_opens_http2_and_asks_for_nothing_is_cut_off(https, ended_after):
    with https.connect(protocols=["h2"]) as caller:
        assert caller.selected_alpn_protocol() == "h2"
        caller.sendall(PREFACE)
        assert ended_after(caller, LONG) is not None


def test_who_keeps_http2_awake_with_pings_is_cut_off_too(https):
    ping = bytes((0, 0, 8, 6, 0, 0, 0, 0, 0)) + b"12345678"
    with https.connect(protocols=["h2"]) as caller:
        caller.sendall(PREFACE)
        caller.settimeout(0.05)
        assert pinged_until_the_end(caller, ping, LONG)


def h2_get(stream, path):
    """The frame of a request: indexed method and scheme, authority and path as they are (RFC 7541)."""
    block = b"\x82\x87" + b"".join(bytes((at, len(text))) + text for at, text in ((1, b"acme.localhost"), (4, path)))
    return len(block).to_bytes(3, "big") + b"\x01\x05" + stream.to_bytes(4, "big") + block


def test_who_keeps_the_window_of_http2_shut_is_cut_off_whatever_else_it_asks(https):
    shut = bytes((0, 0, 6, 4, 0, 0, 0, 0, 0)) + bytes((0, 4, 0, 0, 0, 0))  # SETTINGS_INITIAL_WINDOW_SIZE = 0
    with https.connect(protocols=["h2"]) as caller:
        caller.sendall(PREFACE + shut + h2_get(1, b"/big"))
        caller.settimeout(0.3)
        assert asked_until_the_end(caller, 15)


def asked_until_the_end(caller, seconds):
    def ask(count):
        time.sleep(1.0)  # often enough not to be idle, and few enough to have streams left
        return h2_get(2 * count + 3, b"/")

    return spoken_to_until_the_end(caller, ask, seconds)


def pinged_until_the_end(caller, ping, seconds):
    return spoken_to_until_the_end(caller, lambda _count: ping, seconds)


def spoken_to_until_the_end(caller, say, seconds):
    """Send what `say` gives, with how often that was, and read; whether the connection ended in that time."""
    deadline, said = time.monotonic() + seconds, 0
    while time.monotonic() < deadline:
        try:
            caller.sendall(say(said))
            said += 1
            if not caller.recv(65536):
                return True
        except TimeoutError:
            continue
        except OSError:
            return True
    return False


def test_an_idle_connection_ends_after_its_time(https, ended_after):
    with https.connect() as caller:
        caller.sendall(b"GET / HTTP/1.1\r\nHost: acme.localhost\r\n\r\n")
        waited = ended_after(caller, LONG)
        assert waited is not None
        assert waited > PATIENCE.idle / 2


def test_a_body_that_does_not_come_is_answered_with_408(https, read_head):
    with https.connect() as caller:
        caller.sendall(POST + b"abc")
        status, headers = read_head(caller)
        assert status == 408
        assert headers["strict-transport-security"] == "max-age=31536000; includeSubDomains"


def test_a_body_that_trickles_is_answered_with_408(https):
    with https.connect() as caller:
        caller.sendall(POST)
        caller.settimeout(0.05)
        assert trickled(caller, 1000, LONG).startswith(b"HTTP/1.1 408")


def trickled(caller, most, seconds):
    deadline, got = time.monotonic() + seconds, b""
    for _ in range(most):
        if time.monotonic() > deadline:
            return got
        try:
            caller.sendall(b"x")
            got += caller.recv(65536)
            if got:
                return got
        except TimeoutError:
            continue
        except (ssl.SSLError, ConnectionError):
            return got
    return got


def test_a_large_body_may_take_longer_than_a_small_one(https, read_head):
    body, began = bytes(MOST), time.monotonic()
    with https.connect() as caller:
        caller.sendall(b"POST / HTTP/1.1\r\nHost: acme.localhost\r\nContent-Length: %d\r\n\r\n" % len(body))
        for start in range(0, len(body), len(body) // 8):
            caller.sendall(body[start : start + len(body) // 8])
            time.sleep(PATIENCE.body / 4)  # the rate is what is tested
        status, _ = read_head(caller)
        assert status == 200
        assert time.monotonic() - began > PATIENCE.body


def test_who_does_not_take_the_answer_is_cut_off(https):
    with socket.create_connection(("127.0.0.1", https.port)) as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with ssl._create_unverified_context().wrap_socket(plain) as caller:
            caller.sendall(b"GET /big HTTP/1.1\r\nHost: acme.localhost\r\n\r\n")
            assert was_reset(caller)


def was_reset(caller):
    """Whether the other side ends the connection while nothing is read."""
    deadline = time.monotonic() + LONG
    state = 8  # offsets and states: struct tcp_info and enum of net/tcp_states.h
    while time.monotonic() < deadline:
        info = caller.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)
        if info[0] in {7, state}:  # closed, or the other side has closed
            return True
        time.sleep(0.05)
    return False


def test_slow_senders_take_no_thread_from_others(https):
    with ExitStack() as stack, concurrent.futures.ThreadPoolExecutor() as pool:
        for _ in range(20):  # ten times as many as there are threads
            stack.enter_context(https.connect()).sendall(POST + b"x")
        began = time.monotonic()
        assert {status for status, _, _ in pool.map(lambda _: https.ask(), range(10))} == {200}
        assert time.monotonic() - began < PATIENCE.body * 9  # twenty senders in two threads would take ten turns


def test_an_answer_is_sent_whole_to_who_reads_it(https):
    status, _, body = https.ask("/big")
    assert (status, len(body)) == (200, 12 * 1024 * 1024)
