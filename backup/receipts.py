"""The sealed receipts that belong to a backup: listed in the dump's snapshot, copied once, brought back by a restore.

They are immutable and encrypted already, and their name in the backup store is the hash of their sealed bytes.
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import suppress

from ..config.errors import NotFoundError, RefusedError, VerificationError
from ..platform.control.platform import Platform
from ..platform.keys.blobs import Blob, Blobs, open_blobs
from ..provisioning.sessions import Session
from . import names
from .header import ReceiptCopy
from .stores.contract import Store

_LIST = """
SELECT object, sha256 FROM app.receipt
UNION
SELECT preview_object, preview_sha256 FROM app.receipt WHERE preview_object IS NOT NULL
ORDER BY 1
"""


def list_receipts(session: Session) -> list[ReceiptCopy]:
    """Return the objects that the tenant's rows name, in the session's snapshot."""
    return [ReceiptCopy(str(name), str(sha256)) for name, sha256 in session.execute(_LIST)]


def copy_missing(
    platform: Platform, store: Store, tenant_id: str, receipts: Sequence[ReceiptCopy]
) -> list[ReceiptCopy]:
    """Copy what the backup store lacks; return those that it still lacks, because their origin has lost them."""
    if not receipts:
        return []
    there = {found.name for found in store.list(f"{names.folder(tenant_id)}/receipts")}
    lacking = [receipt for receipt in receipts if names.receipt_object(tenant_id, receipt.sha256) not in there]
    blobs = open_blobs(platform.settings)
    return [receipt for receipt in lacking if not _copy(blobs, store, tenant_id, receipt)]


def bring_back(platform: Platform, store: Store, tenant_id: str, receipts: Sequence[ReceiptCopy]) -> int:
    """Put the receipts that the receipt store lacks, or holds damaged, back from the backup store; return how many.

    Raises `NotFoundError` or `VerificationError` when the backup store cannot give one of them either.
    """
    blobs = open_blobs(platform.settings)
    return sum(bring_back_one(blobs, store, tenant_id, receipt) for receipt in receipts)


class BackupBlobs:
    """Reads a tenant's receipts from the backup store, under the names that the receipt store gave them."""

    def __init__(self, store: Store, tenant_id: str) -> None:
        """`tenant_id` is the one that the receipts were stored for."""
        self._store = store
        self._tenant_id = tenant_id

    def get(self, name: str) -> bytes:
        """Return a sealed receipt. Raises `NotFoundError`, `VerificationError`."""
        return _read_copy(self._store, self._tenant_id, name.rpartition("/")[2])

    def put(self, name: str, content: bytes) -> None:
        """Refuse: backups are not changed through this."""
        raise RefusedError(f"The receipt {name} is not written into the backup store ({len(content)} bytes).")

    def list(self, tenant_id: str) -> Iterator[Blob]:
        """Refuse, as `put` does."""
        raise RefusedError(f"The receipts of {tenant_id} are not listed from the backup store.")

    def delete(self, name: str) -> None:
        """Refuse, as `put` does."""
        raise RefusedError(f"The receipt {name} is not deleted from the backup store.")


def _copy(blobs: Blobs, store: Store, tenant_id: str, receipt: ReceiptCopy) -> bool:
    """Return whether the backup store has it now."""
    try:
        content = blobs.get(receipt.object)
    except NotFoundError:
        return False
    if hashlib.sha256(content).hexdigest() != receipt.sha256:
        return False
    name = names.receipt_object(tenant_id, receipt.sha256)
    with suppress(RefusedError), store.create(name) as target:  # refused: another backup of this tenant was faster
        target.write(content)
    return True


def bring_back_one(blobs: Blobs, store: Store, tenant_id: str, receipt: ReceiptCopy) -> bool:
    """Put one receipt back if need be; return whether it was. Raises as `bring_back` does."""
    try:
        if hashlib.sha256(blobs.get(receipt.object)).hexdigest() == receipt.sha256:
            return False
        blobs.delete(receipt.object)
    except NotFoundError:
        pass  # the case that this is for
    blobs.put(receipt.object, _read_copy(store, tenant_id, receipt.sha256))
    return True


def _read_copy(store: Store, tenant_id: str, sha256: str) -> bytes:
    with store.open(names.receipt_object(tenant_id, sha256)) as file:
        content = file.read()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise VerificationError(f"The receipt {sha256} is damaged in the backup store.")
    return content
