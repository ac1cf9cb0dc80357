"""Moves a workspace to another server of its region, in one visible list of steps.

It has one database that can be written to at any moment: the old one is closed to it before it is copied, and stays
closed once the new one is its own. A move that is killed leaves it closed and where it was; `tenant resume`, a repeat
of the move or the collector open it again.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg

from ..config.errors import FailedError, RefusedError, StrongroomError
from ..platform.audit import queries as operators_audit
from ..platform.control.platform import Platform
from ..platform.servers import queries as servers
from ..platform.servers.records import Server
from ..platform.tenants import placements
from ..platform.tenants import queries as tenants
from ..platform.tenants.records import PlacementState, Tenant
from ..platform.tenants.states import TenantState
from ..provisioning import database
from ..provisioning.create import tenant_lock
from ..provisioning.lifecycle import wait_until_noticed
from ..provisioning.names import Names
from ..provisioning.placements import drop_placement, finish_database, prepare_database, switch_placement
from ..provisioning.schema import upgrade_schema
from ..provisioning.sessions import provisioner
from .copying import Copied, Place, compare_copy, copy_database
from .progress import Progress, in_steps, silent
from .queueing import queue_backup
from .switch import KEPT, MOVED, MOVING, go_back, state_before

_MOVABLE = (TenantState.ACTIVE, TenantState.SUSPENDED)


@dataclass(frozen=True, slots=True)
class Moved:
    """What a move has done. `retired` is the placement that the tenant had before; `closed` is in seconds."""

    tenant: Tenant
    retired: str | None
    rows: int
    closed: float


@dataclass(slots=True)
class Work:
    """State of a move while its steps run, in the order of `STEPS`."""

    platform: Platform
    tenant: Tenant  # as it was before
    source: Place
    server: Server  # where it goes
    operator: str
    target: Place | None = None
    copied: Copied | None = None
    revision: str | None = None
    closed_at: float = 0
    result: Tenant | None = None

    @property
    def to(self) -> Place:
        """The new database."""
        assert self.target is not None, "it is made by the first step"
        return self.target


def move(
    platform: Platform, slug: str, server_name: str, *, operator: str = "operator", progress: Progress = silent
) -> Moved:
    """Move a workspace to the server `server_name`. Its requests get 503 while its rows are copied.

    Raises `NotFoundError`, `RefusedError` (another region, wrong state), `VerificationError`, `FailedError`: it is
    then where it was, and open. Does nothing for one that is there already.
    """
    with platform.control.connect() as conn:
        tenant_id = tenants.by_slug(conn, slug).id
        server = servers.by_name(conn, server_name)
    with tenant_lock(platform, tenant_id):
        _reopen_killed(platform, tenant_id)
        work = _work(platform, tenant_id, server, operator)
        if work.source.server.name == server.name:
            return Moved(work.tenant, None, 0, 0)
        _drop_leftovers(work)
        _run_steps(work, progress)
    assert work.result is not None
    assert work.copied is not None
    return Moved(work.result, work.tenant.placement_id, work.copied.manifest.rows, time.monotonic() - work.closed_at)


def _reopen_killed(platform: Platform, tenant_id: str) -> None:
    """Open a workspace whose move was killed where it is: its database may be shut to everybody, also to the copy."""
    with platform.control.connect() as conn:
        tenant = tenants.by_id(conn, tenant_id)
    if tenant.state is TenantState.MIGRATING:
        go_back(platform, tenant_id, state_before(platform, tenant_id))


def _work(platform: Platform, tenant_id: str, server: Server, operator: str) -> Work:
    with platform.control.connect() as conn:
        tenant = tenants.by_id(conn, tenant_id)
        if tenant.state not in _MOVABLE or tenant.placement_id is None:
            raise RefusedError(f"The workspace “{tenant.slug}” is {tenant.state} and cannot be moved now.")
        source = servers.by_name(conn, tenant.server)
    if server.region != tenant.region:
        raise RefusedError(
            f"“{tenant.slug}” stays in the region “{tenant.region}”; {server.name} is in “{server.region}”."
        )
    if not server.accepts_tenants:
        raise RefusedError(f"The server {server.name} takes no workspaces.")
    return Work(platform, tenant, Place(source, Names(tenant.placement_id)), server, operator)


def _drop_leftovers(work: Work) -> None:
    """Drop what a killed move or restore of this tenant has left: who has the tenant's lock is alone."""
    with work.platform.control.connect() as conn:
        known = placements.of_tenant(conn, work.tenant.id)
    for placement in known:
        if placement.state in (PlacementState.BUILDING, PlacementState.READY):
            with suppress(FailedError):  # its server is down: the daily clearing drops it
                drop_placement(work.platform, placement.id)


