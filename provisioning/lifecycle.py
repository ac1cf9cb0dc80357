"""Suspending a workspace and letting it run again; both return once every process has noticed."""

import time

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
            suspended = tenants.set_state(conn, tenant.id, TenantState.SUSPENDED)
            server = servers.by_name(conn, suspended.server)
        _wait_until_noticed(platform, tenant)  # or a process that has not could connect once more
        with provisioner(platform, server) as session:
            database.terminate(session, Names(suspended.placement_id or ""))
    return suspended


def resume(platform: Platform, tenant: Tenant) -> Tenant:
    """Open a suspended workspace again. Takes `tenant_cache_seconds`. Raises `RefusedError` unless it is suspended."""
    with tenant_lock(platform, tenant.id), platform.control.begin() as conn:
        resumed = tenants.set_state(conn, tenant.id, TenantState.ACTIVE)
    _wait_until_noticed(platform, tenant)
    return resumed


def _wait_until_noticed(platform: Platform, tenant: Tenant) -> None:
    platform.registry.forget(tenant)
    time.sleep(platform.settings.tenant_cache_seconds)
