"""Puts a workspace back on the database that it had before a restore or a move, as long as that is kept.

The one that it leaves is kept in turn, so this can be undone the same way.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg import sql
from sqlalchemy import Connection

from ..config.errors import NotFoundError, RefusedError, StrongroomError
from ..platform.control.platform import Platform
from ..platform.servers import queries as servers
from ..platform.servers.records import Server
from ..platform.tenants import placements
from ..platform.tenants import queries as tenants
from ..platform.tenants.records import Placement, PlacementState, Tenant
from ..platform.tenants.states import TenantState
from ..provisioning import database
from ..provisioning.create import tenant_lock
from ..provisioning.gates import adopt_objects, close_gates, verify_gates
from ..provisioning.names import Names
from ..provisioning.sessions import migrator, migrator_connection, provisioner
from .adapt import adapt_restored
from .erasure.forget import replay_forgotten
from .header import timestamp
from .manifest import read_manifest
from .progress import Progress, in_steps, silent
from .switch import switch_in_place


@dataclass(frozen=True, slots=True)
class Undone:
    """What has been done. `retired` is the placement that the workspace has left; `seconds` it took."""

    tenant: Tenant
    placement_id: str
    left_at: datetime | None  # when it had left the database that it has now
    retired: str
    rows: int
    seconds: float


@dataclass(slots=True)
class Work:
    """State while the steps run, in the order of `STEPS`."""

    platform: Platform
    tenant: Tenant
    target: Placement
    server: Server
    operator: str
    revision: str | None = None
    rows: int = 0
    result: Tenant | None = None

    @property
    def names(self) -> Names:
        """Database and roles of the retired placement."""
        return Names(self.target.id)


def undo(
    platform: Platform,
    slug: str,
    placement_id: str | None = None,
    *,
    operator: str = "operator",
    progress: Progress = silent,
) -> Undone:
    """Put a workspace back on a retired database (default: the one that it left last), which is read in full before.

    Raises `NotFoundError` (there is none), `RefusedError` (wrong state, newer schema, somebody else is at work),
    `VerificationError` or `FailedError`; the workspace is then as it was.
    """
    began = time.monotonic()
    with platform.control.connect() as conn:
        tenant_id = tenants.by_slug(conn, slug).id
    with tenant_lock(platform, tenant_id):
        work = _begin(platform, tenant_id, placement_id, operator)
        _run_steps(work, progress)
    assert work.result is not None
    retired = work.tenant.placement_id or ""
    return Undone(work.result, work.target.id, work.target.retired_at, retired, work.rows, time.monotonic() - began)


def _begin(platform: Platform, tenant_id: str, placement_id: str | None, operator: str) -> Work:
    with platform.control.connect() as conn:
        tenant = tenants.by_id(conn, tenant_id)
        if tenant.state not in (TenantState.ACTIVE, TenantState.SUSPENDED):
            raise RefusedError(f"The workspace “{tenant.slug}” is {tenant.state} and cannot be put back now.")
        kept = [one for one in placements.kept(conn, tenant_id) if placement_id in (None, one.id)]
        if not kept:
            raise NotFoundError(f"No such database of “{tenant.slug}” is kept; `strongroom tenant show` lists them.")
        return Work(platform, tenant, kept[0], servers.by_name(conn, kept[0].server), operator)


def _run_steps(work: Work, progress: Progress) -> None:
    try:
        in_steps(STEPS, work, work.tenant.slug, progress)
    except BaseException:
        if work.result is None:
            _close_again(work)
        raise


def _open(work: Work) -> None:
    """To the migrator only: no member can get in before the switch."""
    with provisioner(work.platform, work.server) as session:
        database.open_to_migrator(session, work.names)


def _read(work: Work) -> None:
    """Read every row: pages that have rotted meanwhile would be found here, not by a member."""
    with migrator(work.platform, work.server, work.names.database) as session:
        session.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(work.names.owner)))
        with session.transaction():
            work.rows = read_manifest(session).rows


def _adapt(work: Work) -> None:
    left_at = work.target.retired_at
    origin = {"placement": work.target.id, "as_of": timestamp(left_at) if left_at else None}
    with migrator_connection(work.platform, work.server, work.names.database) as conn, conn.begin():
        work.revision = adapt_restored(conn, work.names.owner, origin)
        replay_forgotten(conn, work.tenant.id, work.platform)


def _close(work: Work) -> None:
    for step in (adopt_objects, close_gates, verify_gates):
        step(work.platform, work.server, work.target.id)


def _switch(work: Work) -> None:
    detail = {"placement": work.target.id, "undone": True}
    work.result = switch_in_place(
        work.platform, work.tenant, work.target.id, work.operator, detail, lambda conn: _make_ready(work, conn)
    )


def _make_ready(work: Work, conn: Connection) -> None:
    """In the transaction of the switch: what is ready and not switched to would be dropped as left over."""
    pid = work.target.id
    if placements.locked(conn, pid).state is not PlacementState.RETIRED:
        raise RefusedError(f"The database {work.target.database} is being dropped; its time was over.")
    if work.revision:
        placements.set_schema_revision(conn, pid, work.revision)
    placements.set_drop_after(conn, pid, None)
    placements.set_state(conn, pid, PlacementState.READY)


def _close_again(work: Work) -> None:
    with suppress(StrongroomError, psycopg.Error), provisioner(work.platform, work.server) as session:
        database.fence(session, work.names)


STEPS: tuple[tuple[str, Callable[[Work], None]], ...] = (
    ("opening the database of before", _open),
    ("reading all of it", _read),
    ("making it current", _adapt),
    ("closing and checking the gates", _close),
    ("switching", _switch),
)
