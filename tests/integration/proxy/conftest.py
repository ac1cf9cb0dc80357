import http.client
import json
import os
import pwd
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
from contextlib import ExitStack, closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from free_ports import free_ports
from waiting import wait_for

import strongroom
from strongroom.config.settings import SETTINGS_FILE, load_settings
from strongroom.platform.tenants.ids import new_id
from strongroom.platform.web.listening import answers_proxy
from strongroom.platform.web.tls import ensure_certificates, ensure_proxy_certificates, tls_files

ECHO = Path(__file__).with_name("echo_worker.py")
PLACES = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
HOSTS = [f"tenant-{number}.localhost" for number in range(40)]


DEPLOY = Path(strongroom.__file__).parent / "config" / "deploy"
SITES = {"nginx-site": DEPLOY / "nginx-site.conf", "caddy-site": DEPLOY / "Caddyfile"}
AROUND = """\
pid "{folder}/nginx.pid";
error_log stderr warn;
events {{ }}
http {{
    access_log off;
    client_body_temp_path "{folder}/temp";
    proxy_temp_path "{folder}/temp";
    fastcgi_temp_path "{folder}/temp";
    uwsgi_temp_path "{folder}/temp";
    scgi_temp_path "{folder}/temp";
    include "{folder}/sites/strongroom.conf";
}}
"""


def command_of(kind: str, configuration: Path):
    kind = kind.removesuffix("-site")
    if kind == "caddy":
        return [str(Path(sys.executable).with_name(kind)), "run", "--config", configuration, "--adapter", "caddyfile"]
    program = str(shutil.which(kind, path=PLACES))
    arguments = {"nginx": ["-c", str(configuration), "-g", "daemon off;"], "haproxy": ["-W", "-f", str(configuration)]}
    return [program, *arguments[kind]]


@contextmanager
def running(*command, **keywords):
    """A program in a process group of its own; killed whole at the end."""
    process = subprocess.Popen(list(map(str, command)), start_new_session=True, **keywords)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def statuses():
    """What the kernel says about each process."""
    for path in Path("/proc").glob("[0-9]*/status"):
        with suppress(OSError):  # it has ended
            yield path.read_text()


class Edge:
    """Two web processes and a proxy before them."""

    def __init__(self, folder, kind, more=""):
        self.kind = kind
        base = free_ports(4)
        home = folder / "home"
        home.mkdir(parents=True)
        (home / SETTINGS_FILE).write_text(
            f"https_port = {base}\nhttp_port = {base + 1}\nworker_port_base = {base + 2}\nmetrics_port = 0\n{more}"
        )
        self.settings = load_settings(home)
        self.configuration = folder / f"{kind}.conf"
        self.log = folder / f"{kind}.log"
        self.stack = ExitStack()
        self.workers = {}

    def start_worker(self, index):
        command = running(sys.executable, "-P", ECHO, self.settings.home, str(index))
        self.workers[index] = self.stack.enter_context(command)
        wait_for(lambda: answers_proxy(self.settings, index), f"worker {index} does not answer")

    def kill_worker(self, index):
        os.killpg(self.workers[index].pid, signal.SIGKILL)
        self.workers[index].wait()

    def write_site(self):
        """The site file of the deployment files, with this home's domain, ports and paths."""
        text = SITES[self.kind].read_text()
        for old, new in self.changes():
            assert old in text, old
            text = text.replace(old, new)
        if self.kind == "caddy-site":
            self.configuration.write_text(text)
            return
        folder = self.configuration.parent
        (folder / "sites").mkdir()
        (folder / "sites" / "strongroom.conf").write_text(text)
        self.configuration.write_text(AROUND.format(folder=folder))

    def changes(self):
        """What the file says is to be changed in it, from and to."""
        base, files = self.settings.https_port, tls_files(self.settings)
        yield "/var/lib/strongroom/home/tls", str(files.server.parent)
        for name in ("fullchain.pem", "privkey.pem"):
            yield f"/etc/ssl/expenses.example/{name}", str(files.server)
        if self.kind == "caddy-site":
            yield (
                "https://expenses.example, https://*.expenses.example",
                f"https://localhost:{base}, https://*.localhost:{base}",
            )
            yield (
                "http://expenses.example, http://*.expenses.example",
                f"http://localhost:{base + 1}, http://*.localhost:{base + 1}",
            )
            yield "{\n\tauto_https", "{\n\tadmin off\n\tauto_https"  # its port is the machine's
        else:
            yield "*.expenses.example", "*.localhost"
            for family in ("", "[::]:"):
                address = "[::1]:" if family else "127.0.0.1:"
                yield f"listen {family}443", f"listen {address}{base}"
                yield f"listen {family}80", f"listen {address}{base + 1}"
        yield "expenses.example", "localhost"
        yield "127.0.0.1:9500", f"127.0.0.1:{base + 2}"
        yield "127.0.0.1:9501", f"127.0.0.1:{base + 3}"

    def start_site(self):
        ensure_certificates(self.settings)
        self.write_site()
        with self.log.open("wb") as log:
            self.proxy = self.stack.enter_context(running(*command_of(self.kind, self.configuration), stderr=log))
        wait_for(self.answers, "the proxy does not answer")

    def start_proxy(self):
        if self.kind in SITES:
            self.start_site()
            return
        command = [sys.executable, "-P", "-m", "strongroom", "--home", self.settings.home, "proxy", "config", self.kind]
        subprocess.run([*command, "--output", self.configuration], check=True, capture_output=True, timeout=60)
        with self.log.open("wb") as log:
            self.proxy = self.stack.enter_context(running(*command_of(self.kind, self.configuration), stderr=log))
        wait_for(self.answers, "the proxy does not answer")

    def accounts(self):
        """User and group of each process that serves: the children of the one that was started."""
        fields = [dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line) for text in statuses()]
        children = [field for field in fields if int(field["PPid"]) == self.proxy.pid]
        return {(int(field["Uid"].split()[1]), int(field["Gid"].split()[1])) for field in children}

    def answers(self):
        assert self.proxy.poll() is None, self.log.read_text()
        try:
            return self.ask(HOSTS[0])[0] == 200
        except OSError:
            return False

    def ask(self, host, *, method="GET", body=None, headers=(), at="127.0.0.1"):
        """Status, headers and what the web process saw, over a new connection."""
        context = ssl.create_default_context(cafile=str(tls_files(self.settings).authority))
        with socket.create_connection((at, self.settings.https_port), 10) as plain:
            # The certificate names the workspaces that exist, and these do not.
            with context.wrap_socket(plain, server_hostname="localhost") as secure:
                connection = http.client.HTTPConnection(host)
                connection.sock = secure
                connection.putrequest(method, "/", skip_host=True)
                for name, value in [("Host", host), *headers]:
                    connection.putheader(name, value)
                if body is not None:
                    connection.putheader("Content-Length", str(len(body)))
                connection.endheaders()
                with suppress(BrokenPipeError, ConnectionResetError, ssl.SSLError):  # refused before all was sent
                    connection.send(body or b"")
                with closing(connection.getresponse()) as answer:
                    text = answer.read()
                    said = json.loads(text) if text.startswith(b"{") else {}
                    return answer.status, answer.headers, said

    def worker_of(self, host):
        status, _, said = self.ask(host)
        assert status == 200
        return said["worker"]

    def placed(self):
        return {host: self.worker_of(host) for host in HOSTS}


