"""Suspending a workspace and letting it run again; both return once every process has noticed."""

import time

from ..config.errors import RefusedError
from ..platform.control.platform import Platform
from ..platform.servers import queries as servers
from ..platform.tenants import queries as tenants
from ..platform.tenants.records import Tenant
from ..platform.tenants.states import TenantState
from . import database
from .create import tenant_lock
from .names import Names
from .sessions import provisioner


def suspend(platform: Platform, tenant: Tenant) -> Tenant:
    """Close a workspace: its members see that it is suspended, its open sessions in the database end.

    Takes `tenant_cache_seconds`. Raises `RefusedError` unless it is active.
    """
    with tenant_lock(platform, tenant.id):
        with platform.control.begin() as conn:
            _refuse_unless(tenants.by_id(conn, tenant.id), "suspended", TenantState.ACTIVE)
            suspended = tenants.set_state(conn, tenant.id, TenantState.SUSPENDED)
            server = servers.by_name(conn, suspended.server)
        wait_until_noticed(platform, tenant)  # or a process that has not could connect once more
        with provisioner(platform, server) as session:
            database.terminate(session, Names(suspended.placement_id or ""))
    return suspended


def resume(platform: Platform, tenant: Tenant) -> Tenant:
    """Open a suspended workspace again, or one whose move or restore was killed, where it was.

    Takes `tenant_cache_seconds`. Raises `RefusedError` in any other state, and while the move or restore is still at
    work; `UnavailableError` when its server does not answer: it is then as it was.
    """
    with tenant_lock(platform, tenant.id):
        with platform.control.connect() as conn:
            found = tenants.by_id(conn, tenant.id)
        _refuse_unless(found, "resumed", TenantState.SUSPENDED, TenantState.MIGRATING, TenantState.RESTORING)
        _let_in(platform, found)
        with platform.control.begin() as conn:
            resumed = tenants.set_state(conn, tenant.id, TenantState.ACTIVE)
    wait_until_noticed(platform, tenant)
    return resumed


def _refuse_unless(tenant: Tenant, what: str, *states: TenantState) -> None:
    if tenant.state not in states:
        raise RefusedError(f"The workspace “{tenant.slug}” is {tenant.state} and cannot be {what} now.")


def _let_in(platform: Platform, tenant: Tenant) -> None:
    with platform.control.connect() as conn:
        server = servers.by_name(conn, tenant.server)
    with provisioner(platform, server) as session:
        database.open_to_tenant(session, Names(tenant.placement_id or ""))


def wait_until_noticed(platform: Platform, tenant: Tenant) -> None:
    """Return when every process has the tenant's new record."""
    platform.registry.forget(tenant)
    time.sleep(platform.settings.tenant_cache_seconds)
