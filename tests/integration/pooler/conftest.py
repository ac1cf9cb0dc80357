"""A home of its own with PgBouncer in front of its server; these tests are collected only where PgBouncer is."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from disposable_server import WITHOUT_ARCHIVE, disposable_server
from free_ports import free_ports
from sqlalchemy import text

from strongroom.config.settings import SETTINGS_FILE, load_settings
from strongroom.platform.control.platform import Platform, open_platform
from strongroom.platform.registry.address import tenant_address
from strongroom.platform.registry.registry import Registry
from strongroom.platform.servers import queries as servers
from strongroom.platform.tenants.ids import new_id
from strongroom.platform.tenants.records import Tenant
from strongroom.provisioning.create import provision, request_tenant
from strongroom.provisioning.initialise import initialise_home
from strongroom.provisioning.postgres.embedded import EmbeddedServer
from strongroom.provisioning.postgres.setup import EMBEDDED_NAME

SEARCHED = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin"
if not shutil.which("pgbouncer", path=SEARCHED):
    collect_ignore_glob = ["test_*.py"]

LIMIT = 10  # connections of tenants that the server takes
TENANTS = 12
STARTS_WITHIN, FOLLOWS_WITHIN = 120, 120  # seconds, on a busy machine

Check = Callable[[], Any]
BouncerFactory = Callable[[int], contextlib.AbstractContextManager["Bouncer"]]


def _eventually(check: Check, within: float = FOLLOWS_WITHIN) -> Any:
    """Return what `check` says once that is true; it may fail until then."""
    deadline = time.monotonic() + within
    while True:
        failure: Exception | None = None
        try:
            found = check()
        except Exception as error:  # noqa: BLE001 - whatever it is may pass
            failure, found = error, None
        if found:
            return found
        assert time.monotonic() < deadline, f"it did not happen: {failure}"
        time.sleep(0.02)


@dataclass
class Bouncer:
    """The command that runs PgBouncer for the home, started and stopped by the tests."""

    platform: Platform
    server: EmbeddedServer
    folder: Path
    port: int
    reuse: int
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        place = ["--address", f"127.0.0.1:{self.port}", "--output", str(self.folder), "--reuse", str(self.reuse)]
        home = str(self.platform.settings.home)
        with (self.folder.parent / "pooler.log").open("ab") as log:
            command = [sys.executable, "-m", "strongroom", "--home", home, "server", "pooler", "run", EMBEDDED_NAME]
            self.process = subprocess.Popen([*command, *place], stdout=log, stderr=log)
        _eventually(self.answers, STARTS_WITHIN)
        assert self.process.poll() is None, self.said()
        assert (self.folder / "logins.txt").exists()  # also while there is no workspace yet

    def stop(self) -> None:
        if self.process:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(STARTS_WITHIN)
            self.process = None

    def answers(self) -> bool:
        if self.process and self.process.poll() is not None:
            return True  # it has ended: no use in waiting
        with socket.create_connection(("127.0.0.1", self.port), timeout=5):
            return True

    def said(self) -> str:
        return (self.folder.parent / "pooler.log").read_text()

    def connect(self, tenant: Tenant, **other: Any) -> psycopg.Connection[Any]:
        """Connect through the pooler with the login of `tenant`, to its database unless `other` says more."""
        with self.platform.control.connect() as conn:
            address = tenant_address(servers.by_name(conn, EMBEDDED_NAME), self.platform.settings)
        credential = self.platform.keys.placement(tenant.placement_id).conninfo_params()
        wanted = {"dbname": tenant.database, "connect_timeout": 10, "autocommit": True}
        return psycopg.connect(**{**address.parameters, **credential, **wanted, **other})

    def sessions(self, *tenants: Tenant) -> int:
        """Count the sessions that tenants have in the server itself."""
        wanted = [t.database for t in tenants]
        with self.server.connect_admin() as admin:
            row = admin.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE usename LIKE 't\\_%%'"
                " AND (%(names)s::text[] = '{}' OR datname = ANY(%(names)s))",
                {"names": wanted},
            ).fetchone()
        return row[0] if row else 0


def _new_tenant(platform: Platform, slug: str) -> Tenant:
    with platform.control.begin() as conn:
        asked = request_tenant(
            conn, platform.settings, platform.keys, slug=slug, name="Pooled", owner_email="owner@example.com"
        )
    return provision(platform, asked.id)


@pytest.fixture(scope="module")
def pooled_home(reachable_tmp: Path) -> Generator[tuple[Platform, EmbeddedServer]]:
    folder = reachable_tmp / f"pooler-{new_id()}"
    home = folder / "home"
    home.mkdir(parents=True)
    (home / SETTINGS_FILE).write_text("bcrypt_cost = 4\nspare_databases = 0\n", encoding="utf-8")
    settings = load_settings(home)
    with disposable_server(settings, WITHOUT_ARCHIVE) as server:
        initialise_home(settings)
        with server.admin_door(), open_platform(settings) as platform:
            yield platform, server
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def bouncer_factory(pooled_home: tuple[Platform, EmbeddedServer]) -> BouncerFactory:
    platform, server = pooled_home

    @contextlib.contextmanager
    def running(reuse: int) -> Generator[Bouncer]:
        with platform.control.begin() as conn:
            servers.set_connection_limit(conn, EMBEDDED_NAME, LIMIT)
            known = servers.by_name(conn, EMBEDDED_NAME)
        folder = platform.settings.home.parent / f"pgbouncer-{reuse}"
        bouncer = Bouncer(platform, server, folder, free_ports(), reuse)
        try:
            bouncer.start()
            with platform.control.begin() as conn:
                servers.set_pooler(conn, EMBEDDED_NAME, ("127.0.0.1", bouncer.port))
            yield bouncer
        finally:
            with platform.control.begin() as conn:
                before = (known.pooler_host, known.pooler_port or 0) if known.pooler_host else None
                servers.set_pooler(conn, EMBEDDED_NAME, before)
            bouncer.stop()

    return running


@pytest.fixture(scope="module")
def bouncer(bouncer_factory: Any) -> Generator[Bouncer]:
    """PgBouncer as it is by default: each session serves one client."""
    with bouncer_factory(0) as running:
        yield running


@pytest.fixture(scope="module")
def tenants(pooled_home: tuple[Platform, EmbeddedServer], bouncer: Bouncer) -> list[Tenant]:
    """Workspaces made while PgBouncer was running already, each with its own marker."""
    platform, _ = pooled_home
    made = [_new_tenant(platform, f"pooled-{number}") for number in range(TENANTS)]
    registry = Registry(platform.settings, platform.keys, platform.control)
    for tenant in made:
        _eventually(lambda tenant=tenant: _mark(registry, tenant))
    registry.close()
    return made


def _mark(registry: Registry, tenant: Tenant) -> bool:
    with registry.connect(tenant) as conn, conn.begin():
        marker = text("INSERT INTO app.setting VALUES ('marker', to_jsonb(CAST(:id AS text)))")
        conn.execute(marker, {"id": tenant.id})
    return True


@pytest.fixture
def registry(bouncer: Bouncer) -> Generator[Registry]:
    """A registry of its own, as another process would have one."""
    platform = bouncer.platform
    made = Registry(platform.settings, platform.keys, platform.control)
    yield made
    made.close()


@pytest.fixture
def new_tenant(bouncer: Bouncer) -> Callable[[str], Tenant]:
    """Make one more workspace, by its slug."""
    return lambda slug: _new_tenant(bouncer.platform, slug)


@pytest.fixture(scope="session")
def eventually() -> Callable[..., Any]:
    """Wait until something is true, and return it."""
    return _eventually
