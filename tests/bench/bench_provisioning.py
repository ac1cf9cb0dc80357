"""Provisioning a workspace: made, claimed from the pool of spares, and many at once.

A database is 300 files. Where the disk takes longer to make these than PostgreSQL to fill them, the disk is what is
measured; so the same is measured in memory as well, where the machine has room for it.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import replace

from making import make_tenants
from measuring import Row, installed, new_tenant, pending_tenant, places, ratio

from strongroom.config.settings import Settings
from strongroom.platform.control.platform import Platform, open_platform
from strongroom.platform.servers import queries as servers
from strongroom.platform.tenants import placements
from strongroom.platform.tenants.records import PlacementState
from strongroom.provisioning.create import provision
from strongroom.provisioning.names import TEMPLATE
from strongroom.provisioning.sessions import provisioner
from strongroom.provisioning.spares import refill
from strongroom.tenant_schema.migrate import newest_revision

ROUNDS = 15
BULK = 120
WORKERS = (1, 2, 4)


def measure() -> list[Row]:
    rows: list[Row] = []
    for where, folder in places().items():
        with installed(folder) as (_, settings):
            with open_platform(settings) as platform:
                rows.append(_made(platform, where))
            rows += _claimed(settings, where)
            rows += _bulk(settings, where)
    return rows


def _made(platform: Platform, where: str) -> Row:
    """One after the other, turn by turn with the bare statement."""
    ours: list[float] = []
    bare: list[float] = []
    new_tenant(platform, "bench-warm-up")
    with platform.control.connect() as conn:
        server = servers.list_all(conn)[0]
    with provisioner(platform, server) as session:
        session.execute("SET synchronous_commit = on")
        for number in range(ROUNDS):
            waiting = pending_tenant(platform, f"bench-{number}")
            statement = f"CREATE DATABASE bench_{number} TEMPLATE {TEMPLATE} STRATEGY wal_log"
            bare.append(timed(lambda statement=statement: session.execute(statement)))
            ours.append(timed(lambda waiting=waiting: provision(platform, waiting.id)))
    what = f"{where}: a workspace, all steps from the lock to the owner's letter"
    return ratio(what, statistics.median(ours), "CREATE DATABASE … TEMPLATE", statistics.median(bare), 1.3)


def _claimed(settings: Settings, where: str) -> list[Row]:
    """Where spares are ready: the claim alone, and all that a sign-up waits for."""
    with open_platform(replace(settings, spare_databases=2 * ROUNDS)) as platform:
        while refill(platform):
            pass
        waiting = [pending_tenant(platform, f"claim-{number}") for number in range(2 * ROUNDS)]
        claims = [timed(lambda tenant=tenant: _claim(platform, tenant.id)) for tenant in waiting[:ROUNDS]]
        whole = [timed(lambda tenant=tenant: provision(platform, tenant.id)) for tenant in waiting[ROUNDS:]]
        with platform.control.connect() as conn:
            assert not placements.in_state(conn, PlacementState.BUILDING), "each was claimed"
    claim, all_steps = statistics.median(claims), statistics.median(whole)
    return [
        Row(f"{where}: the claim of a spare, committed", claim, "", 0, claim, "ms", 5.0),
        Row(f"{where}: a workspace from a spare, all steps", all_steps, "", 0, all_steps, "ms", None),
    ]


def _claim(platform: Platform, tenant_id: str) -> None:
    with platform.control.begin() as conn:
        assert placements.claim_spare(conn, tenant_id, platform.settings.region, newest_revision())


def _bulk(settings: Settings, where: str) -> list[Row]:
    each = {workers: make_tenants(settings.home, BULK, workers, f"bulk-{workers}") for workers in WORKERS}
    return [
        Row(
            f"{where}: {BULK} workspaces at once, {workers} workers, each",
            each[workers],
            "1 worker",
            each[1],
            each[1] / each[workers],
            "× faster",
            None,
        )
        for workers in WORKERS[1:]
    ]


def timed(function: Callable[[], object]) -> float:
    began = time.perf_counter()
    function()
    return (time.perf_counter() - began) * 1000
