"""SQL of the demo: bulk inserts, and the mark that says that a workspace has its demo data."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, func, select, update
from sqlalchemy.dialects.postgresql import insert

from ...tenant_schema.tables import approval_step, category, expense, invitation, member, report, setting
from .workspace import Rows

_MARK = "demo"


def is_loaded(conn: Connection) -> bool:
    """Whether the workspace has its demo data. The mark is set in the transaction that inserts them."""
    return conn.execute(select(setting.c.key).where(setting.c.key == _MARK)).first() is not None


def mark_loaded(conn: Connection, detail: Mapping[str, Any]) -> None:
    """Say that the demo data are there, and where they come from."""
    conn.execute(insert(setting), {"key": _MARK, "value": dict(detail)})


def insert_members(conn: Connection, rows: Sequence[Mapping[str, Any]], approvers: Mapping[UUID, UUID]) -> None:
    """Insert members, then who approves whom; nobody needs to accept an invitation any more."""
    conn.execute(insert(member), [dict(row) for row in rows])
    for member_id, approver_id in approvers.items():
        conn.execute(update(member).where(member.c.id == member_id).values(approver_id=approver_id))
    conn.execute(update(invitation).where(invitation.c.accepted_at.is_(None)).values(accepted_at=func.now()))


def use_only(conn: Connection, names: Sequence[str]) -> None:
    """Offer no other categories than `names` for new expenses."""
    conn.execute(update(category).values(active=category.c.name.in_(names)))


def insert_spending(conn: Connection, rows: Rows) -> None:
    """Insert reports with their steps, then expenses."""
    for table, values in ((report, rows.reports), (approval_step, rows.steps), (expense, rows.expenses)):
        if values:
            conn.execute(insert(table), values)


def insert_expenses(conn: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert expenses that have the same columns."""
    if rows:
        conn.execute(insert(expense), [dict(row) for row in rows])
