"""Which expenses a query is about: a filter, and who looks. Statements are built once for each shape of filter.

The viewer's reach is part of every statement, so no query can forget it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, and_, bindparam, false, or_, select, true

from ..tables import approval_step, expense, report

OPEN_STATES: Final = ("draft", "submitted", "returned")
SHOWN_STATES: Final = (*OPEN_STATES, "approved", "paid")  # what a person sees; paid is approved and paid out


@dataclass(frozen=True, slots=True)
class ExpenseFilter:
    """`reach` is "own", "assigned" (one's own, and where one is an approver) or "all"; anything else reaches nothing.

    `least` and `most` compare with the amount in the workspace's currency. `base_currency` keeps sums apart where that
    has changed. Empty means: not filtered by this.
    """

    viewer: UUID
    reach: str
    text: str = ""
    categories: tuple[UUID, ...] = ()
    states: tuple[str, ...] = ()
    members: tuple[UUID, ...] = ()
    since: date | None = None
    until: date | None = None
    least: Decimal | None = None
    most: Decimal | None = None
    base_currency: str = ""


Shape = frozenset[str]


def shape_of(chosen: ExpenseFilter) -> Shape:
    """The names of the conditions that `chosen` needs: equal shapes share one statement."""
    names = {f"reach {chosen.reach}" if chosen.reach in ("own", "assigned", "all") else "reach none"}
    names |= {name for name in ("text", "categories", "members", "base_currency") if getattr(chosen, name)}
    names |= {name for name in ("since", "until", "least", "most") if getattr(chosen, name) is not None}
    if chosen.states:
        names |= {"states"} | {f"state {state}" for state in chosen.states if state in ("approved", "paid")}
    return frozenset(names)


def conditions(shape: Shape) -> ColumnElement[bool]:
    """The conditions of `shape`, with a bound parameter for each value that `parameters` gives."""
    found = [made for name, made in _CONDITIONS.items() if name in shape]
    if "states" in shape:
        found.append(_states(shape))
    return and_(true(), *found)


def parameters(chosen: ExpenseFilter) -> dict[str, Any]:
    """Values for the bound parameters of `chosen`'s shape."""
    return {
        "viewer": chosen.viewer,
        "text": f"%{escape_like(chosen.text)}%",
        "categories": list(chosen.categories),
        "members": list(chosen.members),
        "states": [state for state in chosen.states if state in OPEN_STATES],
        "since": chosen.since,
        "until": chosen.until,
        "base_currency": chosen.base_currency,
        "least": chosen.least,
        "most": chosen.most,
    }


def escape_like(text: str) -> str:
    r"""`text` for a LIKE pattern whose escape character is `\`."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _assigned() -> ColumnElement[bool]:
    mine = select(approval_step.c.report_id).where(approval_step.c.approver_id == bindparam("viewer"))
    return or_(expense.c.member_id == bindparam("viewer"), expense.c.report_id.in_(mine))


def _states(shape: Iterable[str]) -> ColumnElement[bool]:
    paid = expense.c.report_id.in_(select(report.c.id).where(report.c.payment == "paid"))
    chosen: list[ColumnElement[bool]] = [expense.c.state.in_(bindparam("states", expanding=True))]
    if "state approved" in shape and "state paid" in shape:
        chosen.append(expense.c.state == "approved")
    elif "state approved" in shape:
        chosen.append(and_(expense.c.state == "approved", ~paid))
    elif "state paid" in shape:
        chosen.append(and_(expense.c.state == "approved", paid))
    return or_(*chosen)


_CONDITIONS: dict[str, ColumnElement[bool]] = {
    "reach none": false(),
    "reach own": expense.c.member_id == bindparam("viewer"),
    "reach assigned": _assigned(),
    "text": expense.c.merchant.ilike(bindparam("text"), escape="\\"),
    "categories": expense.c.category_id.in_(bindparam("categories", expanding=True)),
    "members": expense.c.member_id.in_(bindparam("members", expanding=True)),
    "base_currency": expense.c.base_currency == bindparam("base_currency"),
    "since": expense.c.spent_on >= bindparam("since"),
    "until": expense.c.spent_on <= bindparam("until"),
    "least": expense.c.base_amount >= bindparam("least"),
    "most": expense.c.base_amount <= bindparam("most"),
}
