"""Sums over filtered expenses: the list's totals, spend by month and by category, where one's own money stands."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Date, Executable, case, cast, desc, func, literal, select

from ..tables import category, expense, report
from .filters import ExpenseFilter, Shape, conditions, parameters, shape_of


@dataclass(frozen=True, slots=True)
class CurrencyTotal:
    """What was spent in one currency, and what that is in the workspace's."""

    currency: str
    base_currency: str
    count: int
    amount: Decimal
    base_amount: Decimal


@dataclass(frozen=True, slots=True)
class Totals:
    """Totals of a filtered set. `base` has one sum for each currency that the workspace has ever counted in."""

    count: int
    by_currency: tuple[CurrencyTotal, ...]
    base: tuple[tuple[str, Decimal], ...]


@dataclass(frozen=True, slots=True)
class MonthTotal:
    """Spend in one month, named by its first day."""

    month: date
    count: int
    amount: Decimal


@dataclass(frozen=True, slots=True)
class CategoryTotal:
    """Spend in one category."""

    id: UUID
    name: str
    count: int
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Standing:
    """Number and sum of the expenses in one state; `state` is draft, submitted, returned, approved or paid."""

    state: str
    count: int
    amount: Decimal


def of(conn: Connection, chosen: ExpenseFilter) -> Totals:
    """Totals of everything that `chosen` names, not of one page; the largest currency first."""
    rows = tuple(CurrencyTotal(*row) for row in _run(conn, _by_currency, chosen))
    base: dict[str, Decimal] = {}
    for row in rows:
        base[row.base_currency] = base.get(row.base_currency, Decimal(0)) + row.base_amount
    return Totals(sum(row.count for row in rows), rows, tuple(base.items()))


def by_month(conn: Connection, chosen: ExpenseFilter) -> list[MonthTotal]:
    """Spend in the workspace's currency for each month that has any, oldest first."""
    return [MonthTotal(*row) for row in _run(conn, _by_month, chosen)]


def by_category(conn: Connection, chosen: ExpenseFilter) -> list[CategoryTotal]:
    """Spend in the workspace's currency for each category that has any, largest first."""
    return [CategoryTotal(*row) for row in _run(conn, _by_category, chosen)]


def standing(conn: Connection, chosen: ExpenseFilter) -> dict[str, Standing]:
    """Where the money that `chosen` names stands, by state."""
    return {row[0]: Standing(*row) for row in _run(conn, _standing, chosen)}


def latest_day(conn: Connection, chosen: ExpenseFilter) -> date | None:
    """The day of the newest expense that `chosen` names."""
    statement = _latest_day(shape_of(chosen))
    return conn.execute(statement, parameters(chosen)).scalar()


_COUNT = func.count()
_BASE = func.coalesce(func.sum(expense.c.base_amount), 0)
_MONTH = cast(func.date_trunc("month", expense.c.spent_on), Date)
_SHOWN_STATE = case((report.c.payment == "paid", literal("paid")), else_=expense.c.state)


def _run(conn: Connection, build: Callable[[Shape], Executable], chosen: ExpenseFilter) -> Any:
    return conn.execute(build(shape_of(chosen)), parameters(chosen))


@lru_cache(maxsize=512)
def _by_currency(shape: Shape) -> Executable:
    keys = (expense.c.currency, expense.c.base_currency)
    sums = (_COUNT, func.sum(expense.c.amount), _BASE)
    return select(*keys, *sums).where(conditions(shape)).group_by(*keys).order_by(desc(func.sum(expense.c.base_amount)))


@lru_cache(maxsize=512)
def _by_month(shape: Shape) -> Executable:
    return select(_MONTH.label("month"), _COUNT, _BASE).where(conditions(shape)).group_by("month").order_by("month")


@lru_cache(maxsize=512)
def _by_category(shape: Shape) -> Executable:
    return (
        select(category.c.id, category.c.name, _COUNT, _BASE)
        .select_from(expense.join(category))
        .where(conditions(shape))
        .group_by(category.c.id)
        .order_by(desc(func.sum(expense.c.base_amount)), category.c.name)
    )


@lru_cache(maxsize=512)
def _latest_day(shape: Shape) -> Executable:
    return select(func.max(expense.c.spent_on)).where(conditions(shape))


@lru_cache(maxsize=512)
def _standing(shape: Shape) -> Executable:
    return (
        select(_SHOWN_STATE.label("shown"), _COUNT, _BASE)
        .select_from(expense.outerjoin(report, expense.c.report_id == report.c.id))
        .where(conditions(shape))
        .group_by("shown")
    )
