"""SQL over every sealed value of a workspace, for the day when all of them change their key."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Column, Connection, RowMapping, Table, bindparam, select, text, update

from ..tables import metadata
from ..types import Sealed

BATCH = 500

Change = Callable[[RowMapping], Mapping[str, Any]]


def sealed_tables() -> list[Table]:
    """Return the tables that have a sealed column."""
    return [table for table in metadata.sorted_tables if sealed_columns(table)]


def sealed_columns(table: Table) -> list[Column[Any]]:
    """Return the sealed columns of a table."""
    return [column for column in table.c if isinstance(column.type, Sealed)]


def rewrite(conn: Connection, table: Table, columns: Sequence[Column[Any]], change: Change) -> int:
    """Replace `columns` of every row by what `change` makes of the row (`id` and these columns); return how many rows.

    Runs as the tables' owner. The triggers rest meanwhile: what is approved keeps its content, not its ciphertext.
    """
    rows = 0
    statement = update(table).where(table.c.id == bindparam("row_id"))
    conn.execute(text(f"ALTER TABLE {table.fullname} DISABLE TRIGGER USER"))
    for batch in _batches(conn, table, columns):
        conn.execute(statement, [{"row_id": row["id"], **change(row)} for row in batch])
        rows += len(batch)
    conn.execute(text(f"ALTER TABLE {table.fullname} ENABLE TRIGGER USER"))
    return rows


def _batches(conn: Connection, table: Table, columns: Sequence[Column[Any]]) -> Iterator[Sequence[RowMapping]]:
    statement = select(table.c.id, *columns).order_by(table.c.id).limit(BATCH)
    after: UUID | None = None
    while batch := conn.execute(statement if after is None else statement.where(table.c.id > after)).mappings().all():
        yield batch
        after = batch[-1]["id"]
