"""Encryption of single columns, and look-up by equality without decrypting."""

import hmac
from typing import cast
from uuid import UUID

from sqlalchemy import Column, FromClause, Table

from .derive import derive
from .records import TenantKeys
from .sealing import Sealer


class FieldCipher:
    """Seals the personal data of one tenant. A value opens only at its tenant, table, column and row."""

    def __init__(self, keys: TenantKeys) -> None:
        """`keys` come from the key store."""
        self._sealer = Sealer(keys, "fields")
        self._blind_key = keys.blind_key

    def seal(self, column: Column[bytes], row_id: UUID, text: str) -> bytes:
        """Return `text` sealed for this column of this row."""
        return self._sealer.seal(text.encode(), *_names(column), row_id.bytes)

    def open(self, column: Column[bytes], row_id: UUID, sealed: bytes) -> str:
        """Undo `seal`. Raises `VerificationError` for a value of another row, column, table, tenant or key."""
        table, name = _names(column)
        return self._sealer.open(sealed, f"{table}.{name}", table, name, row_id.bytes).decode()

    def blind(self, column: Column[bytes], value: str) -> bytes:
        """Return 32 bytes that are equal for equal values of this `*_index` column: HMAC-SHA-256, key per column.

        Normalise first (`normalise_email`): “A@b.example” and “a@b.example” have nothing in common here.
        """
        table, name = _names(column)
        if not name.endswith("_index"):
            raise TypeError(f"{table}.{name} is no blind index; pass the *_index column")
        return hmac.digest(derive(self._blind_key, "blind index", table, name), value.encode(), "sha256")


def _names(column: Column[bytes]) -> tuple[str, str]:
    table = cast("FromClause", column.table)
    if not isinstance(table, Table):
        raise TypeError("a sealed value is bound to a table's own column, not to an alias of it")
    return table.name, column.name
