"""Whoever is killed -9 while dropping a database leaves something that the next call, or a repair, cleans up."""

import subprocess
import sys
from collections.abc import Callable

import pytest

from strongroom.config.errors import KeyMissingError
from strongroom.platform.control.platform import Platform
from strongroom.platform.servers import queries as servers
from strongroom.platform.tenants import placements
from strongroom.platform.tenants import queries as tenants
from strongroom.platform.tenants.ids import new_id
from strongroom.platform.tenants.records import PlacementState, Tenant
from strongroom.platform.tenants.states import TenantState
from strongroom.provisioning.create import request_tenant
from strongroom.provisioning.placements import prepare_database
from strongroom.provisioning.postgres.embedded import EmbeddedServer
from strongroom.provisioning.remove import abandon
from strongroom.provisioning.repair import repair
from strongroom.provisioning.server_check import check_server
from strongroom.provisioning.strays import find_strays

# Forks one child for each tenant, which gives it up, and kills it before or after the call of that name.
KILLER = """
import os, signal, sys
from pathlib import Path
from strongroom.config.settings import load_settings
from strongroom.platform.control.platform import open_platform
from strongroom.platform.keys import KeyStore
from strongroom.platform.tenants import placements, queries as tenants
from strongroom.provisioning import database
from strongroom.provisioning.remove import abandon

PLACES = {"database": database, "keys": KeyStore, "placements": placements, "tenants": tenants}

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

for order in sys.argv[2:]:
    tenant_id, moment, place, name, count = order.split(":")
    if os.fork() == 0:
        real, calls = getattr(PLACES[place], name), []
        def instead(*arguments, **more):
            calls.append(1)
            if len(calls) < int(count):
                return real(*arguments, **more)
            return die() if moment == "before" else die(real(*arguments, **more))
        setattr(PLACES[place], name, instead)
        with open_platform(load_settings(Path(sys.argv[1]))) as platform:
            abandon(platform, tenant_id)
        os._exit(0)
    assert os.WIFSIGNALED(os.wait()[1]), order
"""
MOMENTS = [
    "before:placements:set_state:1",  # dropping
    "before:database:fence:1",
    "after:database:fence:1",
    "before:database:drop:1",
    "after:database:drop:1",
    "after:database:drop_roles:1",
    "after:keys:destroy_placement:1",
    "before:placements:set_state:2",  # dropped
    "before:keys:destroy_tenant:1",
    "after:keys:destroy_tenant:1",
    "before:tenants:set_state:1",  # erased
    "before:tenants:release_slug:1",
]


def half_built(platform: Platform) -> Tenant:
    """A pending workspace with a finished database, which its worker never switched it to."""
    slug = f"d-{new_id()}"
    with platform.control.begin() as conn:
        tenant = request_tenant(
            conn, platform.settings, platform.keys, slug=slug, name="Half", owner_email="o@example.com"
        )
    platform.keys.create_tenant(tenant.id)
    prepare_database(platform, "embedded", tenant.id)
    return tenant


@pytest.fixture(scope="module")
def killed(platform: Platform, embedded_server: EmbeddedServer) -> dict[str, Tenant]:
    return killed_at_each(platform)


def killed_at_each(platform: Platform) -> dict[str, Tenant]:
    """A workspace for each moment; whoever gave it up was killed then."""
    found = {moment: half_built(platform) for moment in MOMENTS}
    orders = [f"{tenant.id}:{moment}" for moment, tenant in found.items()]
    subprocess.run([sys.executable, "-c", KILLER, str(platform.settings.home), *orders], check=True, timeout=280)
    return found


@pytest.mark.parametrize("moment", MOMENTS)
def test_the_next_call_finishes_it(
    platform: Platform, embedded_server: EmbeddedServer, killed: dict[str, Tenant], moment: str
) -> None:
    tenant = killed[moment]
    abandon(platform, tenant.id)
    assert_gone(platform, embedded_server, tenant)


def test_a_repair_leaves_a_clean_server(platform: Platform, embedded_server: EmbeddedServer) -> None:
    killed = killed_at_each(platform)
    with platform.control.connect() as conn:
        server = servers.by_name(conn, "embedded")
        dropping = {placement.id for placement in placements.in_state(conn, PlacementState.DROPPING)}
    assert {stray.subject for stray in find_strays(platform, server)} >= dropping != set()
    assert repair(platform, server).failed == []
    assert check_server(platform, "embedded").findings == []
    for moment in MOMENTS:  # each is still pending: its worker, or whoever gives it up, goes on
        abandon(platform, killed[moment].id)
        assert_gone(platform, embedded_server, killed[moment])
    assert check_server(platform, "embedded").findings == []


def assert_gone(platform: Platform, server: EmbeddedServer, tenant: Tenant) -> None:
    with platform.control.connect() as conn:
        now, left = tenants.by_id(conn, tenant.id), placements.of_tenant(conn, tenant.id)
    assert (now.state, now.slug) == (TenantState.ERASED, tenant.id)
    assert {placement.state for placement in left} == {PlacementState.DROPPED}
    names = [name for placement in left for name in (placement.database, placement.owner_role)]
    with server.connect_admin() as admin:
        query = "SELECT FROM pg_database WHERE datname = ANY(%s) UNION ALL SELECT FROM pg_roles WHERE rolname = ANY(%s)"
        assert admin.execute(query, (names, names)).fetchall() == []
    lookups: list[Callable[[], object]] = [lambda: platform.keys.tenant(tenant.id)]
    lookups += [lambda pid=placement.id: platform.keys.placement(pid) for placement in left]
    for lookup in lookups:
        with pytest.raises(KeyMissingError):
            lookup()
