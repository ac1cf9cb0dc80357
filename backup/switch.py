"""The moment at which a tenant starts to live in a restored database: the only one at which its members notice."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from ..platform.audit import queries as operators_audit
from ..platform.control.platform import Platform
from ..platform.servers import queries as servers
from ..platform.tenants import placements
from ..platform.tenants import queries as tenants
from ..platform.tenants.records import Tenant
from ..platform.tenants.states import TenantState
from ..provisioning import database
from ..provisioning.names import Names
from ..provisioning.placements import switch_placement
from ..provisioning.sessions import provisioner
from .queueing import queue_backup

KEPT = timedelta(days=7)  # how long the database that a restore replaced can be had back
SWITCHING = "restore.switching"
MOVING = "tenant.moving"
RESTORED = "tenant.restored"
MOVED = "tenant.moved"


def switch_in_place(
    platform: Platform,
    tenant: Tenant,
    pid: str,
    operator: str,
    detail: dict[str, Any],
    before_it: Callable[[Connection], None] = lambda _: None,
) -> Tenant:
    """Give the tenant the placement `pid`; return it as it is afterwards. `before_it` is done in the transaction.

    The old database is closed and its sessions ended first: a request that is under way fails with 503, and none can
    write into a database that is no longer the tenant's. When anything fails the old one is opened again.
    """
    old = tenant.placement_id
    with platform.control.begin() as conn:
        before = tenants.by_id(conn, tenant.id).state
        tenants.set_state(conn, tenant.id, TenantState.RESTORING)
        operators_audit.record(conn, operator, SWITCHING, tenant.id, {**detail, "from": old, "state": before.value})
    platform.registry.forget(tenant)
    try:
        _close(platform, tenant)
        with platform.control.begin() as conn:
            before_it(conn)
            switch_placement(conn, tenant, pid)
            if old:
                placements.set_drop_after(conn, old, datetime.now(UTC) + KEPT)
            operators_audit.record(conn, operator, RESTORED, tenant.id, {**detail, "from": old})
            queue_backup(conn, None)  # a recovery must know which database is the one
            switched = tenants.set_state(conn, tenant.id, before)
    except BaseException:
        go_back(platform, tenant.id, before)
        raise
    platform.registry.forget(tenant)
    return switched


@dataclass(frozen=True, slots=True)
class NewTenant:
    """A tenant that starts as a copy of another one; its keys exist already."""

    id: str
    slug: str
    source: Tenant
    name: str | None = None  # else the source's, and that it is a copy


def open_new(platform: Platform, new: NewTenant, pid: str, operator: str, detail: dict[str, Any]) -> Tenant:
    """Make the placement `pid` the home of a new tenant. Raises `RefusedError` if the slug has been taken meanwhile."""
    source = new.source
    with platform.control.begin() as conn:
        made = tenants.insert_pending(
            conn,
            slug=new.slug,
            name=new.name or f"{source.name} (copy)",
            plan_id=source.plan,
            region_id=source.region,
            tenant_id=new.id,
        )
        switch_placement(conn, made, pid)
        operators_audit.record(conn, operator, "tenant.copied", new.id, {**detail, "source": source.id})
        return tenants.set_state(conn, new.id, TenantState.ACTIVE)


def go_back(platform: Platform, tenant_id: str, state: TenantState) -> None:
    """Open a tenant that is `restoring` or `migrating` again, in the database that it has."""
    with platform.control.connect() as conn:
        tenant = tenants.by_id(conn, tenant_id)
        server = servers.by_name(conn, tenant.server)
    with provisioner(platform, server) as session:
        database.open_to_tenant(session, Names(tenant.placement_id or ""))
    with platform.control.begin() as conn:
        tenants.set_state(conn, tenant_id, state)
    platform.registry.forget(tenant)


def state_before(platform: Platform, tenant_id: str) -> TenantState:
    """Return the state that a tenant was in before the restore or move that left it `restoring` or `migrating`."""
    with platform.control.connect() as conn:
        entries = operators_audit.newest(conn, 20, tenant_id)
    states = [entry.detail["state"] for entry in entries if entry.action in (SWITCHING, MOVING)]
    return TenantState(states[0]) if states else TenantState.ACTIVE


def switches(conn: Connection, tenant_id: str) -> list[tuple[datetime, str]]:
    """Return when a tenant left a database, and which placement that was, oldest first; it may have come back since."""
    entries = operators_audit.of_tenant(conn, tenant_id, (RESTORED, MOVED))
    return [(one.at, one.detail["left" if one.action == MOVED else "from"]) for one in entries]


def _close(platform: Platform, tenant: Tenant) -> None:
    with platform.control.connect() as conn:
        server = servers.by_name(conn, tenant.server)
    with provisioner(platform, server) as session:
        database.fence(session, Names(tenant.placement_id or ""))
