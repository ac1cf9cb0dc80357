"""SQL over reports and their approval steps."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    bindparam,
    case,
    false,
    func,
    insert,
    literal,
    or_,
    select,
    true,
    tuple_,
    update,
)

from ..ids import new_uuid7
from ..tables import approval_step, expense, expense_receipt, member, report


@dataclass(frozen=True, slots=True)
class Report:
    """One report. `return_reason` is sealed; `approver_id` of None means: any Admin or Owner."""

    id: UUID
    member_id: UUID
    title: str
    state: str
    payment: str
    return_reason: bytes | None
    version: int
    submitted_at: datetime
    decided_at: datetime | None
    paid_at: datetime | None
    approver_id: UUID | None
    decided_by: UUID | None

    @property
    def shown_state(self) -> str:
        """The state as a person reads it."""
        return "paid" if self.payment == "paid" else self.state


@dataclass(frozen=True, slots=True)
class QueueRow:
    """One report that waits for a decision, or was decided."""

    id: UUID
    member_id: UUID
    title: str
    state: str
    submitted_at: datetime
    decided_at: datetime | None
    approver_id: UUID | None
    version: int
    count: int
    amount: Decimal
    base_currency: str | None
    without_receipt: int
    receipt_id: UUID | None


@dataclass(frozen=True, slots=True)
class ReportFilter:
    """`reach` is "own", "assigned" or "all"; anything else reaches nothing. Empty means: not filtered by this."""

    viewer: UUID
    reach: str
    states: tuple[str, ...] = ()
    payments: tuple[str, ...] = ()
    members: tuple[UUID, ...] = ()


_R, _S, _E = report.c, approval_step.c, expense.c
_LAST_STEP = select(func.max(_S.position)).where(_S.report_id == _R.id).correlate(report).scalar_subquery()
_JOINED = report.join(approval_step, (_S.report_id == _R.id) & (_S.position == _LAST_STEP))
_COLUMNS = (
    _R.id,
    _R.member_id,
    _R.title,
    _R.state,
    _R.payment,
    _R.return_reason,
    _R.version,
    _R.submitted_at,
    _R.decided_at,
    _R.paid_at,
    _S.approver_id,
    _S.decided_by,
)
_ONE = select(*_COLUMNS).select_from(_JOINED).where(_R.id == bindparam("report"))


def create(conn: Connection, *, report_id: UUID, member_id: UUID, title: str, approver_id: UUID | None) -> None:
    """Insert a submitted report with its one approval step."""
    conn.execute(insert(report).values(id=report_id, member_id=member_id, title=title, state="submitted"))
    conn.execute(insert(approval_step).values(id=new_uuid7(), report_id=report_id, position=1, approver_id=approver_id))


def by_id(conn: Connection, report_id: UUID) -> Report | None:
    """The report, whoever asks: the caller decides what may be shown."""
    row = conn.execute(_ONE, {"report": report_id}).first()
    return Report(*row) if row else None


def page(conn: Connection, chosen: ReportFilter, after: tuple[datetime, UUID] | None, size: int) -> list[Report]:
    """Up to `size` of the reports that `chosen` names, latest first, those after the one submitted then."""
    statement = select(*_COLUMNS).select_from(_JOINED).where(_reached(chosen)).limit(size)
    for column, values in ((_R.state, chosen.states), (_R.payment, chosen.payments), (_R.member_id, chosen.members)):
        if values:
            statement = statement.where(column.in_(values))
    if after is not None:
        place = tuple_(literal(after[0], _R.submitted_at.type), literal(after[1], _R.id.type))
        statement = statement.where(tuple_(_R.submitted_at, _R.id) < place)
    rows = conn.execute(statement.order_by(_R.submitted_at.desc(), _R.id.desc()))
    return [Report(*row) for row in rows]


def lock(conn: Connection, report_id: UUID) -> Report | None:
    """The report, locked until the transaction ends, so that two decisions cannot cross."""
    if conn.execute(select(_R.id).where(_R.id == report_id).with_for_update()).first() is None:
        return None
    return by_id(conn, report_id)


def set_state(conn: Connection, report_id: UUID, state: str, **values: Any) -> None:
    """Move the report to `state`, setting `values` beside it."""
    statement = update(report).where(_R.id == report_id).values(state=state, version=_R.version + 1, **values)
    conn.execute(statement)


def set_payment(conn: Connection, report_id: UUID, payment: str, paid_at: datetime | None) -> None:
    """Note that the report is due or paid."""
    statement = update(report).where(_R.id == report_id).values(payment=payment, paid_at=paid_at)
    conn.execute(statement)


def decide(conn: Connection, report_id: UUID, decided_by: UUID, decision: str) -> None:
    """Note who decided the report's open step, and how."""
    conn.execute(
        update(approval_step)
        .where(_S.report_id == report_id, _S.decision.is_(None))
        .values(decided_by=decided_by, decision=decision, decided_at=func.now())
    )


