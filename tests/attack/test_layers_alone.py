"""The access list of a database and the rules of pg_hba.conf must each hold when the other one is open."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from strongroom.platform.control.platform import Platform
from strongroom.platform.tenants.records import Tenant
from strongroom.provisioning.isolation.verify import verify_isolation
from strongroom.provisioning.postgres.embedded import EmbeddedServer


@pytest.fixture(scope="module")
def two(tenant_factory: Any) -> tuple[Tenant, Tenant]:
    return tenant_factory(), tenant_factory()


@contextmanager
def open_acl(server: EmbeddedServer, *databases: str) -> Generator[None]:
    with server.connect_admin() as admin:
        for database in databases:
            admin.execute(f"GRANT CONNECT ON DATABASE {database} TO PUBLIC")
        try:
            yield
        finally:
            for database in databases:
                admin.execute(f"REVOKE ALL ON DATABASE {database} FROM PUBLIC")


@contextmanager
def open_hba(server: EmbeddedServer) -> Generator[None]:
    with server.connect_admin() as admin:
        path = Path(admin.execute("SHOW hba_file").fetchone()[0])  # type: ignore[index]
        before = path.read_text(encoding="utf-8")
        widened = before.replace("sameuser            +tenant_logins", "all                 +tenant_logins")
        assert widened != before
        write(path, widened)
        admin.execute("SELECT pg_reload_conf(), pg_sleep(0.2)")
        try:
            yield
        finally:
            write(path, before)
            admin.execute("SELECT pg_reload_conf(), pg_sleep(0.2)")


def write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def enter(platform: Platform, server: EmbeddedServer, tenant: Tenant, database: str) -> str:
    """Say why the tenant's login could not enter; an empty string when it could."""
    where = {"host": str(server.socket_dir), "port": server.port, "dbname": database}
    try:
        psycopg.connect(**where, **platform.keys.placement(tenant.placement_id or "").conninfo_params()).close()
    except psycopg.OperationalError as error:
        return str(error)
    return ""


TARGETS = ["postgres", "strongroom_control"]


def test_with_the_access_list_open_the_rules_stop_it(
    platform: Platform, embedded_server: EmbeddedServer, two: tuple[Tenant, Tenant]
) -> None:
    databases = [two[1].database, *TARGETS]
    with open_acl(embedded_server, *databases):
        for database in databases:
            assert "pg_hba.conf" in enter(platform, embedded_server, two[0], database)


def test_with_the_rules_open_the_access_list_stops_it(
    platform: Platform, embedded_server: EmbeddedServer, two: tuple[Tenant, Tenant]
) -> None:
    with open_hba(embedded_server):
        for database in [two[1].database, *TARGETS, "template1"]:
            assert "permission denied for database" in enter(platform, embedded_server, two[0], database)
        assert enter(platform, embedded_server, two[0], two[0].database) == ""


def test_with_both_open_the_attack_gets_through_and_the_gate_says_so(
    platform: Platform, embedded_server: EmbeddedServer, two: tuple[Tenant, Tenant]
) -> None:
    """The attempts above would succeed if nothing stopped them: the tests can fail."""
    with open_hba(embedded_server), open_acl(embedded_server, two[1].database):
        assert enter(platform, embedded_server, two[0], two[1].database) == ""
        report = verify_isolation(platform)
        assert not report.passed
        assert f"{two[1].database} grants CONNECT to PUBLIC." in report.problems()
        assert any("lets tenants' logins into all" in problem for problem in report.problems())
