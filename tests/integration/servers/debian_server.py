"""Debian's PostgreSQL for tests: a cluster of its own over TCP with TLS 1.3 and SCRAM, nothing else lets anybody in."""

import datetime as dt
import ipaddress
import secrets
import signal
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from free_ports import free_ports
from reloading import reload_and_wait

from strongroom.config.errors import UnavailableError
from strongroom.platform.control.platform import Platform
from strongroom.provisioning.admin_login import read_admin_login
from strongroom.provisioning.postgres import postmaster
from strongroom.provisioning.postgres.account import server_account
from strongroom.provisioning.postgres.cluster import Cluster
from strongroom.provisioning.postgres.programs import run_program
from strongroom.provisioning.server_add import NewServer, add_server

NAME = "debian"
REGION = "eu"
HOST = "127.0.0.1"
ADMIN = "dba"
FOLDER = "debian-server"
_INSTALLED = sorted(
    (path for path in Path("/usr/lib/postgresql").glob("*/bin") if path.parent.name.isdigit()),
    key=lambda path: int(path.parent.name),
)

# What Strongroom asks for, above the line of those who run the server (`closing_rules`; a test compares).
RULES = """\
hostssl postgres strongroom_provisioner all scram-sha-256
hostssl all strongroom_migrator,strongroom_backup all scram-sha-256
hostssl sameuser +tenant_logins all scram-sha-256
host all,replication strongroom_provisioner,strongroom_migrator,strongroom_backup,+tenant_logins all reject
local all,replication strongroom_provisioner,strongroom_migrator,strongroom_backup,+tenant_logins reject
"""
ADMIN_RULE = f"hostssl all {ADMIN} all scram-sha-256\n"
_SETTINGS = """\
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
ssl = on
ssl_cert_file = '{folder}/server.crt'
ssl_key_file = '{folder}/server.key'
ssl_min_protocol_version = 'TLSv1.3'
password_encryption = scram-sha-256
max_connections = 80
shared_buffers = 32MB
fsync = off
synchronous_commit = off
full_page_writes = off
autovacuum_naptime = 5min
recovery_init_sync_method = syncfs
huge_pages = try
timezone = 'UTC'
lc_messages = 'C'
log_line_prefix = '%m [%p] '
"""


def is_installed() -> bool:
    """Say whether Debian's packages are there."""
    return bool(_INSTALLED)


@dataclass(frozen=True, slots=True)
class DebianServer:
    """A running server; `authority` is the file of the certificate authority that its certificate is from."""

    cluster: Cluster
    port: int
    authority: Path
    password: str

    @property
    def dsn(self) -> str:
        """Return what an operator would write into the file for `server add`."""
        login = f"host={HOST} port={self.port} user={ADMIN} password={self.password}"
        return f"{login} sslrootcert={self.authority}"

    def connect_admin(self, dbname: str = "postgres") -> psycopg.Connection[Any]:
        """Connect as the superuser, in autocommit mode."""
        return psycopg.connect(f"{self.dsn} dbname={dbname} sslmode=verify-full", autocommit=True)

    @contextmanager
    def rules(self, text: str) -> Generator[None]:
        """Put other rules above the administrator's line for a while, in force at once."""
        before = self.cluster.rules()
        self._load(text + ADMIN_RULE)
        try:
            yield
        finally:
            self._load(before)

    def reload(self) -> None:
        """Have the server read its configuration again, and wait until new sessions get it."""
        reload_and_wait(self.connect_admin)

    def _load(self, text: str) -> None:
        self.cluster.write_rules(text, "")
        self.reload()


def start(parent: Path, settings: str = "", *, tls: bool = True) -> DebianServer:
    """Make and start a cluster in a new folder of `parent`."""
    account = server_account()
    folder = parent / f"{FOLDER}-{secrets.token_hex(4)}"
    folder.mkdir(mode=0o755)
    account.own(folder)
    write_certificates(folder)
    account.own(folder / "server.key")
    cluster = Cluster(folder / "data", _INSTALLED[-1], account)
    password = secrets.token_hex(16)
    words = folder / "password"
    words.write_text(password)
    words.chmod(0o600)
    account.own(words)
    run_program(
        [
            cluster.bindir / "initdb",
            f"--pgdata={cluster.data}",
            f"--username={ADMIN}",
            f"--pwfile={words}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
            "--no-instructions",
        ],
        account.keywords,
    )
    words.unlink()
    rules = RULES + ADMIN_RULE if tls else ADMIN_RULE.replace("hostssl", "host")
    for _ in range(5):
        port = free_ports()
        more = settings if tls else f"{settings}ssl = off\n"
        cluster.configure(_SETTINGS.format(port=port, folder=folder) + more, rules, "")
        try:
            cluster.start(folder / "log")
        except UnavailableError:  # somebody took the port in between
            continue
        return DebianServer(cluster, port, folder / "authority.crt", password)
    raise AssertionError((folder / "log").read_text())


def take_into_service(platform: Platform, started: DebianServer, name: str = NAME, region: str = REGION) -> None:
    """Do what `strongroom server add` does."""
    file = started.authority.with_name("dsn")
    file.touch(mode=0o600)
    file.write_text(started.dsn)
    add_server(platform, NewServer(name, region), read_admin_login(file), "tests")
    file.unlink()


def stop_left_over(parent: Path) -> None:
    """End what a killed test run left running below `parent`."""
    for data in parent.glob(f"{FOLDER}-*/data"):
        postmaster.end(data, signal.SIGQUIT, 5)


def write_certificates(folder: Path) -> None:
    """Make an authority of its own, and a server's certificate and key."""
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Authority of one test run")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address(HOST))])
    root = _certificate(authority, authority, authority_key.public_key())
    root = root.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    leaf = _certificate(authority, subject, key.public_key()).add_extension(names, critical=False)
    for name, builder in (("authority.crt", root), ("server.crt", leaf)):
        signed = builder.sign(authority_key, hashes.SHA256())
        (folder / name).write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    (folder / "server.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (folder / "server.key").chmod(0o600)


def _certificate(issuer: x509.Name, subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder().issuer_name(issuer).subject_name(subject).public_key(key)
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - dt.timedelta(minutes=5))
    return builder.not_valid_after(now + dt.timedelta(days=1))