@contextmanager
def new_edge(reachable_tmp, kind, more=""):
    folder = reachable_tmp / f"edge-{new_id()}"
    folder.mkdir(mode=0o755)
    one = Edge(folder, kind, more)
    with one.stack:
        one.start_worker(0)
        yield one
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def edge(reachable_tmp, request):
    """With the proxy whose name is the parameter; `none` is one web process alone."""
    with new_edge(reachable_tmp, request.param) as one:
        if one.kind != "none":
            one.start_worker(1)
            one.start_proxy()
        yield one


@pytest.fixture
def edge_everywhere(reachable_tmp, request):
    """Like `edge`, and listens at all addresses of the machine."""
    with new_edge(reachable_tmp, request.param, 'bind_host = "::"\n') as one:
        one.start_worker(1)
        one.start_proxy()
        yield one


@pytest.fixture
def given_away(reachable_tmp, request):
    """Like `edge`, without its proxy, and the home belongs to the account “daemon”. Only for root."""
    owner = pwd.getpwnam("daemon")
    with new_edge(reachable_tmp, request.param) as one:
        one.start_worker(1)
        for path in (one.settings.home, *one.settings.home.rglob("*")):
            os.chown(path, owner.pw_uid, owner.pw_gid)
        yield one, owner
    for path in Path("/run").glob(f"strongroom-nginx-{one.settings.https_port}*"):
        path.rmdir() if path.is_dir() else path.unlink()


@pytest.fixture(name="ports")
def ports_fixture():
    """`ports(n)` is the first of `n` free ones in a row."""
    return free_ports


@pytest.fixture(name="wait_for")
def wait_for_fixture():
    """`wait_for(condition, what, seconds)` fails with `what` when the condition does not come true in time."""
    return wait_for


@pytest.fixture
def other_home(tmp_path):
    """Settings of a home with an authority of its own."""
    settings = load_settings(tmp_path / "other")
    ensure_proxy_certificates(settings)
    return settings


@pytest.fixture
def impostor(other_home):
    """`impostor(port)` answers there like a web process, with the certificate of another home's authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls_files(other_home).worker)

    class Stranger(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"worker": "impostor"}')

    class Server(ThreadingHTTPServer):
        allow_reuse_port = True

    @contextmanager
    def answering(port):
        with Server(("127.0.0.1", port), Stranger) as server:
            server.socket = context.wrap_socket(server.socket, server_side=True)
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            yield
            server.shutdown()
            thread.join()

    return answering
