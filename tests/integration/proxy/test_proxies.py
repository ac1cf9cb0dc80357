"""The configurations that `strongroom proxy config` writes, in the real nginx and the real HAProxy.

Only those that are installed are collected (Debian: nginx-light, haproxy; `make test-servers` installs them), so that
nothing is skipped: a machine without them has fewer tests.
"""

import http.client
import os
import shutil
import socket
import ssl
from contextlib import closing

import pytest

from strongroom.platform.web.app import UPLOAD_LIMIT
from strongroom.platform.web.security import HSTS
from strongroom.platform.web.tls import tls_files

PLACES = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
INSTALLED = [name for name in ("nginx", "haproxy") if shutil.which(name, path=PLACES)]

if INSTALLED:
    pytestmark = pytest.mark.parametrize("edge", INSTALLED, indirect=True, scope="module")

    def test_a_workspace_always_lands_on_the_same_process_however_its_name_is_written(edge, wait_for):
        first = edge.placed()
        assert set(first.values()) == {0, 1}
        wait_for(lambda: edge.placed() == first, "they moved")  # a check of a busy process may fail for a moment
        host = next(iter(first))
        spelled = [host.upper(), f"{host}:{edge.settings.https_port}"]
        assert {edge.worker_of(name) for name in spelled} == {first[host]}

    def test_a_killed_process_costs_no_request_and_gets_its_workspaces_back(edge, wait_for):
        before = edge.placed()
        edge.kill_worker(1)
        assert set(edge.placed().values()) == {0}
        edge.start_worker(1)
        host = next(host for host, worker in before.items() if worker == 1)
        wait_for(lambda: edge.worker_of(host) == 1, "it never got its workspaces back")
        wait_for(lambda: edge.placed() == before, "they did not go back")

    @pytest.mark.parametrize("name", ["X-Forwarded-For", "x-forwarded-for", "X_Forwarded_For"])
    def test_what_a_caller_claims_about_itself_is_replaced(edge, name):
        claims = [(name, "203.0.113.9"), (name, "198.51.100.7"), ("X-Forwarded-Proto", "http"), ("Forwarded", "for=a")]
        _, _, said = edge.ask("tenant-1.localhost", headers=claims)
        assert (said["address"], said["scheme"]) == ("127.0.0.1", "https")
        assert said["told"] == {"HTTP_X_FORWARDED_FOR": "127.0.0.1", "HTTP_X_FORWARDED_PROTO": "https"}

    def test_an_upload_passes_up_to_the_limit_and_never_touches_the_disk(edge):
        status, _, said = edge.ask("tenant-1.localhost", method="POST", body=bytes(UPLOAD_LIMIT))
        assert (status, said["bytes"]) == (200, UPLOAD_LIMIT)
        status, headers, _ = edge.ask("tenant-1.localhost", method="POST", body=bytes(UPLOAD_LIMIT + 1))
        assert (status, headers.get_all("Strict-Transport-Security")) == (413, [HSTS])
        assert "temporary file" not in edge.log.read_text()

    def test_what_serves_is_not_root(edge):
        accounts = edge.accounts()
        assert accounts
        assert [account for account in accounts if 0 in account] == []

    def test_headers_of_the_portal_are_left_alone(edge):
        _, headers, _ = edge.ask("tenant-1.localhost")
        assert headers.get_all("Strict-Transport-Security") == ["max-age=1"]

    def test_nothing_older_than_tls_1_3_is_spoken_in_front(edge):
        context = ssl.create_default_context(cafile=str(tls_files(edge.settings).authority))
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with (
            socket.create_connection(("127.0.0.1", edge.settings.https_port), 30) as plain,
            pytest.raises((ssl.SSLError, ConnectionResetError)),
        ):
            context.wrap_socket(plain, server_hostname="localhost")

    def test_plain_http_behaves_like_our_own_listener(edge):
        def ask(path, host="acme.localhost"):
            with closing(http.client.HTTPConnection("127.0.0.1", edge.settings.http_port, timeout=30)) as connection:
                connection.request("POST", path, headers={"Host": host})
                with closing(connection.getresponse()) as answer:
                    return answer.status, answer.headers["Location"]

        place = f"https://acme.localhost:{edge.settings.https_port}"
        assert ask("/expenses?state=draft%20a") == (308, f"{place}/expenses?state=draft%20a")
        assert ask("/apiary") == (308, f"{place}/apiary")
        for path in ("/api", "/api/v1/expenses", "//API/v1", "/%61pi/v1"):
            assert ask(path) == (403, None)
        assert ask("/x/../api/v1")[0] in {400, 403}
        assert ask("/", "evil.example") == (400, None)
        assert ask("/", "localhost.evil.example") == (400, None)

    def test_a_stranger_at_a_web_process_port_gets_no_customer(edge, impostor, wait_for):
        before = edge.placed()
        edge.kill_worker(1)
        with impostor(edge.settings.worker_ports[1]):
            assert set(edge.placed().values()) == {0}
        edge.start_worker(1)
        wait_for(lambda: edge.placed() == before, "the real one never got its workspaces back")
