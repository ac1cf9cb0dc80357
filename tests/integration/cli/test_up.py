"""The whole service as its users start it: one process tree, real listeners, real signals."""

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from free_ports import free_ports
from prometheus_client.parser import text_string_to_metric_families

from strongroom.config.errors import RefusedError
from strongroom.config.settings import SETTINGS_FILE, load_settings
from strongroom.platform.control.platform import open_platform
from strongroom.platform.servers import queries as servers
from strongroom.platform.tenants.ids import new_id
from strongroom.provisioning.demo.source import SHIPPED
from strongroom.provisioning.isolation.superuser import superuser_findings
from strongroom.provisioning.names import MAINTENANCE, PROVISIONER
from strongroom.provisioning.postgres.embedded import EmbeddedServer
from strongroom.provisioning.sessions import open_as

READY_SECONDS = 240
# Bounds for a machine that does many other things: alone it stops in one to three seconds and resumes in five.
STOP_SECONDS = 90
RESUME_SECONDS = 120
PROGRAM = [sys.executable, "-P", "-m", "strongroom"]


def processes_of(home):
    """Ids of all living processes that name the home in their arguments."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
            if state != "Z" and os.fsencode(str(home)) in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def wait_for(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def call(home, *arguments):
    return subprocess.run(
        [*PROGRAM, "--home", str(home), *arguments], capture_output=True, text=True, timeout=180, check=False
    )


class Service:
    """`strongroom up` on a home of its own."""

    def __init__(self, home):
        first = free_ports(3)
        self.home, self.https, self.http, self.metrics = home, first, first + 1, first + 2
        self.ready = ""
        self.running: subprocess.Popen[bytes] | None = None

    @property
    def process(self):
        assert self.running is not None, "it was never started"
        return self.running

    def start(self, *arguments):
        ports = ("--https-port", str(self.https), "--http-port", str(self.http), "--metrics-port", str(self.metrics))
        with (self.home.parent / "up.out").open("w") as out, (self.home.parent / "up.err").open("w") as err:
            self.running = subprocess.Popen(
                [*PROGRAM, "--home", str(self.home), "up", *ports, *arguments],
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        wait_for(self._ready_or_gone, READY_SECONDS, self.words())
        assert self.process.poll() is None, self.words()
        return self.words()

    def words(self):
        return (self.home.parent / "up.out").read_text() + (self.home.parent / "up.err").read_text()

    def stop(self, number):
        began = time.monotonic()
        self.process.send_signal(number)
        code = self.process.wait(STOP_SECONDS)
        wait_for(lambda: not processes_of(self.home), STOP_SECONDS, f"left: {processes_of(self.home)}")
        return code, time.monotonic() - began

    def _ready_or_gone(self):
        return "Strongroom is ready" in self.words() or self.process.poll() is not None


@contextmanager
def service_in(folder):
    folder.mkdir()
    home = folder / "home"
    home.mkdir()
    (home / SETTINGS_FILE).write_text("bcrypt_cost = 4\nweb_workers = 1\nmetrics_port = 0\n")
    service = Service(home)
    try:
        yield service
    finally:
        for pid in processes_of(home):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if service.running is not None:
            service.running.wait()


@pytest.fixture(scope="module")
def service(reachable_tmp):
    """Runs with the shipped demo for the tests of this module that only look."""
    with service_in(reachable_tmp / f"up-{new_id()}") as running:
        running.ready = running.start("--demo", "--data", str(SHIPPED))
        yield running
        running.stop(signal.SIGTERM)


@pytest.fixture
def own_service(reachable_tmp):
    """Not started yet, for the tests that end it."""
    with service_in(reachable_tmp / f"up-{new_id()}") as own:
        yield own


def trusting(service):
    return ssl.create_default_context(cafile=str(service.home / "tls" / "ca.pem"))


def get(service, host, path="/"):
    context = trusting(service)
    with (
        socket.create_connection(("127.0.0.1", service.https), 30) as plain,
        context.wrap_socket(plain, server_hostname=host) as secure,
    ):
        secure.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}:{service.https}\r\nConnection: close\r\n\r\n".encode())
        with closing(http.client.HTTPResponse(secure)) as answer:
            answer.begin()
            return answer.status


def ask_plainly(service, method, path, host="harbour-studio.localhost"):
    with closing(http.client.HTTPConnection("127.0.0.1", service.http, timeout=30)) as connection:
        connection.request(method, path, headers={"Host": f"{host}:{service.http}"})
        with closing(connection.getresponse()) as answer:
            return answer.status, answer.headers


def test_the_ready_block_says_where_everything_is(service):
    note = json.loads((service.home / "demo.json").read_text())
    for expected in (
        f"https://harbour-studio.localhost:{service.https}",
        "owner@demo.example",
        "read-only@demo.example",
        note["password"],
        str(service.home.with_name("home-backups")),
        "3 of 3 workspaces backed up and verified",
        str(service.home / "tls" / "ca.pem"),
        "All of this demo is generated",
    ):
        assert expected in service.ready
    assert (service.home / "demo.json").stat().st_mode & 0o077 == 0


def test_nobody_is_the_databases_superuser_while_web_and_worker_run(service):
    settings = load_settings(service.home)
    assert {"https", "worker"} <= set(running_parts(service.home))
    with pytest.raises(RefusedError, match="superuser"):
        EmbeddedServer(settings).connect_admin()
    with open_platform(settings) as platform, platform.control.connect() as conn:
        sessions = conn.exec_driver_sql("SELECT usename FROM pg_stat_activity WHERE datid IS NOT NULL").scalars().all()
        assert sessions
        assert "strongroom_admin" not in sessions
        embedded = servers.by_name(conn, "embedded")
        with open_as(platform, embedded, PROVISIONER, MAINTENANCE) as session:
            assert superuser_findings(session, settings) == []


def running_parts(home):
    """Last words of the command lines of the service's processes."""
    found = []
    for pid in processes_of(home):
        with suppress(OSError):  # it has just ended
            found.append(Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")[-1].decode())
    return found


def test_workspaces_answer_under_certificates_that_the_authority_vouches_for(service):
    assert get(service, "localhost") == 200
    assert get(service, "harbour-studio.localhost", "/sign-in") == 200


def test_a_new_workspace_gets_its_place_in_the_certificate(service):
    made = call(
        service.home, "tenant", "create", "newcomer", "--name", "N", "--owner", "n@n.example", "--wait", "--json"
    )
    assert json.loads(made.stdout)["url"] == f"https://newcomer.localhost:{service.https}"

    def answers():
        try:
            return get(service, "newcomer.localhost", "/sign-in") == 200
        except (OSError, http.client.HTTPException):  # the errors of TLS are among them
            return False

    wait_for(answers, READY_SECONDS, "the new workspace cannot be reached")


def test_nothing_older_than_tls_1_3_is_spoken(service):
    context = trusting(service)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        socket.create_connection(("127.0.0.1", service.https), 5) as plain,
        pytest.raises(ssl.SSLError, match="protocol"),
    ):
        context.wrap_socket(plain, server_hostname="localhost")
    with (
        socket.create_connection(("127.0.0.1", service.https), 5) as plain,
        trusting(service).wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        assert secure.version() == "TLSv1.3"


def test_plain_http_redirects_pages_and_refuses_the_api(service):
    status, headers = ask_plainly(service, "GET", "/expenses?state=draft")
    assert status == 308
    assert headers["Location"] == f"https://harbour-studio.localhost:{service.https}/expenses?state=draft"
    for method in ("GET", "POST"):
        status, headers = ask_plainly(service, method, "/api/v1/expenses")
        assert (status, headers["Location"]) == (403, None)
    assert ask_plainly(service, "GET", "/", host="evil.example")[0] == 400


def test_the_metrics_answer_on_their_own_port_and_nowhere_else(service):
    with urllib.request.urlopen(f"http://127.0.0.1:{service.metrics}/metrics", timeout=10) as answer:
        families = {family.name: family for family in text_string_to_metric_families(answer.read().decode())}
    assert families["strongroom_up"].samples[0].value == 1
    states = {sample.labels["state"]: sample.value for sample in families["strongroom_tenants"].samples}
    assert states["active"] >= 3
    assert get(service, "localhost", "/metrics") == 404


def test_status_is_healthy(service):
    answer = call(service.home, "status", "--json")
    document = json.loads(answer.stdout)
    assert (answer.returncode, document["healthy"]) == (0, True), document
    assert {check["part"] for check in document["checks"]} >= {"PostgreSQL", "web", "worker", "backups", "keys"}


def test_a_second_up_on_the_same_home_is_refused_with_one_sentence(service):
    answer = call(service.home, "up")
    assert answer.returncode == 4
    assert "already running" in answer.stderr
    assert len(answer.stderr.splitlines()) == 1


def test_a_taken_port_is_one_sentence(service, own_service):
    taken = (("--https-port", service.https), ("--http-port", service.http), ("--metrics-port", service.metrics))
    for option, port in taken:
        answer = call(own_service.home, "up", option, str(port))
        assert answer.returncode == 1
        assert f"Port {port}" in answer.stderr
        assert len(answer.stderr.splitlines()) == 1


def test_sigterm_ends_every_process_in_time_and_commands_answer_afterwards(own_service):
    own_service.start()
    code, seconds = own_service.stop(signal.SIGTERM)
    assert code == 0
    assert seconds < STOP_SECONDS
    assert call(own_service.home, "status").returncode == 1
    assert call(own_service.home, "tenant", "list").returncode == 0
    assert processes_of(own_service.home) == []


@pytest.mark.parametrize(("part", "says"), [("worker", "Waiting for jobs"), ("web", "Serving")])
def test_a_part_that_says_it_runs_ends_cleanly_on_a_signal_sent_at_that_moment(own_service, part, says):
    assert call(own_service.home, "init").returncode == 0
    ports = ("--https-port", str(own_service.https), "--http-port", str(own_service.http)) if part == "web" else ()
    command = [*PROGRAM, "--home", str(own_service.home), part, *ports]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as started:
        assert started.stderr is not None
        next(line for line in started.stderr if says in line)
        started.terminate()
        assert started.wait(STOP_SECONDS) == 0, started.stderr.read()
    wait_for(lambda: not processes_of(own_service.home), STOP_SECONDS, f"left: {processes_of(own_service.home)}")


def test_a_signal_during_the_first_start_leaves_nothing_running(own_service):
    ports = ("--https-port", str(own_service.https), "--http-port", str(own_service.http))
    command = [*PROGRAM, "--home", str(own_service.home), "up", "--demo", "--data", str(SHIPPED), *ports]
    started = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for((own_service.home / "demo.json").exists, READY_SECONDS, "the demo never began")
    started.terminate()
    started.wait(STOP_SECONDS)
    wait_for(lambda: not processes_of(own_service.home), STOP_SECONDS, f"left: {processes_of(own_service.home)}")


def test_killed_outright_it_leaves_no_orphans_and_resumes_with_all_data(own_service):
    own_service.start("--demo", "--data", str(SHIPPED))
    before = {row["id"] for row in json.loads(call(own_service.home, "tenant", "list", "--json").stdout)}
    own_service.process.kill()
    own_service.process.wait()
    wait_for(lambda: not processes_of(own_service.home), STOP_SECONDS, f"left: {processes_of(own_service.home)}")
    began = time.monotonic()
    own_service.start("--demo", "--data", str(SHIPPED))
    assert time.monotonic() - began < RESUME_SECONDS
    assert {row["id"] for row in json.loads(call(own_service.home, "tenant", "list", "--json").stdout)} == before
    own_service.stop(signal.SIGTERM)


def test_what_dies_is_started_again_postgresql_too_until_ctrl_c(own_service):
    own_service.start()
    server = int((own_service.home / "postgres" / "data" / "postmaster.pid").read_text().split()[0])
    for pid in processes_of(own_service.home):
        if pid != own_service.process.pid:
            with suppress(ProcessLookupError):  # it has ended with its parent, which was killed before
                os.kill(pid, signal.SIGKILL)
    wait_for(lambda: server not in processes_of(own_service.home), STOP_SECONDS, "the server was not killed")
    wait_for(lambda: call(own_service.home, "status").returncode == 0, READY_SECONDS, "it never became healthy again")
    code, seconds = own_service.stop(signal.SIGINT)
    assert (code, seconds < STOP_SECONDS) == (0, True)


def test_a_home_of_somebody_else_is_one_sentence(own_service):
    if os.geteuid() == 0:
        os.chown(own_service.home, 65534, 65534)
        answer = call(own_service.home, "up")
    else:
        answer = call(Path("/root/strongroom"), "up")
    assert answer.returncode in {1, 4}
    assert len(answer.stderr.splitlines()) == 1, answer.stderr


def test_an_account_that_may_not_write_there_is_told_so():
    answer = call(Path("/proc/strongroom"), "up")
    assert answer.returncode in {1, 4}
    assert len(answer.stderr.splitlines()) == 1, answer.stderr
