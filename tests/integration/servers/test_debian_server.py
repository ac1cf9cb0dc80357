"""Everything that works on the embedded server works on Debian's PostgreSQL, over TLS and SCRAM."""

from typing import Any

import pytest
from debian_server import NAME, REGION, DebianServer
from sqlalchemy import text

from strongroom.platform.control.platform import Platform
from strongroom.platform.tenants.records import Tenant
from strongroom.provisioning.isolation.verify import verify_isolation
from strongroom.provisioning.placements import drop_placement, prepare_database
from strongroom.provisioning.server_check import check_server


@pytest.fixture(scope="module")
def there(external_server: DebianServer, tenant_factory: Any) -> Tenant:
    """A workspace on Debian's server."""
    return tenant_factory(region=REGION)


def test_a_workspace_of_its_region_is_placed_on_it_and_reached_as_its_own_role(
    platform: Platform, there: Tenant
) -> None:
    assert there.server == NAME
    with platform.registry.connect(there) as conn:
        seen = conn.execute(text("SELECT current_database(), session_user")).one()
        encrypted: Any = conn.connection.dbapi_connection
        assert encrypted.pgconn.ssl_in_use
    assert tuple(seen) == (there.database, there.role)


def test_its_gates_are_closed_and_attacks_on_it_are_stopped(platform: Platform, there: Tenant) -> None:
    report = verify_isolation(platform, live=2)
    assert report.problems() == []
    assert report.attacked >= 1


def test_check_says_that_every_layer_holds(platform: Platform, there: Tenant) -> None:
    report = check_server(platform, NAME)
    assert report.findings == []
    assert {layer.name: layer.holding.value for layer in report.layers} == {
        "access lists": "holds",
        "pg_hba.conf": "holds",
        "TLS": "holds",
        "SCRAM-SHA-256": "holds",
    }
    assert next(layer.detail for layer in report.layers if layer.name == "TLS").startswith("TLSv1.3")
    assert report.hints == []


def test_a_placement_is_dropped_without_a_trace(
    platform: Platform, external_server: DebianServer, there: Tenant
) -> None:
    made = prepare_database(platform, NAME)
    drop_placement(platform, made.id)
    with external_server.connect_admin() as admin:
        left = admin.execute(
            "SELECT datname FROM pg_database WHERE datname = %(name)s"
            " UNION SELECT rolname FROM pg_roles WHERE rolname IN (%(name)s, %(name)s || '_own')",
            {"name": made.database},
        ).fetchall()
    assert left == []