def count_waiting(conn: Connection, approver: UUID, reach: str) -> int:
    """How many reports wait for `approver`; see `waiting`."""
    return conn.execute(_COUNT_WAITING[_any_approver(reach)], {"approver": approver}).scalar_one()


def waiting(conn: Connection, approver: UUID, reach: str, *, everyone: bool = False) -> list[QueueRow]:
    """Reports that wait for `approver`, oldest first.

    `reach` "all" adds those assigned to nobody; `everyone` (for who may bypass an approver) adds all others'. One's own
    never wait for oneself.
    """
    statement = _QUEUE.where(_R.state == "submitted", _R.member_id != bindparam("approver"))
    if not everyone:
        statement = statement.where(_assigned(any_approver=_any_approver(reach)))
    return [QueueRow(*row) for row in conn.execute(statement.order_by(_R.submitted_at, _R.id), {"approver": approver})]


def decided_by(conn: Connection, approver: UUID, limit: int = 20) -> list[QueueRow]:
    """What `approver` has decided last, newest first."""
    statement = _QUEUE.where(_S.decided_by == bindparam("approver")).order_by(_R.decided_at.desc(), _R.id).limit(limit)
    return [QueueRow(*row) for row in conn.execute(statement, {"approver": approver})]


def is_approver_of(conn: Connection, report_id: UUID, member_id: UUID) -> bool:
    """Whether `member_id` is or was assigned to a step of the report."""
    statement = select(_S.id).where(_S.report_id == report_id, _S.approver_id == member_id).limit(1)
    return conn.execute(statement).first() is not None


def approver_of(conn: Connection, member_id: UUID, roles: Sequence[str]) -> UUID | None:
    """The approver assigned to `member_id`, if still active in one of `roles` and somebody else.

    Their row is locked: who is removed at this moment hands over afterwards what is assigned to them here.
    """
    approver = member.alias("approver")
    statement = (
        select(approver.c.id)
        .join(member, member.c.approver_id == approver.c.id)
        .where(
            member.c.id == member_id,
            approver.c.id != member_id,
            approver.c.state == "active",
            approver.c.role.in_(roles),
        )
        .with_for_update(read=True, of=approver)
    )
    return conn.scalar(statement)


def others_in(conn: Connection, member_id: UUID, roles: Sequence[str]) -> int:
    """How many active members other than `member_id` have one of `roles`."""
    statement = select(func.count()).where(
        member.c.id != member_id, member.c.state == "active", member.c.role.in_(roles)
    )
    return conn.scalar(statement) or 0


def _reached(chosen: ReportFilter) -> ColumnElement[bool]:
    own = _R.member_id == chosen.viewer
    if chosen.reach == "all":
        return true()
    if chosen.reach == "assigned":
        step = approval_step.alias("assigned_step")
        assigned = select(step.c.report_id).where(step.c.approver_id == chosen.viewer)
        return or_(own, _R.id.in_(assigned))
    return own if chosen.reach == "own" else false()


def _any_approver(reach: str) -> bool:
    return reach == "all"


def _assigned(*, any_approver: bool) -> ColumnElement[bool]:
    mine = _S.approver_id == bindparam("approver")
    return or_(mine, _S.approver_id.is_(None)) if any_approver else mine


_HAS_RECEIPT = select(expense_receipt.c.receipt_id).where(expense_receipt.c.expense_id == _E.id).exists()
_LINES = (
    select(
        func.count().label("count"),
        func.coalesce(func.sum(_E.base_amount), 0).label("amount"),
        func.min(_E.base_currency).label("base_currency"),
        func.count(case((_HAS_RECEIPT, None), else_=literal(1))).label("without_receipt"),
    )
    .where(_E.report_id == _R.id)
    .correlate(report)
    .lateral("lines")
)
_THUMBNAIL = (
    select(expense_receipt.c.receipt_id)
    .join(expense, _E.id == expense_receipt.c.expense_id)
    .where(_E.report_id == _R.id)
    .order_by(_E.id, expense_receipt.c.position)
    .limit(1)
    .correlate(report)
    .scalar_subquery()
)
_QUEUE = select(
    _R.id,
    _R.member_id,
    _R.title,
    _R.state,
    _R.submitted_at,
    _R.decided_at,
    _S.approver_id,
    _R.version,
    _LINES.c.count,
    _LINES.c.amount,
    _LINES.c.base_currency,
    _LINES.c.without_receipt,
    _THUMBNAIL,
).select_from(_JOINED.join(_LINES, true()))
_COUNT_WAITING = {
    any_approver: select(func.count())
    .select_from(_JOINED)
    .where(_R.state == "submitted", _R.member_id != bindparam("approver"), _assigned(any_approver=any_approver))
    for any_approver in (True, False)
}
