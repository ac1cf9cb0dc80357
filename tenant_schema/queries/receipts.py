"""SQL over receipts and what they prove."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, bindparam, delete, exists, func, or_, select
from sqlalchemy.dialects.postgresql import insert

from ..tables import expense, expense_receipt, receipt
from .filters import ExpenseFilter, conditions, parameters, shape_of


@dataclass(frozen=True, slots=True)
class Receipt:
    """One receipt; `file_name` is sealed. Sizes in bytes and pixels; `pages` are not counted."""

    id: UUID
    uploaded_by: UUID
    file_name: bytes
    media_type: str
    size: int
    object: str
    preview_object: str | None
    width: int | None
    height: int | None
    created_at: datetime


_R = receipt.c
_COLUMNS = (
    _R.id,
    _R.uploaded_by,
    _R.file_name,
    _R.media_type,
    _R.size,
    _R.object,
    _R.preview_object,
    _R.width,
    _R.height,
    _R.created_at,
)
_UNATTACHED = ~exists().where(expense_receipt.c.receipt_id == _R.id)
_OF_EXPENSE = (
    select(*_COLUMNS)
    .join(expense_receipt, expense_receipt.c.receipt_id == _R.id)
    .where(expense_receipt.c.expense_id == bindparam("expense"))
    .order_by(expense_receipt.c.position, _R.id)
)
_LOOSE = select(*_COLUMNS).where(_R.uploaded_by == bindparam("member"), _UNATTACHED).order_by(_R.created_at, _R.id)


def add(conn: Connection, values: Mapping[str, Any]) -> None:
    """Insert one receipt; its sealed bytes are already durable in the store."""
    conn.execute(insert(receipt).values(**values))


def add_many(conn: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert many receipts that have the same columns."""
    if rows:
        conn.execute(insert(receipt), [dict(row) for row in rows])


def visible(conn: Connection, receipt_id: UUID, viewer: ExpenseFilter) -> Receipt | None:
    """The receipt, if `viewer` uploaded it or reaches an expense that it proves; None otherwise."""
    shape = shape_of(viewer)
    proves = (
        exists()
        .where(expense_receipt.c.receipt_id == _R.id, expense_receipt.c.expense_id == expense.c.id, conditions(shape))
        .correlate(receipt)
    )
    reached = [_R.uploaded_by == bindparam("viewer"), proves]
    if viewer.reach == "all":
        reached.append(_UNATTACHED)
    statement = select(*_COLUMNS).where(_R.id == bindparam("receipt"), or_(*reached))
    row = conn.execute(statement, parameters(viewer) | {"receipt": receipt_id}).first()
    return Receipt(*row) if row else None


def of_expense(conn: Connection, expense_id: UUID) -> list[Receipt]:
    """The receipts of one expense in their order."""
    return [Receipt(*row) for row in conn.execute(_OF_EXPENSE, {"expense": expense_id})]


def loose(conn: Connection, member_id: UUID) -> list[Receipt]:
    """What `member_id` has uploaded and not yet attached to an expense, oldest first."""
    return [Receipt(*row) for row in conn.execute(_LOOSE, {"member": member_id})]


def same_content(conn: Connection, content_mac: bytes) -> list[tuple[UUID, UUID, UUID | None]]:
    """Receipts with the same content: (receipt, who uploaded it, one expense that it proves)."""
    link = select(expense_receipt.c.expense_id).where(expense_receipt.c.receipt_id == _R.id).limit(1).scalar_subquery()
    statement = select(_R.id, _R.uploaded_by, link).where(_R.content_mac == content_mac).order_by(_R.id)
    return [(row[0], row[1], row[2]) for row in conn.execute(statement)]


def attach(conn: Connection, expense_id: UUID, receipt_ids: Sequence[UUID]) -> None:
    """Let the receipts prove the expense, after those that already do; twice is once."""
    taken = select(func.coalesce(func.max(expense_receipt.c.position) + 1, 0)).where(
        expense_receipt.c.expense_id == expense_id
    )
    first = conn.scalar(taken) or 0
    rows = [
        {"expense_id": expense_id, "receipt_id": receipt_id, "position": first + n}
        for n, receipt_id in enumerate(receipt_ids)
    ]
    if rows:
        conn.execute(insert(expense_receipt).on_conflict_do_nothing(), rows)


def attach_many(conn: Connection, pairs: Sequence[tuple[UUID, UUID]]) -> None:
    """Link (expense, receipt) pairs of new expenses."""
    if pairs:
        rows = [{"expense_id": expense_id, "receipt_id": receipt_id} for expense_id, receipt_id in pairs]
        conn.execute(insert(expense_receipt).on_conflict_do_nothing(), rows)


def detach(conn: Connection, expense_id: UUID, receipt_id: UUID) -> bool:
    """Let the receipt no longer prove the expense; False if it did not."""
    statement = delete(expense_receipt).where(
        expense_receipt.c.expense_id == expense_id, expense_receipt.c.receipt_id == receipt_id
    )
    return conn.execute(statement).rowcount == 1


def remove_loose(conn: Connection, receipt_id: UUID, member_id: UUID) -> bool:
    """Delete a receipt that proves nothing and belongs to `member_id`. Its sealed bytes become an orphan."""
    statement = delete(receipt).where(_R.id == receipt_id, _R.uploaded_by == member_id, _UNATTACHED)
    return conn.execute(statement).rowcount == 1


def objects_in_use(conn: Connection) -> set[str]:
    """The names of all sealed objects that a row names, originals and previews."""
    return {name for row in conn.execute(select(_R.object, _R.preview_object)) for name in row if name is not None}
