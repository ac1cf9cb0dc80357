"""What is approved or audited stays as it is, whatever the application tries."""

from collections.abc import Callable
from datetime import date
from typing import Any
from uuid import UUID

import pytest
from member_rows import add_member
from sqlalchemy import Connection, delete, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from strongroom.platform.keys import FieldCipher
from strongroom.tenant_schema.ids import new_uuid7
from strongroom.tenant_schema.queries import audit
from strongroom.tenant_schema.tables import (
    approval_step,
    audit_event,
    category,
    expense,
    expense_receipt,
    receipt,
    report,
)


@pytest.fixture
def ada(conn: Connection, cipher: FieldCipher) -> UUID:
    return add_member(conn, cipher, role="owner")


def add_report(conn: Connection, ada: UUID, state: str) -> UUID:
    row_id = new_uuid7()
    conn.execute(insert(report).values(id=row_id, member_id=ada, title="May", state=state))
    return row_id


def add_expense(conn: Connection, ada: UUID, state: str) -> UUID:
    row_id = new_uuid7()
    values = {
        "id": row_id,
        "member_id": ada,
        "category_id": conn.execute(select(category.c.id).limit(1)).scalar_one(),
        "state": state,
        "spent_on": date(2026, 5, 1),
        "merchant": "Northern Rail",
        "amount": "12.50",
        "currency": "GBP",
        "digits": 2,
        "base_amount": "12.50",
        "base_currency": "GBP",
    }
    conn.execute(insert(expense).values(values))
    return row_id


def attach_receipt(conn: Connection, ada: UUID, expense_id: UUID, cipher: FieldCipher) -> None:
    row_id = new_uuid7()
    values = {
        "id": row_id,
        "uploaded_by": ada,
        "file_name": cipher.seal(receipt.c.file_name, row_id, "a.jpg"),
        "media_type": "image/jpeg",
        "size": 1,
        "object": "x",
        "sha256": "x",
        "content_mac": b"x",
    }
    conn.execute(insert(receipt).values(values))
    conn.execute(insert(expense_receipt).values(expense_id=expense_id, receipt_id=row_id))


def refused(conn: Connection, change: Callable[[], object], sentence: str) -> None:
    savepoint = conn.begin_nested()
    with pytest.raises(IntegrityError, match=sentence):
        change()
    savepoint.rollback()


@pytest.mark.parametrize("values", [{"amount": "99"}, {"merchant": "Pub"}, {"state": "draft"}, {"version": 2}])
def test_an_approved_expense_does_not_change(conn: Connection, ada: UUID, values: dict[str, Any]) -> None:
    row_id = add_expense(conn, ada, "approved")
    change = update(expense).where(expense.c.id == row_id).values(values)
    refused(conn, lambda: conn.execute(change), "approved expense")


def test_an_approved_expense_is_not_deleted(conn: Connection, ada: UUID) -> None:
    row_id = add_expense(conn, ada, "approved")
    refused(conn, lambda: conn.execute(delete(expense).where(expense.c.id == row_id)), "approved expense")


@pytest.mark.parametrize("state", ["draft", "submitted", "returned"])
def test_before_approval_an_expense_changes_and_goes(conn: Connection, ada: UUID, state: str) -> None:
    row_id = add_expense(conn, ada, state)
    conn.execute(update(expense).where(expense.c.id == row_id).values(amount="99", state="submitted"))
    conn.execute(delete(expense).where(expense.c.id == row_id))


def test_approval_itself_is_a_change_that_is_allowed(conn: Connection, ada: UUID) -> None:
    row_id = add_expense(conn, ada, "submitted")
    assert conn.execute(update(expense).where(expense.c.id == row_id).values(state="approved", version=2)).rowcount == 1


@pytest.mark.parametrize("state", ["approved", "closed"])
def test_of_an_approved_report_only_the_payment_changes(conn: Connection, ada: UUID, state: str) -> None:
    row_id = add_report(conn, ada, state)
    one = update(report).where(report.c.id == row_id)
    refused(conn, lambda: conn.execute(one.values(title="June")), "approved report")
    refused(conn, lambda: conn.execute(one.values(state="returned")), "approved report")
    refused(conn, lambda: conn.execute(one.values(member_id=None)), "approved report")
    refused(conn, lambda: conn.execute(delete(report).where(report.c.id == row_id)), "approved report")
    conn.execute(one.values(payment="paid", paid_at=text("now()"), version=report.c.version + 1, state="closed"))


def test_a_submitted_report_can_be_decided(conn: Connection, ada: UUID) -> None:
    row_id = add_report(conn, ada, "submitted")
    conn.execute(update(report).where(report.c.id == row_id).values(state="approved", decided_at=text("now()")))


def test_who_decided_a_report_and_how_stays(conn: Connection, ada: UUID) -> None:
    step = {"id": new_uuid7(), "report_id": add_report(conn, ada, "submitted"), "position": 1}
    conn.execute(insert(approval_step).values(step))
    conn.execute(update(approval_step).values(decided_by=ada, decision="approved"))
    refused(conn, lambda: conn.execute(update(approval_step).values(decision=None)), "decision does not change")
    refused(conn, lambda: conn.execute(delete(approval_step)), "decision does not change")


def test_the_receipts_of_an_approved_expense_stay_with_it(conn: Connection, ada: UUID, cipher: FieldCipher) -> None:
    row_id = add_expense(conn, ada, "draft")
    attach_receipt(conn, ada, row_id, cipher)
    conn.execute(update(expense_receipt).values(position=1))
    conn.execute(update(expense).where(expense.c.id == row_id).values(state="approved"))
    refused(conn, lambda: conn.execute(delete(expense_receipt)), "stay with it")
    refused(conn, lambda: conn.execute(update(expense_receipt).values(position=2)), "stay with it")


def test_the_receipts_of_a_deleted_draft_go_with_it(conn: Connection, ada: UUID, cipher: FieldCipher) -> None:
    row_id = add_expense(conn, ada, "draft")
    attach_receipt(conn, ada, row_id, cipher)
    conn.execute(delete(expense).where(expense.c.id == row_id))
    assert conn.execute(select(expense_receipt)).all() == []


def test_the_audit_log_only_grows(conn: Connection, ada: UUID) -> None:
    audit.record(conn, ada, "expense.created", "expense", new_uuid7(), {"amount": "12.50"})
    audit.record(conn, None, "workspace.created")
    assert conn.execute(select(audit_event.c.action).order_by(audit_event.c.id)).scalars().all() == [
        "expense.created",
        "workspace.created",
    ]
    refused(conn, lambda: conn.execute(update(audit_event).values(action="nothing")), "only grows")
    refused(conn, lambda: conn.execute(delete(audit_event)), "only grows")
    refused(conn, lambda: conn.execute(text("TRUNCATE app.audit_event")), "only grows")
