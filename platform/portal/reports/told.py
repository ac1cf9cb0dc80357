"""What webhooks tell of a report and of its expenses."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import Connection

from ....tenant_schema.queries import expenses, reports
from ....tenant_schema.queries.expenses import ExpenseRow
from ...webhooks.prompt import announce_each
from ..expenses.told import amount_text, expense_data


def tell(conn: Connection, report_id: UUID, happened: str) -> None:
    """Tell the endpoints that a report was submitted, approved, returned or paid, as it is now."""
    announce_each(f"report.{happened}", lambda: _report(conn, report_id))
    if happened in ("approved", "returned"):
        announce_each(f"expense.{happened}", lambda: _lines(conn, report_id))


def _report(conn: Connection, report_id: UUID) -> Iterator[dict[str, object]]:
    found, lines = reports.by_id(conn, report_id), expenses.of_report(conn, report_id)
    assert found is not None
    yield {
        "report_id": str(report_id),
        "member_id": str(found.member_id),
        "state": found.state,
        "payment": found.payment,
        "expenses": len(lines),
        **_total(lines),
        "approver_id": _text(found.approver_id),
        "decided_by": _text(found.decided_by),
        "submitted_at": _text(found.submitted_at),
        "decided_at": _text(found.decided_at),
        "paid_at": _text(found.paid_at),
    }


def _lines(conn: Connection, report_id: UUID) -> Iterator[dict[str, object]]:
    for row in expenses.of_report(conn, report_id):
        yield expense_data(row.id, row.member_id, row.state, row, report_id)


def _total(lines: list[ExpenseRow]) -> dict[str, object]:
    currency = lines[0].base_currency
    total = sum((line.base_amount for line in lines), Decimal(0))
    return {"amount": amount_text(total, currency), "currency": currency}


def _text(value: UUID | datetime | None) -> str | None:
    return value.isoformat() if isinstance(value, datetime) else str(value) if value else None
