"""What the control database remembers and the lost machine has taken along: databases, processes, half-done work."""

from collections.abc import Mapping
from contextlib import suppress

import psycopg

from ...config.errors import StrongroomError
from ...platform.control.platform import Platform
from ...platform.servers import queries as servers
from ...platform.servers.records import Server
from ...platform.tenants import placements
from ...platform.tenants import queries as tenants
from ...platform.tenants.records import Placement, PlacementState, Tenant
from ...platform.tenants.states import TenantState
from ...provisioning.placements import drop_placement
from ...provisioning.repair import undisturbed
from ...provisioning.sessions import provisioner
from .. import switch
from . import queries

Databases = Mapping[str, frozenset[str] | None]  # of each server by its name; None where it does not answer
_STUCK = (TenantState.RESTORING, TenantState.MIGRATING)
_BEGUN = (PlacementState.BUILDING, PlacementState.READY)


def forget_processes(platform: Platform) -> None:
    """Remove the web and worker processes of the lost machine."""
    with platform.control.begin() as conn:
        queries.forget_processes(conn)


def databases(platform: Platform) -> Databases:
    """Return which databases there are, on each server."""
    with platform.control.connect() as conn:
        known = servers.list_all(conn)
    return {server.name: _databases(platform, server) for server in known}


def settle(platform: Platform, there: Databases) -> None:
    """Undo what was half done, on the lost machine or in an earlier run of the recovery, and forget lost databases."""
    with platform.control.connect() as conn:
        lost = {server.name for server in servers.list_all(conn) if server.kind == "embedded"}
        everyone = {tenant.id: tenant for tenant in tenants.list_all(conn, tuple(TenantState))}
        rows = placements.in_state(conn, *(state for state in PlacementState if state is not PlacementState.DROPPED))
    for tenant in everyone.values():
        if tenant.state in _STUCK:
            _settle_state(platform, tenant, there)
    for row in rows:
        if row.server not in lost and row.database in (there.get(row.server) or ()):
            _leave_alone(platform, row, everyone)
        elif _is_gone(row, everyone, there) or _is_half_made(row, everyone):
            with suppress(StrongroomError, psycopg.Error), undisturbed(platform, row.id):
                drop_placement(platform, row.id)


def _leave_alone(platform: Platform, row: Placement, everyone: Mapping[str, Tenant]) -> None:
    """A spare or half-made database of a server that was not lost may have been given to somebody since: keep it."""
    if not _is_current(row, everyone) and (row.spare or row.state in _BEGUN):
        with platform.control.begin() as conn:
            placements.put_aside(conn, row.id)


def is_there(tenant: Tenant, there: Databases) -> bool:
    """Say whether the tenant's database exists."""
    return bool(tenant.placement_id) and tenant.database in (there.get(tenant.server) or ())


def _databases(platform: Platform, server: Server) -> frozenset[str] | None:
    try:
        with provisioner(platform, server) as session:
            return frozenset(str(row[0]) for row in session.execute("SELECT datname FROM pg_database"))
    except StrongroomError:
        return None


def _settle_state(platform: Platform, tenant: Tenant, there: Databases) -> None:
    """A restore or move that was under way is over: the workspace has the database that it had before, if any."""
    before = switch.state_before(platform, tenant.id)
    if is_there(tenant, there):
        with suppress(StrongroomError, psycopg.Error):
            switch.go_back(platform, tenant.id, before)
        return
    with platform.control.begin() as conn:
        tenants.set_state(conn, tenant.id, before)


def _is_current(row: Placement, everyone: Mapping[str, Tenant]) -> bool:
    owner = everyone.get(row.tenant_id or "")
    return owner is not None and owner.placement_id == row.id


def _is_gone(row: Placement, everyone: Mapping[str, Tenant], there: Databases) -> bool:
    """The database of a spare, of a restore's past, of a drop that was begun; a new workspace is built on instead."""
    existing = there.get(row.server)
    owner = everyone.get(row.tenant_id or "")
    awaited = owner is not None and owner.state is TenantState.PENDING
    return existing is not None and row.database not in existing and not _is_current(row, everyone) and not awaited


def _is_half_made(row: Placement, everyone: Mapping[str, Tenant]) -> bool:
    """What a restore that was killed was filling."""
    if row.spare or row.state not in _BEGUN:
        return False
    owner = everyone.get(row.tenant_id or "")
    return owner is None or owner.placement_id not in (None, row.id)
