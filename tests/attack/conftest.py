"""The servers that attacks are made on: the embedded one, and Debian's where that is installed."""

import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import debian_server
import psycopg
import pytest
from reloading import reload_and_wait

from strongroom.platform.control.platform import Platform
from strongroom.platform.keys import DatabaseCredential
from strongroom.platform.registry.address import tls_parameters
from strongroom.platform.servers import queries as servers
from strongroom.platform.servers.records import Server
from strongroom.platform.tenants.records import Tenant
from strongroom.provisioning.postgres.configuration import SUPERUSER
from strongroom.provisioning.postgres.embedded import EmbeddedServer

_INSTALLED = ["embedded", debian_server.NAME] if debian_server.is_installed() else ["embedded"]


@dataclass(frozen=True)
class OnServer:
    """A server, its superuser's sessions, and workspaces on it."""

    platform: Platform
    server: Server
    superuser: str
    connect_admin: Callable[..., psycopg.Connection[Any]]
    make_tenant: Callable[[], Tenant]
    rules: Path
    admin_rule: str

    @property
    def is_embedded(self) -> bool:
        """Whether it is the one that holds the control database."""
        return self.server.kind == "embedded"

    @property
    def knows_set_option(self) -> bool:
        """Whether membership in a role can be without the right to become it: since PostgreSQL 16."""
        with self.connect_admin() as admin:
            return admin.info.server_version >= 160000

    @property
    def platform_databases(self) -> list[str]:
        """Those of the platform's own databases that let somebody in."""
        return ["postgres", "strongroom_control"] if self.is_embedded else ["postgres"]

    def log_in(self, credential: DatabaseCredential, dbname: str, **changes: Any) -> psycopg.Connection[Any]:
        """Log in with any credential to any database."""
        where = self.server.conninfo_params(dbname)
        tls = tls_parameters(self.server, self.server.host, self.platform.settings)
        return psycopg.connect(**(where | tls | credential.conninfo_params() | changes))

    def login_of(self, tenant: Tenant) -> DatabaseCredential:
        """Return a workspace's own login."""
        return self.platform.keys.placement(tenant.placement_id or "")

    def login_of_platform(self, role: str) -> DatabaseCredential:
        """Return the login of one of the platform's roles on this server."""
        return self.platform.keys.service_credential(role, None if self.is_embedded else self.server.name)

    @contextmanager
    def tenants_let_in_everywhere(self) -> Generator[None]:
        """Let tenants' logins try every database for a while."""
        with self._rules(re.sub(r"sameuser(\s+\+tenant_logins)", r"all\1", self.rules.read_text())):
            yield

    @contextmanager
    def everybody_let_in_everywhere(self) -> Generator[None]:
        """Let every login try every database for a while."""
        everybody = "local all all scram-sha-256" if self.is_embedded else "hostssl all all all scram-sha-256"
        with self._rules(f"{self.admin_rule}\n{everybody}\n"):
            yield

    @contextmanager
    def granted_to_all(self, *databases: str) -> Generator[None]:
        """Open the access lists of databases to everybody for a while."""
        with self.connect_admin() as admin:
            for database in databases:
                admin.execute(f"GRANT CONNECT ON DATABASE {database} TO PUBLIC")
            try:
                yield
            finally:
                for database in databases:
                    admin.execute(f"REVOKE ALL ON DATABASE {database} FROM PUBLIC")

    @contextmanager
    def _rules(self, text: str) -> Generator[None]:
        before = self.rules.read_text()
        assert text != before
        self._load(text)
        try:
            yield
        finally:
            self._load(before)

    def _load(self, text: str) -> None:
        """Put rules into force, and wait until new sessions get them."""
        self.rules.write_text(text)
        reload_and_wait(self.connect_admin)


@pytest.fixture(scope="module", params=_INSTALLED)
def on_server(
    request: pytest.FixtureRequest, platform: Platform, embedded_server: EmbeddedServer, tenant_factory: Any
) -> OnServer:
    """Each server in turn."""
    if request.param == "embedded":
        rules = embedded_server.root / "data" / "pg_hba.conf"
        admin_rule = next(line for line in rules.read_text().splitlines() if SUPERUSER in line)
        admin, superuser, region = embedded_server.connect_admin, SUPERUSER, "uk"
    else:
        debian: debian_server.DebianServer = request.getfixturevalue("external_server")
        rules, admin_rule = debian.cluster.data / "pg_hba.conf", debian_server.ADMIN_RULE
        admin, superuser, region = debian.connect_admin, debian_server.ADMIN, debian_server.REGION
    with platform.control.connect() as conn:
        server = servers.by_name(conn, request.param)
    return OnServer(platform, server, superuser, admin, lambda: tenant_factory(region=region), rules, admin_rule)
