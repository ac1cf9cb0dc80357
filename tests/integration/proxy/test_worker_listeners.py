"""What a web process behind a proxy lets in: nobody but the proxy."""

import http.client
import json
import socket
import ssl
from contextlib import closing

import pytest

from strongroom.platform.web.tls import tls_files

pytestmark = pytest.mark.parametrize("edge", ["none"], indirect=True, scope="module")
GONE = (ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)


def ask(settings, certificate, headers=None, version=None):
    """What a caller with this client certificate is told by web process 0."""
    context = ssl.create_default_context(cafile=str(tls_files(settings).authority))
    if certificate:
        context.load_cert_chain(certificate)
    if version:
        context.maximum_version = version
    with (
        socket.create_connection(("127.0.0.1", settings.worker_ports[0]), 30) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        connection = http.client.HTTPConnection("acme.localhost")
        connection.sock = secure
        connection.request("GET", "/", headers=headers or {})
        with closing(connection.getresponse()) as answer:
            return json.loads(answer.read())


def test_who_shows_no_certificate_is_refused(edge):
    with pytest.raises(GONE):
        ask(edge.settings, None)


def test_a_certificate_for_serving_is_none_for_calling(edge):
    with pytest.raises(GONE):
        ask(edge.settings, tls_files(edge.settings).worker)


def test_the_proxy_of_another_home_is_refused(edge, other_home):
    with pytest.raises(GONE):
        ask(edge.settings, tls_files(other_home).proxy)


def test_the_proxy_is_believed_about_the_address_that_it_has_set_last(edge):
    said = ask(edge.settings, tls_files(edge.settings).proxy, {"X-Forwarded-For": "203.0.113.9, 198.51.100.7"})
    assert said["address"] == "198.51.100.7"


def test_the_proxy_too_speaks_nothing_older_than_tls_1_3(edge):
    with pytest.raises(GONE):
        ask(edge.settings, tls_files(edge.settings).proxy, version=ssl.TLSVersion.TLSv1_2)
