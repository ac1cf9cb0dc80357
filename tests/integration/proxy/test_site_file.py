"""The site files for a Caddy or an nginx that serves other sites, too: config/deploy/, with this home's paths."""

import http.client
import os
import shutil

import pytest

from strongroom.platform.web.app import UPLOAD_LIMIT
from strongroom.platform.web.security import HSTS

PLACES = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))

KINDS = ["caddy-site", "nginx-site"] if shutil.which("nginx", path=PLACES) else ["caddy-site"]
pytestmark = pytest.mark.parametrize("edge", KINDS, indirect=True, scope="module")


def test_a_workspace_always_lands_on_the_same_process(edge):
    first = edge.placed()
    assert set(first.values()) == {0, 1}
    assert edge.placed() == first


def test_the_processes_hear_who_calls_and_nothing_that_the_caller_claims(edge):
    claims = [("X-Forwarded-For", "203.0.113.9"), ("Forwarded", "for=203.0.113.9"), ("X-Forwarded-Proto", "http")]
    _, headers, said = edge.ask("tenant-1.localhost", headers=claims)
    assert (said["address"], said["scheme"], said["host"]) == ("127.0.0.1", "https", "tenant-1.localhost")
    assert "203.0.113.9" not in str(said)
    assert len(headers.get_all("Strict-Transport-Security")) == 1


def test_what_is_too_large_ends_at_the_proxy_with_hsts(edge):
    status, headers, _ = edge.ask("tenant-1.localhost", method="POST", body=bytes(UPLOAD_LIMIT + 1))
    assert (status, headers["Strict-Transport-Security"]) == (413, HSTS)


def test_plain_http_redirects_pages_and_refuses_the_api(edge):
    def plain(path, method="GET"):
        connection = http.client.HTTPConnection("127.0.0.1", edge.settings.http_port, timeout=10)
        connection.request(method, path, headers={"Host": "tenant-1.localhost"})
        answer = connection.getresponse()
        connection.close()
        return answer.status

    assert (plain("/expenses"), plain("/api/v1/expenses", "POST"), plain("/API/v1")) == (308, 403, 403)
