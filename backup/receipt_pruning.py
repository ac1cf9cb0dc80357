"""Receipts in the backup stores that no kept backup names any more.

The rule: while nobody backs this workspace up, read the descriptors of all its kept backups; what none of them names,
and is older than a day, goes. One descriptor that cannot be read, and nothing goes.
"""

from datetime import datetime, timedelta

from ..platform.control.platform import Platform
from ..provisioning.locking import held
from . import catalogue, names
from .records import Backup, BackupState
from .stores.contract import Store
from .stores.opening import open_store
from .subject import identity_of
from .verify import read_descriptor

GRACE = timedelta(hours=24)
_NAMING = (BackupState.STORED, BackupState.VERIFIED, BackupState.FAILED)


def remove_unnamed(platform: Platform, tenant_id: str, now: datetime) -> int:
    """Remove them from every store; return how many objects. 0 also while a backup of the workspace runs.

    Raises what reading a descriptor raises; nothing is removed then.
    """
    with held(platform, names.backup_lock(tenant_id)) as mine:
        if not mine:
            return 0
        with platform.control.connect() as conn:
            if catalogue.in_states(conn, (BackupState.RUNNING,), tenant_id):
                return 0  # it counts on what it has found in the store
            kept = [one for one in catalogue.in_states(conn, _NAMING, tenant_id) if one.size is not None]
        named = _named(platform, open_store(platform.settings), tenant_id, kept)
        return sum(_remove(store, tenant_id, named, now) for store in _stores(platform))


def _stores(platform: Platform) -> list[Store]:
    return [open_store(platform.settings, store.name) for store in platform.settings.backup_stores]


def _named(platform: Platform, store: Store, tenant_id: str, kept: list[Backup]) -> set[str]:
    identity = identity_of(platform, tenant_id)
    descriptors = (read_descriptor(store, backup, identity) for backup in kept)
    return {
        names.receipt_object(tenant_id, receipt.sha256) for descriptor in descriptors for receipt in descriptor.receipts
    }


def _remove(store: Store, tenant_id: str, named: set[str], now: datetime) -> int:
    there = list(store.list(f"{names.folder(tenant_id)}/receipts"))
    unnamed = [found.name for found in there if found.name not in named and now - found.modified > GRACE]
    return sum(map(store.delete, unnamed))
