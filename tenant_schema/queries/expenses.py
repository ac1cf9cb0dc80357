"""SQL over expenses: one page of the filtered list, one expense, and every change to one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Connection,
    Executable,
    and_,
    bindparam,
    case,
    delete,
    desc,
    func,
    literal,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert as insert_or_ignore

from ..tables import category, expense, expense_receipt, report
from .filters import ExpenseFilter, Shape, conditions, parameters, shape_of

EDITABLE = ("draft", "returned")


@dataclass(frozen=True, slots=True)
class ExpenseRow:
    """One expense as lists show it. `state` is "paid" for an approved one whose report is paid."""

    id: UUID
    member_id: UUID
    category_id: UUID
    category: str
    report_id: UUID | None
    state: str
    spent_on: date
    merchant: str
    amount: Decimal
    currency: str
    base_amount: Decimal
    base_currency: str
    version: int
    receipts: int
    receipt_id: UUID | None


@dataclass(frozen=True, slots=True)
class Expense:
    """One expense with everything that belongs to it. `note` is sealed; `stored_state` is what the column holds."""

    id: UUID
    member_id: UUID
    category_id: UUID
    category: str
    report_id: UUID | None
    state: str
    stored_state: str
    spent_on: date
    merchant: str
    amount: Decimal
    currency: str
    tax_amount: Decimal | None
    fx_rate: Decimal
    fx_date: date | None
    fx_source: str | None
    base_amount: Decimal
    base_currency: str
    note: bytes | None
    version: int
    created_at: datetime
    changed_at: datetime

    @property
    def editable(self) -> bool:
        """Whether its owner may still change it."""
        return self.stored_state in EDITABLE


@dataclass(frozen=True, slots=True)
class LockedExpense:
    """What a transition needs to know of an expense that it has locked. `state` is what the column holds."""

    id: UUID
    member_id: UUID
    state: str
    report_id: UUID | None
    merchant: str
    base_currency: str


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page begins: after (older than) or before (newer than) one row of the list."""

    spent_on: date
    id: UUID
    backwards: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """One page, newest first, and whether there are older and newer ones."""

    rows: tuple[ExpenseRow, ...]
    older: bool
    newer: bool


_SHOWN_STATE = case((report.c.payment == "paid", literal("paid")), else_=expense.c.state)
_RECEIPTS = select(func.count()).where(expense_receipt.c.expense_id == expense.c.id).scalar_subquery()
_FIRST_RECEIPT = (
    select(expense_receipt.c.receipt_id)
    .where(expense_receipt.c.expense_id == expense.c.id)
    .order_by(expense_receipt.c.position, expense_receipt.c.receipt_id)
    .limit(1)
    .scalar_subquery()
)
_JOINED = expense.join(category).outerjoin(report, expense.c.report_id == report.c.id)
LISTED = (
    expense.c.id,
    expense.c.member_id,
    expense.c.category_id,
    category.c.name,
    expense.c.report_id,
    _SHOWN_STATE,
    expense.c.spent_on,
    expense.c.merchant,
    expense.c.amount,
    expense.c.currency,
    expense.c.base_amount,
    expense.c.base_currency,
    expense.c.version,
    _RECEIPTS,
    _FIRST_RECEIPT,
)
_WHOLE = (
    expense.c.id,
    expense.c.member_id,
    expense.c.category_id,
    category.c.name,
    expense.c.report_id,
    _SHOWN_STATE,
    expense.c.state,
    expense.c.spent_on,
    expense.c.merchant,
    expense.c.amount,
    expense.c.currency,
    expense.c.tax_amount,
    expense.c.fx_rate,
    expense.c.fx_date,
    expense.c.fx_source,
    expense.c.base_amount,
    expense.c.base_currency,
    expense.c.note,
    expense.c.version,
    expense.c.created_at,
    expense.c.changed_at,
)
_OF_REPORT = (
    select(*LISTED)
    .select_from(_JOINED)
    .where(expense.c.report_id == bindparam("report"))
    .order_by(desc(expense.c.spent_on), desc(expense.c.id))
)


def page(conn: Connection, chosen: ExpenseFilter, cursor: Cursor | None = None, size: int = 50) -> Page:
    """One page of what `chosen` names, newest first."""
    backwards = cursor is not None and cursor.backwards
    values = parameters(chosen) | {"size": size + 1}
    if cursor is not None:
        values |= {"at_day": cursor.spent_on, "at_id": cursor.id}
    found = [ExpenseRow(*row) for row in conn.execute(_page(shape_of(chosen), cursor is not None, backwards), values)]
    more = len(found) > size
    rows = tuple(reversed(found[:size]) if backwards else found[:size])
    return Page(rows, older=more or backwards, newer=more if backwards else cursor is not None)


def visible(conn: Connection, expense_id: UUID, viewer: ExpenseFilter) -> Expense | None:
    """The expense, if `viewer` reaches it; None otherwise, as for one that does not exist."""
    row = conn.execute(_one(shape_of(viewer)), parameters(viewer) | {"expense": expense_id}).first()
    return Expense(*row) if row else None


