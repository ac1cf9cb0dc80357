"""Many workers copy the template while others bring it up to date: nobody fails."""

import subprocess
import sys

import pytest

from strongroom.config.errors import RefusedError
from strongroom.platform.control.platform import Platform
from strongroom.platform.servers import queries as servers
from strongroom.platform.servers.records import Server
from strongroom.platform.tenants import placements
from strongroom.platform.tenants import queries as tenants
from strongroom.platform.tenants.ids import new_id
from strongroom.platform.tenants.records import Tenant
from strongroom.platform.tenants.states import TenantState
from strongroom.provisioning.create import provision, request_tenant
from strongroom.provisioning.names import MAINTENANCE, PROVISIONER, TEMPLATE, TEMPLATE_OWNER
from strongroom.provisioning.sessions import migrator, open_as, provisioner
from strongroom.provisioning.template import ensure_template, exclusively_opened, mark
from strongroom.tenant_schema.migrate import newest_revision

MAKER = """
import sys
from pathlib import Path
from strongroom.config.settings import load_settings
from strongroom.platform.control.platform import open_platform
from strongroom.provisioning.create import provision
with open_platform(load_settings(Path(sys.argv[1]))) as platform:
    for tenant_id in sys.argv[2:]:
        provision(platform, tenant_id)
"""
PROCESSES, EACH = 4, 6


def ask(platform: Platform) -> Tenant:
    with platform.control.begin() as conn:
        return request_tenant(
            conn, platform.settings, platform.keys, slug=f"r-{new_id()}", name="Acme", owner_email="ann@example.com"
        )


def test_databases_are_made_while_the_template_is_refreshed_again_and_again(platform: Platform) -> None:
    asked = [[ask(platform).id for _ in range(EACH)] for _ in range(PROCESSES)]
    with platform.control.connect() as conn:
        server = servers.by_name(conn, "embedded")
    home = str(platform.settings.home)
    makers = [
        subprocess.Popen([sys.executable, "-c", MAKER, home, *ids], stderr=subprocess.PIPE, text=True) for ids in asked
    ]
    refreshed = 0
    with open_as(platform, server, PROVISIONER, MAINTENANCE) as session:
        while any(maker.poll() is None for maker in makers):
            mark(session, "outdated")
            ensure_template(platform, server, session)
            refreshed += 1
    for maker in makers:
        assert maker.communicate()[1] == ""
        assert maker.returncode == 0
    assert refreshed > 1
    with platform.control.connect() as conn:
        made = [tenants.by_id(conn, tenant_id) for ids in asked for tenant_id in ids]
        assert {(tenant.state, tenant.failure) for tenant in made} == {(TenantState.ACTIVE, None)}
        assert all(len(placements.of_tenant(conn, tenant.id)) == 1 for tenant in made)


def test_an_older_release_says_why_it_can_make_no_workspace(platform: Platform) -> None:
    asked = ask(platform)
    with platform.control.connect() as conn:
        server = servers.by_name(conn, "embedded")
    with provisioner(platform, server) as session:
        ensure_template(platform, server, session)
    _stamp(platform, server, "9999")
    try:
        with pytest.raises(RefusedError, match="9999 of a workspace's database is newer"):
            provision(platform, asked.id)
    finally:
        _stamp(platform, server, newest_revision())
    with platform.control.connect() as conn:
        assert "newer than this version" in (tenants.by_id(conn, asked.id).failure or "")
    made = provision(platform, asked.id)
    assert (made.state, made.failure) == (TenantState.ACTIVE, None)


def _stamp(platform: Platform, server: Server, revision: str) -> None:
    """What a release that knows `revision` leaves behind."""
    with provisioner(platform, server) as session, exclusively_opened(session):
        with migrator(platform, server, TEMPLATE) as inside:
            inside.execute(f'SET ROLE "{TEMPLATE_OWNER}"')  # pyright: ignore[reportArgumentType]
            inside.execute("UPDATE app.alembic_version SET version_num = %s", (revision,))
        mark(session, revision)
