"""Receipts of one tenant: sealed whole in memory, stored under the SHA-256 of the sealed bytes.

Associated data are tenant, receipt and part, so an object serves only as the very thing that it was stored as. The
plaintext is never written to disk, and nothing in the store tells what a receipt shows.
"""

import hashlib
import hmac
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID

from ...config.errors import CallError, VerificationError
from ...config.settings import Settings
from .blobs import Blob, Blobs, open_blobs
from .derive import derive
from .records import TenantKeys
from .sealing import Sealer

LARGEST = 20 * 1024 * 1024  # bytes of plaintext
ORPHAN_GRACE = timedelta(hours=24)  # longer than any request between storing an object and committing its row

Part = Literal["original", "preview"]

_NAME = re.compile(r"(?P<tenant>[a-z0-9]+)/(?P<aa>[0-9a-f]{2})/(?P<sha256>(?P=aa)[0-9a-f]{62})")


@dataclass(frozen=True, slots=True)
class StoredReceipt:
    """What the database keeps of a stored object."""

    object: str  # name in the store: <tenant>/<aa>/<sha256>
    sha256: str  # hexadecimal, of the sealed object
    content_mac: bytes  # keyed hash of the plaintext, equal for equal content of this tenant


class ReceiptVault:
    """Seals, stores and opens the receipts of one tenant."""

    def __init__(self, settings: Settings, keys: TenantKeys, blobs: Blobs | None = None) -> None:
        """`blobs` replaces the store that the settings name."""
        self._tenant_id = keys.tenant_id
        self._sealer = Sealer(keys, "receipts")
        self._mac_key = derive(keys.data_key, "receipt content")
        self._blobs = blobs or open_blobs(settings)

    def seal_and_store(self, receipt_id: UUID, content: bytes, part: Part = "original") -> StoredReceipt:
        """Store `content`, durably on return. Raises `CallError` if it is empty or above 20 MB, `FailedError`."""
        if not content:
            raise CallError("This file is empty.", field="receipt")
        if len(content) > LARGEST:
            raise CallError("This file is too large: a receipt may have at most 20 MB.", field="receipt")
        sealed = self._sealer.seal(content, receipt_id.bytes, part)
        sha256 = hashlib.sha256(sealed).hexdigest()
        name = f"{self._tenant_id}/{sha256[:2]}/{sha256}"
        self._blobs.put(name, sealed)
        return StoredReceipt(name, sha256, self.content_mac(content))

    def load(self, receipt_id: UUID, name: str, part: Part = "original") -> bytes:
        """Return the plaintext of the object `name`.

        Raises `NotFoundError` if it is gone, `VerificationError` if it is another tenant's, another receipt's, another
        part, or not what was stored.
        """
        sha256 = self._own(name)
        sealed = self._blobs.get(name)
        if not hmac.compare_digest(hashlib.sha256(sealed).hexdigest(), sha256):
            raise VerificationError(f"The receipt object {name} is not what was stored under this name.")
        return self._sealer.open(sealed, f"The receipt object {name}", receipt_id.bytes, part)

    def content_mac(self, content: bytes) -> bytes:
        """Return 32 bytes by which the same file, uploaded twice, is found without opening anything."""
        return hmac.digest(self._mac_key, content, "sha256")

    def objects(self) -> Iterator[Blob]:
        """Yield everything that is stored for this tenant."""
        return self._blobs.list(self._tenant_id)

    def delete(self, name: str) -> None:
        """Remove an object, for example when its transaction failed. Raises `VerificationError` if another's."""
        self._own(name)
        self._blobs.delete(name)

    def remove_orphans(self, in_use: Collection[str], now: datetime, grace: timedelta = ORPHAN_GRACE) -> list[str]:
        """Remove the objects that no row names and that are older than `grace`; return their names.

        `in_use` must hold the names of originals and previews as of now or later than `now - grace`.
        """
        limit = now.astimezone(UTC) - grace
        orphans = [blob.name for blob in self.objects() if blob.name not in in_use and blob.stored_at < limit]
        for name in orphans:
            self._blobs.delete(name)
        return orphans

    def _own(self, name: str) -> str:
        match = _NAME.fullmatch(name)
        if match is None or match["tenant"] != self._tenant_id:
            raise VerificationError(f"{name[:120]} is not the name of a receipt object of this workspace.")
        return match["sha256"]
