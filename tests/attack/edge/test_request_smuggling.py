"""Requests that two programs could read in two ways, sent to the real listener byte by byte (RFC 9112, 11.2)."""

import pytest

HEAD = b"POST / HTTP/1.1\r\nHost: acme.localhost\r\n"
HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: acme.localhost\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


def length(number: int) -> bytes:
    return b"Content-Length: %d\r\n" % number


@pytest.mark.parametrize(
    ("request_bytes", "statuses"),
    [
        pytest.param(HEAD + length(4) + CHUNKED + b"\r\n0\r\n\r\n" + HIDDEN, {400, 411}, id="both lengths"),
        pytest.param(HEAD + CHUNKED + b"\r\n0\r\n\r\n" + HIDDEN, {411}, id="chunked"),
        pytest.param(
            HEAD + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", {400, 411}, id="not chunked last"
        ),
        pytest.param(HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", {400}, id="unknown coding"),
        pytest.param(HEAD + b"Transfer_Encoding: chunked\r\n" + length(0) + b"\r\n", {200}, id="underscore is not it"),
        pytest.param(HEAD + length(4) + length(60) + b"\r\nabcd" + HIDDEN, {400}, id="two lengths"),
        pytest.param(HEAD + b"Content-Length: 4, 60\r\n\r\nabcd" + HIDDEN, {400}, id="two lengths in one line"),
        pytest.param(HEAD + b"Content-Length: +4\r\n\r\nabcd", {400}, id="length with a sign"),
        pytest.param(HEAD + b"Content-Length: 0x4\r\n\r\nabcd", {400}, id="hexadecimal length"),
        pytest.param(HEAD + b"Content-Length : 4\r\n\r\nabcd", {400}, id="blank before the colon"),
        pytest.param(HEAD + b"X-A: b\r\n c: d\r\n\r\n", {400}, id="folded line"),
        pytest.param(HEAD + b"X-A: b\x00c\r\n\r\n", {400}, id="NUL in a value"),
        pytest.param(HEAD + b"X-A: b\rX-B: c\r\n\r\n", {400}, id="bare CR"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: acme.localhost\r\nHost: birch.localhost\r\n\r\n", {400}, id="two hosts"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: acme.localhost\r\nHost: acme.localhost\r\n\r\n", {400}, id="host twice"),
        pytest.param(
            b"GET http://birch.localhost/ HTTP/1.1\r\nHost: acme.localhost\r\n\r\n", {400}, id="host in the target"
        ),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", {400}, id="no host"),
        pytest.param(b"CONNECT birch.localhost:443 HTTP/1.1\r\nHost: birch.localhost:443\r\n\r\n", {400}, id="CONNECT"),
        pytest.param(b"GET / HTTP/9.9\r\nHost: acme.localhost\r\n\r\n", {400}, id="version"),
    ],
)
def test_it_is_refused_and_what_is_hidden_in_it_is_not_answered(https, request_bytes, statuses):
    with https.connect() as caller:
        caller.settimeout(10)
        caller.sendall(request_bytes)
        got = b""
        try:
            while part := caller.recv(65536):
                got += part
        except OSError:
            pass
    assert int(got.split(b" ", 2)[1]) in statuses
    assert b"/hidden" not in got


def test_a_target_in_absolute_form_that_names_the_host_is_read_as_that_host(https):
    status, _, said = https.ask("http://acme.localhost/x?y=1")
    assert (status, said["host"], said["path"]) == (200, "acme.localhost", "/x")


def test_lines_that_end_with_a_bare_line_feed_hide_nothing(https):
    """hyper reads them, as RFC 9112, 2.2 allows; the value of no header may hold one."""
    status, headers = https.raw(b"GET /?x HTTP/1.1\nHost: acme.localhost\n\n")
    assert status in {200, 400}
    assert "x-injected" not in headers


def test_a_header_with_an_underscore_does_not_stand_for_one_with_a_hyphen(https):
    _, _, said = https.ask(headers=[("X_Forwarded_For", "203.0.113.9"), ("CF_Connecting_IP", "203.0.113.9")])
    assert "203.0.113.9" not in str(said)


def test_nothing_of_the_servers_environment_is_in_a_request(https):
    _, _, said = https.ask()
    assert said["environment"] == []


@pytest.mark.parametrize(
    ("request_bytes", "statuses"),
    [
        pytest.param(
            b"GET / HTTP/1.1\r\nHost: acme.localhost\r\nX: " + b"a" * 100_000 + b"\r\n\r\n", {431}, id="header"
        ),
        pytest.param(
            b"GET / HTTP/1.1\r\nHost: acme.localhost\r\n" + b"".join(b"X%d: a\r\n" % n for n in range(150)) + b"\r\n",
            {431},
            id="many headers",
        ),
        pytest.param(b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: acme.localhost\r\n\r\n", {414, 431}, id="target"),
    ],
)
def test_a_head_that_is_too_large_is_refused(https, request_bytes, statuses):
    head = https.raw(request_bytes)
    assert head is None or head[0] in statuses


def test_an_error_of_the_application_says_nothing_and_has_hsts(https):
    status, headers, body = https.ask("/fail")
    assert status == 500
    assert b"on purpose" not in body
    assert headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"
