"""The sealed format, version 1: prefix ‖ key id (4 bytes) ‖ nonce (12 bytes) ‖ AES-256-GCM ciphertext and tag.

The header is part of the associated data, so a value under another key id or version does not open. The prefix and the
lengths stand in `tenant_schema/types.py`, because the column type checks them.
"""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ...config.errors import VerificationError
from ...tenant_schema.types import KEY_ID_BYTES, NONCE_BYTES, SEALED_OVERHEAD, SEALED_PREFIX
from .derive import derive
from .records import TenantKeys

_KEY_AT = len(SEALED_PREFIX)
_NONCE_AT = _KEY_AT + KEY_ID_BYTES
_TEXT_AT = _NONCE_AT + NONCE_BYTES


class Sealer:
    """Seals and opens values of one tenant for one purpose; the purposes have unrelated keys."""

    def __init__(self, keys: TenantKeys, purpose: str) -> None:
        """`purpose` is a fixed word such as "fields" or "receipts"."""
        self._tenant_id = keys.tenant_id
        self._header = SEALED_PREFIX + bytes.fromhex(keys.data_key_id)
        self._aead = AESGCM(derive(keys.data_key, purpose))

    def seal(self, content: bytes, *place: str | bytes) -> bytes:
        """Return `content` encrypted and bound to the tenant and to `place`."""
        nonce = os.urandom(NONCE_BYTES)
        return self._header + nonce + self._aead.encrypt(nonce, content, self._associated(place))

    def open(self, sealed: bytes, name: str, *place: str | bytes) -> bytes:
        """Undo `seal`. Raises `VerificationError`, which calls the value `name`, for any other place or content."""
        if len(sealed) < SEALED_OVERHEAD or not sealed.startswith(SEALED_PREFIX):
            raise VerificationError(f"{name} is truncated or was never sealed.")
        if not sealed.startswith(self._header):
            raise VerificationError(f"{name} was sealed with a key that this workspace does not have.")
        try:
            return self._aead.decrypt(sealed[_NONCE_AT:_TEXT_AT], sealed[_TEXT_AT:], self._associated(place))
        except InvalidTag as error:
            raise VerificationError(f"{name} was changed, or belongs to another place.") from error

    def _associated(self, place: tuple[str | bytes, ...]) -> bytes:
        parts = (self._header, self._tenant_id, *place)
        encoded = (part.encode() if isinstance(part, str) else part for part in parts)
        return b"".join(len(part).to_bytes(4) + part for part in encoded)
