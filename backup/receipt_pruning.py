"""Receipts in the backup stores that no kept backup names any more.

The rule: while nobody backs this workspace up, read the descriptors of all its kept backups; what none of them names,
and is older than a day, goes. One descriptor that cannot be read, and nothing goes.
"""

from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta

from ..config.errors import BusyError
from ..platform.control.platform import Platform
from . import catalogue, names
from .copies import holding, in_each
from .records import Backup, BackupState
from .stores.contract import Store
from .subject import identity_of
from .verify import read_descriptor
from .writing import nobody_writes

GRACE = timedelta(hours=24)
_NAMING = (BackupState.STORED, BackupState.VERIFIED, BackupState.FAILED)


def remove_unnamed(platform: Platform, tenant_id: str, now: datetime) -> int:
    """Remove them from every store; return how many objects. 0 also while a backup of the workspace runs.

    Raises what reading a descriptor raises; nothing is removed then.
    """
    try:
        with nobody_writes(platform, tenant_id, patience=0):
            named = _named(platform, tenant_id)
            return in_each(platform, lambda store: _remove(store, tenant_id, named, now))[0]
    except BusyError:
        return 0


def _named(platform: Platform, tenant_id: str) -> AbstractSet[str]:
    with platform.control.connect() as conn:
        kept = [one for one in catalogue.in_states(conn, _NAMING, tenant_id) if one.size is not None]
    return {name for backup in kept for name in _named_by(platform, tenant_id, backup)}


def _named_by(platform: Platform, tenant_id: str, backup: Backup) -> AbstractSet[str]:
    descriptor = read_descriptor(holding(platform, backup), backup, identity_of(platform, tenant_id))
    return {names.receipt_object(tenant_id, receipt.sha256) for receipt in descriptor.receipts}


def _remove(store: Store, tenant_id: str, named: AbstractSet[str], now: datetime) -> int:
    there = list(store.list(f"{names.folder(tenant_id)}/receipts"))
    unnamed = [found.name for found in there if found.name not in named and now - found.modified > GRACE]
    return sum(map(store.delete, unnamed))
