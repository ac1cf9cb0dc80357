"""What a tenant that begins as a copy has before its row is written: keys and sealed receipts, which go if it fails.

An entry of the operators' audit log is written first. Only what such an entry names is ever removed: a key that no row
knows may as well be that of a workspace whose row was lost with the control database.
"""

from contextlib import suppress
from datetime import datetime

import psycopg

from ..config.errors import StrongroomError
from ..platform.audit import queries as operators_audit
from ..platform.audit.queries import AuditEntry
from ..platform.control.platform import Platform
from ..platform.keys.blobs import open_blobs
from ..platform.tenants import queries as tenants
from ..provisioning.locking import held
from ..provisioning.placements import drop_placement
from ..provisioning.spares import spare_lock
from . import names
from .stores.contract import Store

COPYING = "tenant.copying"


def begin(platform: Platform, tenant_id: str, pid: str, source_id: str, operator: str) -> None:
    """Make the keys of a tenant that the placement `pid` will be the home of."""
    with platform.control.begin() as conn:
        detail = {"source": source_id, "placement": pid}
        operators_audit.record(conn, operator, COPYING, tenant_id, detail)
    platform.keys.create_tenant(tenant_id)


def undo(platform: Platform, tenant_id: str, pid: str) -> None:
    """Leave nothing of a copy that failed: what cannot be removed now, the clearing removes after a day."""
    if _came_to_be(platform, tenant_id):
        return
    with suppress(StrongroomError, psycopg.Error):
        drop_placement(platform, pid)
    with suppress(StrongroomError):
        _remove(platform, tenant_id)


def left(platform: Platform, before: datetime) -> list[AuditEntry]:
    """Return the entries of copies that were begun before then, never came to be, and still have keys."""
    keys = set(platform.keys.tenant_ids())
    with platform.control.connect() as conn:
        begun = operators_audit.without_tenant(conn, COPYING, before)
    return [entry for entry in begun if entry.tenant_id in keys]


def remove(platform: Platform, store: Store, entry: AuditEntry) -> bool:
    """Remove keys and receipts of one of `left`; False if somebody works on it, or it has backups: it was in use."""
    tenant_id = entry.tenant_id or ""
    with held(platform, spare_lock(entry.detail["placement"])) as mine:
        if not mine or _came_to_be(platform, tenant_id) or any(store.list(names.folder(tenant_id))):
            return False
        _remove(platform, tenant_id)
    return True


def _came_to_be(platform: Platform, tenant_id: str) -> bool:
    with platform.control.connect() as conn:
        return tenants.exists(conn, tenant_id)


def _remove(platform: Platform, tenant_id: str) -> None:
    """Receipts first: as long as one is left, the key says that there is something to remove."""
    blobs = open_blobs(platform.settings)
    for blob in list(blobs.list(tenant_id)):
        blobs.delete(blob.name)
    platform.keys.destroy_tenant(tenant_id)
