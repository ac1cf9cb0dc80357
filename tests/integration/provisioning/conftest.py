"""These tests count what is on the servers, so only the embedded one takes new workspaces meanwhile."""

from collections.abc import Generator

import pytest
from sqlalchemy import update

from strongroom.platform.control.platform import Platform
from strongroom.platform.control.tables import server


@pytest.fixture(scope="module", autouse=True)
def other_servers_take_nobody(platform: Platform) -> Generator[None]:
    """Other tests of this process may have added servers, which stay until its end."""
    others = server.c.accepts_tenants & (server.c.name != "embedded")
    with platform.control.begin() as conn:
        drained = update(server).where(others).values(accepts_tenants=False).returning(server.c.name)
        names = list(conn.execute(drained).scalars())
    yield
    with platform.control.begin() as conn:
        conn.execute(update(server).where(server.c.name.in_(names)).values(accepts_tenants=True))