def _run_steps(work: Work, progress: Progress) -> None:
    try:
        in_steps(STEPS, work, work.tenant.slug, progress)
    except BaseException:
        _undo(work)
        raise


def _prepare(work: Work) -> None:
    placement = prepare_database(work.platform, work.server.name, work.tenant.id, empty=True)
    work.target = Place(work.server, Names(placement.id))


def _close(work: Work) -> None:
    """Stop requests politely, then for certain."""
    work.closed_at = time.monotonic()
    detail = {"from": work.source.server.name, "to": work.server.name, "state": work.tenant.state.value}
    with work.platform.control.begin() as conn:
        tenants.set_state(conn, work.tenant.id, TenantState.MIGRATING)
        operators_audit.record(conn, work.operator, MOVING, work.tenant.id, detail)
    wait_until_noticed(work.platform, work.tenant)
    with provisioner(work.platform, work.source.server) as session:
        database.close_to_tenant(session, work.source.names)


def _copy(work: Work) -> None:
    work.copied = copy_database(work.platform, work.source, work.to)


def _compare(work: Work) -> None:
    assert work.copied is not None
    compare_copy(work.platform, work.copied, work.to)


def _upgrade(work: Work) -> None:
    names = work.to.names
    work.revision = upgrade_schema(work.platform, work.server, names.database, names.owner)


def _finish(work: Work) -> None:
    finish_database(work.platform, work.to.names.pid, work.revision)


def _switch(work: Work) -> None:
    """Shut the old database for good, then make the new one the tenant's own and open it."""
    with provisioner(work.platform, work.source.server) as session:
        database.fence(session, work.source.names)
    detail = {
        "from": work.source.server.name,
        "to": work.server.name,
        "placement": work.to.names.pid,
        "left": work.source.names.pid,
    }
    with work.platform.control.begin() as conn:
        switch_placement(conn, work.tenant, work.to.names.pid)
        placements.set_drop_after(conn, work.source.names.pid, datetime.now(UTC) + KEPT)
        operators_audit.record(conn, work.operator, MOVED, work.tenant.id, detail)
        queue_backup(conn, None)
        moved = tenants.set_state(conn, work.tenant.id, work.tenant.state)
    work.result = moved
    work.platform.registry.forget(work.tenant)


STEPS: tuple[tuple[str, Callable[[Work], None]], ...] = (
    ("making a database on the new server", _prepare),
    ("closing the workspace", _close),
    ("copying", _copy),
    ("comparing", _compare),
    ("bringing the schema up to date", _upgrade),
    ("closing and checking the gates", _finish),
    ("switching", _switch),
)


def _undo(work: Work) -> None:
    """Open the workspace where it was and leave nothing of the copy, as far as the servers answer."""
    with work.platform.control.connect() as conn:
        now = tenants.by_id(conn, work.tenant.id)
    if now.placement_id != work.tenant.placement_id:
        return  # switched: the move has come to its end
    with suppress(StrongroomError, psycopg.Error):  # a repeat, `tenant resume` or the collector does it later
        if now.state is TenantState.MIGRATING:
            go_back(work.platform, work.tenant.id, work.tenant.state)
    with suppress(StrongroomError, psycopg.Error):
        if work.target is not None:
            drop_placement(work.platform, work.target.names.pid)
