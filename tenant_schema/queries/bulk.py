"""Many rows at once, through PostgreSQL's COPY: about ten times as fast as INSERT."""

from collections.abc import Iterable, Sequence
from typing import Any, Final, cast

from psycopg import Connection as Psycopg
from psycopg import sql
from sqlalchemy import Connection, Table

from ..tables import expense

EXPENSE_COLUMNS: Final = (
    "id",
    "member_id",
    "category_id",
    "report_id",
    "state",
    "spent_on",
    "merchant",
    "amount",
    "currency",
    "digits",
    "tax_amount",
    "fx_rate",
    "fx_date",
    "fx_source",
    "base_amount",
    "base_currency",
    "note",
)


def copy_expenses(conn: Connection, rows: Iterable[Sequence[Any]]) -> int:
    """Insert expenses, each a sequence of values in the order of `EXPENSE_COLUMNS`; how many there were."""
    return _copy(conn, expense, EXPENSE_COLUMNS, rows)


def _copy(conn: Connection, table: Table, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
    driver = cast("Psycopg[Any]", conn.connection.driver_connection)
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table.schema or "", table.name), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    count = 0
    with driver.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)
            count += 1
    return count
