"""The whole service with a port per web process, as it runs behind a proxy."""

import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from edge_listeners import Authority

from strongroom.config.settings import SETTINGS_FILE, load_settings
from strongroom.platform.tenants.ids import new_id
from strongroom.platform.web.listening import answers_cdn, answers_https, answers_proxy
from strongroom.platform.web.tls import tls_files

PROGRAM = [sys.executable, "-P", "-m", "strongroom"]


def call(settings, *arguments):
    command = [*PROGRAM, "--home", str(settings.home), *arguments, "--json"]
    return json.loads(subprocess.run(command, capture_output=True, text=True, timeout=180, check=False).stdout)


def processes_of(home, *words):
    """Ids of the living processes that have the home and these words among their arguments."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if {os.fsencode(str(home)), *map(str.encode, words)} <= set(arguments):
            found.append(int(folder.name))
    return found


@pytest.fixture
def settings(reachable_tmp, ports):
    home = reachable_tmp / f"behind-{new_id()}" / "home"
    home.mkdir(parents=True)
    base = ports(5)
    authority = Authority("The zone").write(home / "zone.pem")
    (home / SETTINGS_FILE).write_text(
        f"bcrypt_cost = 4\nhttps_port = {base}\nhttp_port = {base + 1}\nworker_port_base = {base + 2}\n"
        f'metrics_port = 0\nspare_databases = 0\ncdn_port = {base + 4}\ncdn_authority = "{authority}"\n'
    )
    yield load_settings(home)
    shutil.rmtree(home.parent)


@contextmanager
def up(settings, wait_for):
    words = settings.home.parent / "up.out"
    with words.open("w") as out:
        process = subprocess.Popen([*PROGRAM, "--home", str(settings.home), "up"], stdout=out, stderr=out)
    try:
        wait_for(
            lambda: "Strongroom is ready" in words.read_text() or process.poll() is not None, words.read_text(), 300
        )
        yield words
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(120)


def get(settings, index, host, path):
    """Status of a page as the proxy asks web process `index` for it."""
    files = tls_files(settings)
    context = ssl.create_default_context(cafile=str(files.authority))
    context.load_cert_chain(files.proxy)
    with (
        socket.create_connection(("127.0.0.1", settings.worker_ports[index]), 10) as plain,
        context.wrap_socket(plain, server_hostname=settings.base_domain) as secure,
    ):
        connection = http.client.HTTPConnection(host)
        connection.sock = secure
        connection.request("GET", path)
        with closing(connection.getresponse()) as answer:
            return answer.status


def test_each_web_process_has_a_port_and_comes_back_when_killed(settings, wait_for):
    with up(settings, wait_for) as words:
        assert f"Serving the ports {settings.worker_ports[0]} to {settings.worker_ports[1]} to the proxy" in (
            words.read_text()
        )
        assert not answers_https(settings)
        assert answers_cdn(settings)
        for index in range(2):
            assert get(settings, index, "localhost", "/") == 200
        web = next(check for check in call(settings, "status")["checks"] if check["part"] == "web")
        assert (web["ok"], "the proxy" in web["detail"]) == (False, True)

        killed = processes_of(settings.home, "portal", "1")
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        assert get(settings, 0, "localhost", "/") == 200
        wait_for(lambda: answers_proxy(settings, 1), "the killed process did not come back", 180)
        assert not set(killed) & set(processes_of(settings.home, "portal", "1"))


def test_a_taken_port_is_one_sentence(settings):
    with socket.create_server(("127.0.0.1", settings.worker_ports[1])):
        answer = subprocess.run(
            [*PROGRAM, "--home", str(settings.home), "up"], capture_output=True, text=True, timeout=180, check=False
        )
    assert answer.returncode == 1
    assert answer.stderr.startswith(f"strongroom: Port {settings.worker_ports[1]} ")
    assert "worker_port_base in strongroom.toml" in answer.stderr
    assert len(answer.stderr.splitlines()) == 1
