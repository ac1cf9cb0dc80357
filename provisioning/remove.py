"""Giving up a workspace that was never opened: it leaves nothing, and its slug is free when its database is gone."""

from ..config.errors import RefusedError
from ..platform.control.platform import Platform
from ..platform.tenants import placements
from ..platform.tenants import queries as tenants
from ..platform.tenants.records import PlacementState
from ..platform.tenants.states import TenantState
from .create import tenant_lock
from .placements import drop_placement

__all__ = ["abandon", "drop_placement"]


def abandon(platform: Platform, tenant_id: str) -> None:
    """Remove a pending tenant: databases and roles, then its keys, then its row's slug. Idempotent.

    Raises `RefusedError` for a tenant that was opened, `FailedError` when a database is still there; the slug stays
    taken until a later call has removed it.
    """
    with tenant_lock(platform, tenant_id):
        with platform.control.connect() as conn:
            tenant = tenants.by_id(conn, tenant_id)
            left = [p for p in placements.of_tenant(conn, tenant_id) if p.state is not PlacementState.DROPPED]
        if tenant.state not in {TenantState.PENDING, TenantState.ERASED}:
            raise RefusedError(f"The workspace “{tenant.slug}” is {tenant.state}; only a pending one can be abandoned.")
        for placement in left:
            drop_placement(platform, placement.id)
        platform.keys.destroy_tenant(tenant_id)
        with platform.control.begin() as conn:
            if tenant.state is TenantState.PENDING:
                tenants.set_state(conn, tenant_id, TenantState.ERASED)
            tenants.release_slug(conn, tenant_id)
