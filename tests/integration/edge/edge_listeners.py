"""The real listeners in processes of their own, and callers that speak to them byte by byte."""

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from free_ports import free_ports
from waiting import wait_for

from strongroom.config.settings import SETTINGS_FILE, Settings, load_settings

__all__ = [
    "authority",
    "cdn",
    "ended_after_fixture",
    "https",
    "listen",
    "plain",
    "read_head_fixture",
    "wait_for_fixture",
    "zone",
]
WORKER = Path(__file__).with_name("edge_worker.py")
HOST = "acme.localhost"


class Authority:
    """Somebody who signs certificates."""

    def __init__(self, name):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = self._sign(self.name, self.key.public_key(), timedelta(days=30), [], authority=True)

    def issue(self, path, names=(), days=30, *, client=False):
        """Write a certificate with its key to `path`, in one file; return the file's path."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0] if names else "caller")])
        certificate = self._sign(subject, key.public_key(), timedelta(days=days), names, client=client)
        path.write_bytes(pem(certificate) + key_pem(key))
        return path

    def write(self, path):
        path.write_bytes(pem(self.certificate))
        return path

    def _sign(self, subject, public, life, names, *, authority=False, client=False):
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=60))
            .not_valid_after(now + life)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if not authority:
            usage = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        if names:
            alternative = [*map(x509.DNSName, names), x509.IPAddress(ip_address("127.0.0.1"))]
            builder = builder.add_extension(x509.SubjectAlternativeName(alternative), critical=False)
        return builder.sign(self.key, hashes.SHA256())


def pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM)


def key_pem(key):
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@dataclass
class Listener:
    """One listener, and the process that serves there."""

    settings: Settings
    kind: str
    port: int
    process: subprocess.Popen[bytes]
    log: Path
    shown: Any = None  # the certificate that the CDN shows

    def connect(self, certificate=None, version=None, protocols=None):
        """A connection after its handshake; plain on the plain listener."""
        plain = socket.create_connection(("127.0.0.1", self.port), 20)
        if self.kind == "plain":
            return plain
        context = ssl._create_unverified_context()  # who serves is another test's question
        if certificate:
            context.load_cert_chain(certificate)
        if version:
            context.maximum_version = version
        if protocols:
            context.set_alpn_protocols(protocols)
        try:
            return context.wrap_socket(plain, server_hostname="localhost")
        except BaseException:
            plain.close()
            raise

    def raw(self, data, seconds=10):
        """Send bytes; return the first answer's status and head, or None where the connection just ends."""
        with self.connect() as caller:
            caller.settimeout(seconds)
            with suppress(ConnectionError, ssl.SSLError):
                caller.sendall(data)
            return read_head(caller)

    def ask(self, path="/", headers=(), method="GET", body=None, certificate=None):
        """Status, headers and what the application saw."""
        connection = http.client.HTTPConnection(HOST)
        with closing(self.connect(certificate)) as connection.sock:
            connection.putrequest(method, path, skip_host=True)
            for name, value in (("Host", HOST), *headers):
                connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            with closing(connection.getresponse()) as answer:
                text = answer.read()
                return answer.status, answer.headers, json.loads(text) if text.startswith(b"{") else text


def read_head(caller):
    """Status and headers of an answer, or None."""
    got = b""
    with suppress(ConnectionError, ssl.SSLError):
        while b"\r\n\r\n" not in got:
            part = caller.recv(65536)
            if not part:
                break
            got += part
    if b"\r\n\r\n" not in got:
        return None
    first, *lines = got.split(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    return int(first.split(" ")[1]), {
        name.lower(): value for name, _, value in (line.partition(": ") for line in lines)
    }


def ended_after(caller, seconds):
    """How long until the other side ended the connection; None when it did not in `seconds`."""
    began = time.monotonic()
    caller.settimeout(seconds)
    try:
        while caller.recv(65536):
            pass
    except TimeoutError:
        return None
    except OSError:
        pass
    return time.monotonic() - began


@contextmanager
def listening(kind, folder, more=""):
    home = folder / "home"
    home.mkdir(parents=True, exist_ok=True)
    first = free_ports(3)
    ports = {"https": first, "plain": first + 1, "cdn": first + 2}
    lines = [f"https_port = {ports['https']}", f"http_port = {ports['plain']}", "metrics_port = 0", "web_workers = 1"]
    lines += ["web_threads = 2"] + ([f"cdn_port = {ports['cdn']}"] if kind == "cdn" else [])
    (home / SETTINGS_FILE).write_text("\n".join([*lines, more]))
    log = folder / f"{kind}.log"
    with log.open("wb") as out, ExitStack() as stack:
        process = subprocess.Popen(
            [sys.executable, "-P", str(WORKER), kind, str(home)],
            stderr=out,
            start_new_session=True,
            env=os.environ | {"CANARY_OF_THE_ENVIRONMENT": "1"},
        )
        stack.callback(_end, process)
        one = Listener(load_settings(home), kind, ports[kind], process, log)
        wait_for(lambda: _answers(one), f"{kind} does not listen", 60)
        yield one


def _answers(one):
    assert one.process.poll() is None, one.log.read_text()
    try:
        one.connect().close()
    except OSError:
        return False
    return True


def _end(process):
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture(scope="session")
def https(tmp_path_factory):
    """The ordinary listener."""
    with listening("https", tmp_path_factory.mktemp("https")) as one:
        yield one


@pytest.fixture(scope="session")
def plain(tmp_path_factory):
    """The listener that redirects."""
    with listening("plain", tmp_path_factory.mktemp("plain")) as one:
        yield one


@pytest.fixture(scope="session")
def zone():
    """Who signs the CDN's client certificate."""
    return Authority("The zone")


@pytest.fixture(scope="session")
def cdn(tmp_path_factory, zone):
    """The listener for the CDN, and `cdn.shown`, the certificate that the CDN shows."""
    folder = tmp_path_factory.mktemp("cdn")
    authority = zone.write(folder / "zone.pem")
    with listening("cdn", folder, f'cdn_authority = "{authority}"') as one:
        one.shown = zone.issue(folder / "shown.pem", client=True)
        yield one


@pytest.fixture(name="read_head")
def read_head_fixture():
    """`read_head(caller)`: status and headers of an answer, or None."""
    return read_head


@pytest.fixture(name="ended_after")
def ended_after_fixture():
    """`ended_after(caller, seconds)`: when the other side ended the connection, or None."""
    return ended_after


@pytest.fixture(name="wait_for")
def wait_for_fixture():
    """`wait_for(condition, what, seconds)` fails with `what` when the condition does not come true in time."""
    return wait_for


@pytest.fixture
def listen(tmp_path):
    """`listen(kind, more)` starts a listener of the test's own."""
    with ExitStack() as stack:
        yield lambda kind, more="": stack.enter_context(listening(kind, tmp_path, more))


@pytest.fixture
def authority():
    """`authority(name)` is somebody who signs certificates."""
    return Authority
