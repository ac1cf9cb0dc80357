"""A copy of a workspace under keys of its own: everything is opened with the old keys and sealed with the new."""

from typing import Any

from sqlalchemy import Column, Connection, RowMapping, Table

from ...config.settings import Settings
from ...tenant_schema.queries import sealed
from ...tenant_schema.tables import receipt
from .blobs import Blobs
from .fields import FieldCipher
from .receipts import ReceiptVault
from .records import TenantKeys

_RECEIPT = ("object", "sha256", "content_mac", "preview_object", "preview_sha256")


def reseal(conn: Connection, settings: Settings, old: TenantKeys, new: TenantKeys, origin: Blobs | None = None) -> int:
    """Reseal every value and receipt of the database behind `conn` from `old` to `new`; return how many rows.

    `conn` is in a transaction of the caller's, as the role that owns the tables. The receipts of `old` stay where they
    are (`origin`: in another store than the settings'); those of `new` are stored before this returns, so a transaction
    that is rolled back leaves orphans for the collector and nothing else. Raises `VerificationError` for a value that
    `old` does not open.
    """
    before, after = FieldCipher(old), FieldCipher(new)
    rows = sum(_reseal_table(conn, table, before, after) for table in sealed.sealed_tables())
    return rows + _reseal_receipts(conn, ReceiptVault(settings, old, origin), ReceiptVault(settings, new))


def _reseal_table(conn: Connection, table: Table, before: FieldCipher, after: FieldCipher) -> int:
    columns = sealed.sealed_columns(table)

    def change(row: RowMapping) -> dict[str, Any]:
        changed: dict[str, Any] = {}
        for column in columns:
            if row[column.name] is not None:
                value = before.open(column, row["id"], row[column.name])
                changed |= _sealed(table, column, row["id"], value, after)
            else:
                changed[column.name] = None
        return changed

    return sealed.rewrite(conn, table, columns, change)


def _sealed(table: Table, column: Column[Any], row_id: Any, value: str, cipher: FieldCipher) -> dict[str, bytes]:
    values = {column.name: cipher.seal(column, row_id, value)}
    index = table.c.get(f"{column.name}_index")
    return values if index is None else values | {index.name: cipher.blind(index, value)}


def _reseal_receipts(conn: Connection, old: ReceiptVault, new: ReceiptVault) -> int:
    def change(row: RowMapping) -> dict[str, Any]:
        stored = new.seal_and_store(row["id"], old.load(row["id"], row["object"]))
        changed = {"object": stored.object, "sha256": stored.sha256, "content_mac": stored.content_mac}
        if row["preview_object"] is None:
            return changed | {"preview_object": None, "preview_sha256": None}
        preview = new.seal_and_store(row["id"], old.load(row["id"], row["preview_object"], "preview"), "preview")
        return changed | {"preview_object": preview.object, "preview_sha256": preview.sha256}

    return sealed.rewrite(conn, receipt, [receipt.c[name] for name in _RECEIPT], change)
