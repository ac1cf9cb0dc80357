"""Removes receipts that no row names: of deleted drafts, and of uploads that were killed before their commit."""

import logging
from datetime import UTC, datetime

from ..config.errors import StrongroomError
from ..platform.control.platform import Platform
from ..platform.jobs.sweeps import open_workspaces
from ..platform.keys import ReceiptVault
from ..platform.tenants import placements
from ..platform.tenants.records import PlacementState, Tenant
from ..tenant_schema.queries import receipts
from .create import tenant_lock

_logger = logging.getLogger(__name__)


def collect_receipts(platform: Platform, now: datetime | None = None) -> int:
    """Remove the orphans of all active workspaces that are older than a day; return how many.

    A workspace that cannot be looked at now is left for the next time.
    """
    now, removed = now or datetime.now(UTC), 0
    for tenant in open_workspaces(platform):
        try:
            removed += collect_receipts_of(platform, tenant, now)
        except StrongroomError as error:
            _logger.warning("The receipts of %s are not looked through now: %s", tenant.slug, error)
    return removed


def collect_receipts_of(platform: Platform, tenant: Tenant, now: datetime) -> int:
    """Remove the orphans of one workspace; return how many.

    None while it has a second database, being restored or kept after a restore: its rows name receipts too.
    """
    with tenant_lock(platform, tenant.id):
        with platform.control.connect() as conn:
            states = {placement.state for placement in placements.of_tenant(conn, tenant.id)}
        if states - {PlacementState.CURRENT, PlacementState.DROPPED}:
            return 0
        with platform.registry.connect(tenant) as conn, conn.begin():
            in_use = receipts.objects_in_use(conn)
        vault = ReceiptVault(platform.settings, platform.keys.tenant(tenant.id))
        return len(vault.remove_orphans(in_use, now))
