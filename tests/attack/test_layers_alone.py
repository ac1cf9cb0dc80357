"""The access list of a database and the rules of pg_hba.conf must each hold when the other one is open."""

from typing import Any

import psycopg
import pytest

from strongroom.platform.control.platform import Platform
from strongroom.platform.tenants.records import Tenant
from strongroom.provisioning.isolation.verify import verify_isolation

OnServer = Any  # of conftest.py, which no test can import


@pytest.fixture(scope="module")
def two(on_server: OnServer) -> tuple[Tenant, Tenant]:
    return on_server.make_tenant(), on_server.make_tenant()


def enter(on_server: OnServer, tenant: Tenant, database: str) -> str:
    """Say why the tenant's login could not enter; an empty string when it could."""
    try:
        on_server.log_in(on_server.login_of(tenant), database).close()
    except psycopg.OperationalError as error:
        return str(error)
    return ""


def test_with_the_access_list_open_the_rules_stop_it(on_server: OnServer, two: tuple[Tenant, Tenant]) -> None:
    databases = [two[1].database, *on_server.platform_databases]
    with on_server.granted_to_all(*databases):
        for database in databases:
            assert "pg_hba.conf" in enter(on_server, two[0], database)


def test_with_the_rules_open_the_access_list_stops_it(on_server: OnServer, two: tuple[Tenant, Tenant]) -> None:
    with on_server.tenants_let_in_everywhere():
        for database in [two[1].database, *on_server.platform_databases, "template1"]:
            assert "permission denied for database" in enter(on_server, two[0], database)
        assert enter(on_server, two[0], two[0].database) == ""


def test_with_both_open_the_attack_gets_through_and_the_gate_says_so(
    platform: Platform, on_server: OnServer, two: tuple[Tenant, Tenant]
) -> None:
    """The attempts above would succeed if nothing stopped them: the tests can fail."""
    with on_server.tenants_let_in_everywhere(), on_server.granted_to_all(two[1].database):
        assert enter(on_server, two[0], two[1].database) == ""
        report = verify_isolation(platform)
        assert not report.passed
        assert f"{two[1].database} grants CONNECT to PUBLIC." in report.problems()
        assert any("lets tenants' logins into all" in problem for problem in report.problems())
