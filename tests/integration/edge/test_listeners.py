"""What every listener holds to: TLS 1.3, HSTS, redirects."""

import ssl
import subprocess

import pytest

HSTS = "max-age=31536000; includeSubDomains"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2])
def test_pythons_client_is_refused_below_tls_1_3(https, cdn, version):
    for listener in (https, cdn):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            listener.connect(version=version)


@pytest.mark.parametrize("option", ["-tls1_2", "-tls1_1", "-tls1"])
def test_openssls_client_is_refused_below_tls_1_3(https, option):
    assert b"Cipher is (NONE)" in openssl(https, option)


def test_openssls_client_gets_tls_1_3(https):
    said = openssl(https, "-tls1_3")
    assert b"TLSv1.3" in said
    assert b"Cipher is (NONE)" not in said


def openssl(listener, option):
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{listener.port}", option, "-cipher", "ALL:@SECLEVEL=0"]
    done = subprocess.run(command, input=b"", capture_output=True, timeout=20, check=False)
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("path", "method", "body"),
    [("/", "GET", None), ("/big", "HEAD", None), ("/fail", "GET", None), ("/", "POST", b"x" * 100)],
)
def test_what_the_listener_answers_by_itself_has_hsts_or_the_application_adds_it(plain, https, path, method, body):
    status, headers, _ = https.ask(path, method=method, body=body)
    assert status == 200 or headers["Strict-Transport-Security"] == HSTS
    assert plain.ask(path, method=method)[0] == 308


def test_refusals_before_the_application_have_hsts(https):
    for request in (
        b"GET / HTTP/1.1\r\nHost: a.localhost\r\nHost: b.localhost\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a.localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ):
        _, headers = https.raw(request)
        assert headers["strict-transport-security"] == HSTS
        assert headers["cache-control"] == "no-store"


def test_plain_http_redirects_pages_and_refuses_the_api(plain):
    status, headers, _ = plain.ask("/expenses?q=a%20b")
    assert status == 308
    assert headers["Location"] == f"https://acme.localhost:{plain.settings.https_port}/expenses?q=a%20b"
    assert plain.ask("/api/v1/expenses", method="POST", body=b"{}")[0] == 403


def test_plain_http_never_waits_for_a_body(plain):
    status, _ = plain.raw(b"POST /x HTTP/1.1\r\nHost: acme.localhost\r\nContent-Length: 1000000\r\n\r\n")
    assert status == 308


def test_http2_is_answered_like_http1(https):
    done = subprocess.run(
        ["curl", "-ksS", "--http2", "-w", "%{http_version}", "-o", "/dev/null", f"https://127.0.0.1:{https.port}/"],
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert done.stdout == b"2", done.stderr
