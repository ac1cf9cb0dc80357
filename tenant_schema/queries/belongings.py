"""SQL that removes what belongs to one person beside the member's own row: devices, factors, tokens, cards.

Runs as the tables' owner. Sealing is the caller's; nothing here opens a value.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Column, Connection, Table, bindparam, delete, func, select, update

from ..tables import (
    api_token,
    card,
    challenge,
    device,
    expense,
    idempotency_key,
    incoming_event,
    mail_link,
    passkey,
    permission_use,
    recovery_code,
    session,
    totp,
    webhook_endpoint,
    webhook_event,
)
from . import transfers

_THEIRS = (device, totp, recovery_code, passkey, challenge, mail_link, permission_use, card)
MENTIONING = (webhook_event.c.payload, idempotency_key.c.body)  # where a row that tells of a person goes as a whole


def card_tokens(conn: Connection, member_id: UUID) -> list[str]:
    """Return the processor's names of a member's cards."""
    return list(conn.scalars(select(card.c.token).where(card.c.member_id == member_id)))


def remove(conn: Connection, member_id: UUID) -> None:
    """Remove all that a member alone has, end their tokens and the transfer of ownership with them."""
    unplaced = update(session).where(session.c.member_id == member_id)
    conn.execute(unplaced.values(device_id=None, country=None))
    for table in _THEIRS:
        conn.execute(delete(table).where(table.c.member_id == member_id))
    tokens = select(api_token.c.id).where(api_token.c.member_id == member_id)
    conn.execute(delete(idempotency_key).where(idempotency_key.c.api_token_id.in_(tokens)))
    ended = {"last_address": None, "revoked_at": func.coalesce(api_token.c.revoked_at, func.now())}
    conn.execute(update(api_token).where(api_token.c.member_id == member_id).values(ended))
    transfers.cancel_of(conn, member_id)


def named_by(conn: Connection, member_id: UUID) -> list[tuple[Column[Any], UUID]]:
    """Return the sealed columns, with their rows' ids, in which a member has described something in words."""
    tokens = select(api_token.c.id).where(api_token.c.member_id == member_id)
    endpoints = select(webhook_endpoint.c.id).where(webhook_endpoint.c.created_by == member_id)
    found = [(api_token.c.name, one) for one in conn.scalars(tokens)]
    return found + [(webhook_endpoint.c.description, one) for one in conn.scalars(endpoints)]


def contents(conn: Connection, column: Column[Any]) -> Iterable[tuple[UUID, bytes]]:
    """Yield id and sealed value of every row."""
    table = column.table
    for row in conn.execute(select(table.c.id, column).where(column.is_not(None))):
        yield row[0], row[1]


def events_of(conn: Connection, member_id: UUID) -> list[UUID]:
    """Return the ids of incoming events that became expenses of a member."""
    theirs = select(incoming_event.c.id).join(expense, expense.c.id == incoming_event.c.expense_id)
    return list(conn.scalars(theirs.where(expense.c.member_id == member_id)))


def settle(conn: Connection, ids: Iterable[UUID]) -> None:
    """Note that incoming events are dealt with: what is emptied cannot be entered any more."""
    emptied = update(incoming_event).where(incoming_event.c.id.in_(list(ids)), incoming_event.c.processed_at.is_(None))
    conn.execute(emptied.values(processed_at=func.now(), error=None))


def rewrite(conn: Connection, column: Column[Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """Replace the sealed values of a column: rows of `row_id` and `value`."""
    if rows:
        table: Table = column.table  # pyright: ignore[reportAssignmentType]  # a column of a table, not of a subquery
        statement = update(table).where(table.c.id == bindparam("row_id")).values({column: bindparam("value")})
        conn.execute(statement, rows)


def remove_rows(conn: Connection, column: Column[Any], ids: Sequence[UUID]) -> None:
    """Remove the rows of the column's table that have these ids."""
    if ids:
        conn.execute(delete(column.table).where(column.table.c.id.in_(ids)))  # pyright: ignore[reportArgumentType]
