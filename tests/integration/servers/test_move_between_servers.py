"""A workspace moves between two real servers of different versions, there and back, with all that it holds."""

from collections.abc import Generator
from typing import Any

import pytest
from debian_server import NAME, REGION, DebianServer
from one_word import read, write
from sqlalchemy import text

from strongroom.backup.move import move
from strongroom.platform.control.platform import Platform
from strongroom.platform.servers import queries as servers
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
