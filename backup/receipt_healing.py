"""Copies of receipts that have rotted in a store: a backup after a failed verification finds and replaces them.

Receipts are copied once. Without this, one that is damaged in the store would fail every later backup of the tenant,
although the original is whole.
"""

import hashlib
from collections.abc import Sequence
from contextlib import suppress

from ..config.errors import NotFoundError, StrongroomError
from ..platform.control.platform import Platform
from ..platform.keys.blobs import open_blobs
from . import catalogue, names
from .header import ReceiptCopy
from .records import BackupState
from .stores.contract import Store
from .stores.opening import open_store

_JUDGED = (BackupState.STORED, BackupState.VERIFIED, BackupState.FAILED)


def make_way(platform: Platform, store: Store, tenant_id: str, receipts: Sequence[ReceiptCopy]) -> int:
    """Remove damaged copies whose originals are whole, if the tenant's last backup failed its verification.

    Returns how many. They are removed with the credential that may delete; what cannot be removed stays.
    """
    with platform.control.connect() as conn:
        last = catalogue.newest(conn, tenant_id, _JUDGED)
    if last is None or last.state is not BackupState.FAILED or last.size is None:
        return 0
    return sum(_remove(platform, store, names.receipt_object(tenant_id, one.sha256), one) for one in receipts)


def _remove(platform: Platform, store: Store, name: str, receipt: ReceiptCopy) -> bool:
    with suppress(StrongroomError):
        if _is_damaged(store, name, receipt.sha256) and _is_whole(platform, receipt):
            return open_store(platform.settings, store.name, pruning=True).delete(name)
    return False


def _is_damaged(store: Store, name: str, sha256: str) -> bool:
    try:
        with store.open(name) as file:
            return hashlib.sha256(file.read()).hexdigest() != sha256
    except NotFoundError:
        return False


def _is_whole(platform: Platform, receipt: ReceiptCopy) -> bool:
    return hashlib.sha256(open_blobs(platform.settings).get(receipt.object)).hexdigest() == receipt.sha256