def neighbours(conn: Connection, chosen: ExpenseFilter, at: Expense) -> tuple[UUID | None, UUID | None]:
    """The next newer and the next older expense of the same filtered list."""
    found: list[UUID | None] = []
    for backwards in (True, False):
        rows = page(conn, chosen, Cursor(at.spent_on, at.id, backwards), size=1).rows
        found.append(rows[0].id if rows else None)
    return found[0], found[1]


def of_report(conn: Connection, report_id: UUID) -> list[ExpenseRow]:
    """The lines of a report, newest first."""
    return [ExpenseRow(*row) for row in conn.execute(_OF_REPORT, {"report": report_id})]


def create(conn: Connection, values: Mapping[str, Any]) -> bool:
    """Insert one expense; False if its id is there already (the form was sent twice)."""
    statement = insert_or_ignore(expense).values(**values).on_conflict_do_nothing(index_elements=[expense.c.id])
    return conn.execute(statement.returning(expense.c.id)).first() is not None


def change(conn: Connection, expense_id: UUID, version: int, values: Mapping[str, Any]) -> bool:
    """Save `values` if the expense may still be changed and nobody has saved it since `version`; else False."""
    statement = (
        update(expense)
        .where(expense.c.id == expense_id, expense.c.version == version, expense.c.state.in_(EDITABLE))
        .values(**values, version=version + 1, changed_at=func.now())
    )
    return conn.execute(statement).rowcount == 1


def remove(conn: Connection, expense_id: UUID) -> bool:
    """Delete the expense if it may still be changed; its receipts stay, unattached."""
    statement = delete(expense).where(expense.c.id == expense_id, expense.c.state.in_(EDITABLE))
    return conn.execute(statement).rowcount == 1


def lock(conn: Connection, ids: Sequence[UUID]) -> list[LockedExpense]:
    """Lock those of `ids` that exist, in one order for all, so that two transitions cannot cross."""
    e = expense.c
    columns = (e.id, e.member_id, e.state, e.report_id, e.merchant, e.base_currency)
    statement = select(*columns).where(e.id.in_(ids)).order_by(e.id).with_for_update()
    return [LockedExpense(*row) for row in conn.execute(statement)]


def move(conn: Connection, ids: Sequence[UUID], state: str, report_id: UUID | None) -> int:
    """Put expenses that may be changed into `report_id` with `state`; how many were moved."""
    statement = (
        update(expense)
        .where(expense.c.id.in_(ids), expense.c.state.in_(EDITABLE))
        .values(state=state, report_id=report_id, version=expense.c.version + 1, changed_at=func.now())
    )
    return conn.execute(statement).rowcount


def set_state_of_report(conn: Connection, report_id: UUID, state: str, *, release: bool = False) -> int:
    """Move a submitted report's lines to `state`, and out of the report where `release`; how many there were."""
    values: dict[str, Any] = {"state": state, "version": expense.c.version + 1, "changed_at": func.now()}
    if release:
        values["report_id"] = None
    statement = update(expense).where(expense.c.report_id == report_id, expense.c.state == "submitted").values(**values)
    return conn.execute(statement).rowcount


def last_rates(conn: Connection, base_currency: str, limit: int = 500) -> dict[str, Decimal]:
    """The latest exchange rate used for each foreign currency, among the newest `limit` expenses in one."""
    newest = (
        select(expense.c.currency, expense.c.fx_rate, expense.c.spent_on, expense.c.id)
        .where(and_(expense.c.base_currency == base_currency, expense.c.currency != base_currency))
        .order_by(desc(expense.c.spent_on), desc(expense.c.id))
        .limit(limit)
    )
    found: dict[str, Decimal] = {}
    for row in conn.execute(newest):
        found.setdefault(row.currency, row.fx_rate)
    return found


def twins(conn: Connection, of: Expense) -> list[UUID]:
    """Other expenses of the same member, merchant, day, amount and currency."""
    statement = select(expense.c.id).where(
        expense.c.member_id == of.member_id,
        expense.c.spent_on == of.spent_on,
        expense.c.amount == of.amount,
        expense.c.currency == of.currency,
        func.lower(expense.c.merchant) == of.merchant.lower(),
        expense.c.id != of.id,
    )
    return list(conn.scalars(statement))


@lru_cache(maxsize=512)
def _page(shape: Shape, placed: bool, backwards: bool) -> Executable:
    place = tuple_(expense.c.spent_on, expense.c.id)
    statement = select(*LISTED).select_from(_JOINED).where(conditions(shape)).limit(bindparam("size"))
    if placed:
        at = tuple_(bindparam("at_day", type_=expense.c.spent_on.type), bindparam("at_id", type_=expense.c.id.type))
        statement = statement.where(place > at if backwards else place < at)
    if backwards:
        return statement.order_by(expense.c.spent_on, expense.c.id)
    return statement.order_by(desc(expense.c.spent_on), desc(expense.c.id))


@lru_cache(maxsize=512)
def _one(shape: Shape) -> Executable:
    return select(*_WHOLE).select_from(_JOINED).where(expense.c.id == bindparam("expense"), conditions(shape))
