"""Column types of a tenant's database.

`Sealed` knows only how sealed bytes begin. Sealing and opening need keys, so they live in `platform/keys/fields.py`.
"""

from typing import Any

from sqlalchemy import Dialect, LargeBinary
from sqlalchemy.types import TypeDecorator

SEALED_PREFIX = b"\x93SR\x01"  # first byte is no UTF-8 start; last byte is the format version
KEY_ID_BYTES = 4
NONCE_BYTES = 12
TAG_BYTES = 16
SEALED_OVERHEAD = len(SEALED_PREFIX) + KEY_ID_BYTES + NONCE_BYTES + TAG_BYTES


class Sealed(TypeDecorator[bytes]):
    """Ciphertext of one value, bound to its tenant, table, column and row.

    Refuses to send anything to the database that does not look sealed, so that forgetting to seal is an error and not a
    leak. The error does not repeat the value.
    """

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> bytes | None:  # noqa: ARG002  # the overridden signature
        """Pass sealed bytes and None; raise `TypeError` for everything else."""
        if value is None:
            return None
        if not isinstance(value, bytes) or len(value) < SEALED_OVERHEAD or not value.startswith(SEALED_PREFIX):
            raise TypeError(
                f"a sealed column takes the bytes that FieldCipher.seal returns, not {type(value).__name__}"
            )
        return value
