"""A workspace moves between two real servers of different versions, there and back, with all that it holds."""

import json
from collections.abc import Generator
from typing import Any

import pytest
from debian_server import NAME, REGION, DebianServer
from sqlalchemy import text

from strongroom.backup.move import move
from strongroom.platform.control.platform import Platform
from strongroom.platform.servers import queries as servers
from strongroom.platform.tenants.records import Tenant
from strongroom.provisioning.gates import gate_findings

HERE = "embedded"
PLACE = text("UPDATE server SET region_id = :region WHERE name = :name")


@pytest.fixture
def neighbours(external_server: DebianServer, platform: Platform) -> Generator[None]:
    """Debian's server in the embedded one's region, for as long as the test runs."""
    with platform.control.begin() as conn:
        conn.execute(PLACE, {"name": NAME, "region": servers.by_name(conn, HERE).region})
    yield
    with platform.control.begin() as conn:
        conn.execute(PLACE, {"name": NAME, "region": REGION})


def write(platform: Platform, tenant: Tenant, word: str) -> None:
    statement = "INSERT INTO app.setting VALUES ('word', :word) ON CONFLICT (key) DO UPDATE SET value = :word"
    with platform.registry.connect(tenant) as conn, conn.begin():
        conn.execute(text(statement), {"word": json.dumps(word)})


def read(platform: Platform, tenant: Tenant) -> str:
    with platform.registry.connect(tenant) as conn:
        return conn.execute(text("SELECT value FROM app.setting WHERE key = 'word'")).scalar_one()


def test_there_and_back(platform: Platform, neighbours: None, tenant_factory: Any) -> None:
    tenant = tenant_factory()
    there, back = (NAME, HERE) if tenant.server == HERE else (HERE, NAME)
    write(platform, tenant, "first")
    for server, word in ((there, "first"), (back, "second")):
        moved = move(platform, tenant.slug, server).tenant
        assert (moved.server, read(platform, moved)) == (server, word)
        write(platform, moved, "second")
        with platform.control.connect() as conn:
            assert gate_findings(platform, servers.by_name(conn, server), moved.placement_id or "") == []
