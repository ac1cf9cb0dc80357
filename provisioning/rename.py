"""Giving a workspace another address. Its database, keys and backups stay: nothing in them depends on the address."""

from ..config.errors import RefusedError
from ..platform.audit import queries as operators_audit
from ..platform.control.platform import Platform
from ..platform.tenants import queries as tenants
from ..platform.tenants.records import Tenant
from ..platform.tenants.slugs import check_slug
from ..platform.tenants.states import TenantState
from ..tenant_schema.queries import audit
from .create import tenant_lock
from .lifecycle import wait_until_noticed


def rename(platform: Platform, slug: str, new_slug: str, operator: str) -> Tenant:
    """Make `new_slug` the address of the workspace `slug`, and return once no process answers at the old one.

    Takes `tenant_cache_seconds`. Sessions end: their cookies belong to the old host name. Raises `NotFoundError`,
    `CallError` for a bad or reserved address, `RefusedError` for a taken one or unless it is active or suspended.
    """
    check_slug(new_slug)
    with platform.control.connect() as conn:
        tenant_id = tenants.by_slug(conn, slug).id
    with tenant_lock(platform, tenant_id):
        with platform.control.connect() as conn:
            old = tenants.by_id(conn, tenant_id)
        if old.state not in (TenantState.ACTIVE, TenantState.SUSPENDED):
            raise RefusedError(f"The workspace “{old.slug}” is {old.state} and cannot be renamed now.")
        renamed = _rename(platform, old, new_slug, operator)
        wait_until_noticed(platform, old)
    return renamed


def _rename(platform: Platform, old: Tenant, new_slug: str, operator: str) -> Tenant:
    """Both audit logs say so, or nothing has happened."""
    detail = {"from": old.slug, "to": new_slug}
    with platform.registry.connect(old, before_opening=True) as own, own.begin():
        audit.record(own, None, "workspace.renamed", detail=detail)
        with platform.control.begin() as conn:
            operators_audit.record(conn, operator, "tenant.renamed", old.id, detail)
            renamed = tenants.set_slug(conn, old.id, new_slug)
    return renamed
