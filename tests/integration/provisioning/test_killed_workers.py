"""A worker that is killed -9 at any point of provisioning leaves something that finishes, or goes without trace."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from strongroom.config.errors import KeyMissingError
from strongroom.platform.control.platform import Platform
from strongroom.platform.servers import queries as servers
from strongroom.platform.tenants import placements
from strongroom.platform.tenants import queries as tenants
from strongroom.platform.tenants.ids import new_id
from strongroom.platform.tenants.records import PlacementState, Tenant
from strongroom.platform.tenants.states import TenantState
from strongroom.provisioning.create import CLAIMED_STEPS, STEPS, provision, request_tenant
from strongroom.provisioning.gates import verify_gates
from strongroom.provisioning.remove import abandon
from strongroom.provisioning.spares import refill
from strongroom.tenant_schema.queries import invitations

# Forks one child for each tenant and kills it: before the step of that number, (c…) before that one of a tenant that
# has claimed a spare, or (m…) after that many milliseconds.
KILLER = """
import os, signal, sys, time
from pathlib import Path
from strongroom.config.settings import load_settings
from strongroom.platform.control.platform import open_platform
from strongroom.provisioning import create

def provision(tenant_id, steps, name):
    setattr(create, name, steps)
    with open_platform(load_settings(Path(sys.argv[1]))) as platform:
        create.provision(platform, tenant_id)

def die(work):
    os.kill(os.getpid(), signal.SIGKILL)

for order in sys.argv[2:]:
    tenant_id, when = order.split(":")
    child = os.fork()
    if child == 0:
        name = "CLAIMED_STEPS" if when[0] == "c" else "STEPS"
        steps = getattr(create, name)
        if when[0] != "m":
            number = int(when.lstrip("c"))
            steps = (*steps[:number], die, *steps[number:])
        provision(tenant_id, steps, name)
        os._exit(0)
    if when[0] == "m":
        time.sleep(int(when[1:]) / 1000)
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or when[0] == "m", (order, status)
"""
BEFORE_EACH_STEP = [str(number) for number in range(len(STEPS) + 1)]
BEFORE_EACH_CLAIMED_STEP = [f"c{number}" for number in range(len(CLAIMED_STEPS) + 1)]
AT_ANY_TIME = ["m5", "m20", "m40", "m60", "m80", "m120"]


@pytest.fixture(scope="module")
def killed(platform: Platform) -> dict[str, list[Tenant]]:
    """Two tenants for each moment, whose worker was killed then."""
    moments = [*BEFORE_EACH_STEP, *AT_ANY_TIME]
    found = {moment: [pending(platform), pending(platform)] for moment in moments}
    kill(platform, found)
    claimed = {moment: [pending(platform), pending(platform)] for moment in BEFORE_EACH_CLAIMED_STEP}
    wanted = replace(platform, settings=replace(platform.settings, spare_databases=2 * len(claimed)))
    while refill(wanted):
        pass
    kill(platform, claimed)
    with platform.control.connect() as conn:
        assert placements.spares(conn, "embedded") == []
    return found | claimed


def kill(platform: Platform, workers: dict[str, list[Tenant]]) -> None:
    orders = [f"{tenant.id}:{moment}" for moment, pair in workers.items() for tenant in pair]
    subprocess.run([sys.executable, "-c", KILLER, str(platform.settings.home), *orders], check=True, timeout=280)


def pending(platform: Platform) -> Tenant:
    with platform.control.begin() as conn:
        return request_tenant(
            conn, platform.settings, platform.keys, slug=f"k-{new_id()}", name="Killed", owner_email="o@example.com"
        )


@pytest.mark.parametrize("moment", [*BEFORE_EACH_STEP, *BEFORE_EACH_CLAIMED_STEP, *AT_ANY_TIME])
def test_the_next_worker_finishes_it(platform: Platform, killed: dict[str, list[Tenant]], moment: str) -> None:
    tenant = provision(platform, killed[moment][0].id)
    assert (tenant.state, tenant.failure) == (TenantState.ACTIVE, None)
    assert [p.state for p in all_placements(platform, tenant)] == [PlacementState.CURRENT]
    with platform.control.connect() as conn:
        server = servers.by_name(conn, tenant.server)
    verify_gates(platform, server, tenant.placement_id or "")
    with platform.registry.connect(tenant) as conn:
        assert len(invitations.list_open(conn, tenant.created_at)) == 1


@pytest.mark.parametrize("moment", [*BEFORE_EACH_STEP[:-1], *BEFORE_EACH_CLAIMED_STEP[:-1], *AT_ANY_TIME])
def test_giving_up_leaves_nothing(
    platform: Platform,
    killed: dict[str, list[Tenant]],
    on_the_server: Callable[[Sequence[str]], list[str]],
    moment: str,
) -> None:
    with platform.control.connect() as conn:
        tenant = tenants.by_id(conn, killed[moment][1].id)
    if tenant.state is TenantState.ACTIVE:  # the kill came too late for this one
        return
    abandon(platform, tenant.id)
    abandon(platform, tenant.id)
    left = all_placements(platform, tenant)
    assert {p.state for p in left} <= {PlacementState.DROPPED}
    assert on_the_server([p.id for p in left]) == []
    with pytest.raises(KeyMissingError):
        platform.keys.tenant(tenant.id)
    for placement in left:
        with pytest.raises(KeyMissingError):
            platform.keys.placement(placement.id)
    with platform.control.begin() as conn:
        again = request_tenant(
            conn, platform.settings, platform.keys, slug=tenant.slug, name="Again", owner_email="o@example.com"
        )
    abandon(platform, again.id)


def all_placements(platform: Platform, tenant: Tenant) -> Sequence[placements.Placement]:
    with platform.control.connect() as conn:
        return placements.of_tenant(conn, tenant.id)
