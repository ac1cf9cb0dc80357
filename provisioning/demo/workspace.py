"""Rows of one demo workspace, ready to insert: members, reports, expenses. Pure but for ids, time and sealing."""

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from ...platform.keys import FieldCipher
from ...tenant_schema.ids import new_uuid7
from ...tenant_schema.tables import expense as expense_table
from ...tenant_schema.tables import member as member_table
from ...tenant_schema.tables import report as report_table
from .people import Person
from .spending import DemoExpense

BASE_CURRENCY = "USD"
_REASON = "The purpose of this trip is missing. Please add it to the note and submit again."
Row = dict[str, Any]


@dataclass
class Rows:
    """What goes into each table, in the order in which it may be inserted."""

    members: list[Row] = field(default_factory=list[Row])
    reports: list[Row] = field(default_factory=list[Row])
    steps: list[Row] = field(default_factory=list[Row])
    expenses: list[Row] = field(default_factory=list[Row])


@dataclass(frozen=True, slots=True)
class Crew:
    """The people of a workspace and their ids, position by position."""

    people: Sequence[Person]
    ids: Sequence[UUID]

    def approver_of(self, position: int) -> UUID | None:
        """Who approves the expenses of the person at `position`."""
        approver = self.people[position].approver
        return None if approver is None else self.ids[approver]


def member_rows(people: Sequence[Person], password_hash: str, cipher: FieldCipher) -> list[Row]:
    """One row per person; `approver_id` is set apart, because people approve each other."""
    columns = member_table.c
    rows: list[Row] = []
    for person in people:
        member_id = new_uuid7()
        rows.append(
            {
                "id": member_id,
                "name": cipher.seal(columns.name, member_id, person.name),
                "email": cipher.seal(columns.email, member_id, person.email),
                "email_index": cipher.blind(columns.email_index, person.email),
                "password_hash": password_hash,
                "role": person.role,
            }
        )
    return rows


def spending_rows(
    slug: str,
    crew: Crew,
    expenses: Sequence[DemoExpense],
    categories: dict[str, UUID],
    cipher: FieldCipher,
) -> Rows:
    """Expenses grouped into one report per member and month, in states that a working office would show in January."""
    rows = Rows()
    months: dict[tuple[int, int], list[DemoExpense]] = defaultdict(list)
    for item in sorted(expenses, key=lambda item: item.on):
        months[item.member, item.on.month].append(item)
    for (member, month), items in sorted(months.items()):
        state = _state(slug, member, month)
        report_id = None
        if state != "draft":
            report_id = _add_report(rows, crew, member, month, state, cipher)
        for item in items:
            rows.expenses.append(
                expense_row(item, crew.ids[member], categories[item.category], state, report_id, cipher)
            )
    return rows


def expense_row(
    item: DemoExpense, member_id: UUID, category_id: UUID, state: str, report_id: UUID | None, cipher: FieldCipher
) -> Row:
    """One expense in the base currency."""
    expense_id = new_uuid7()
    return {
        "id": expense_id,
        "member_id": member_id,
        "category_id": category_id,
        "report_id": report_id,
        "state": "approved" if state == "paid" else state,
        "spent_on": item.on,
        "merchant": item.merchant,
        "amount": item.amount,
        "currency": BASE_CURRENCY,
        "digits": 2,
        "base_amount": item.amount,
        "base_currency": BASE_CURRENCY,
        "note": cipher.seal(expense_table.c.note, expense_id, item.note),
        "created_at": _at(item.on, 1),
        "changed_at": _at(item.on, 1),
    }


def _state(slug: str, member: int, month: int) -> str:
    """Until September paid, October approved, November waiting, December mostly still with the people."""
    if month <= 9:
        return "paid"
    if month == 10:
        return "approved"
    chance = random.Random(f"state {slug} {member} {month}").random()  # noqa: S311 - repeatable on purpose
    if month == 11:
        # The admin's and one contributor's wait for the owner, so that there is something to approve.
        return "submitted" if chance < 0.8 or member in {1, 7} else "returned"
    return "submitted" if chance < 0.4 else "draft"


def _add_report(rows: Rows, crew: Crew, member: int, month: int, state: str, cipher: FieldCipher) -> UUID:
    report_id = new_uuid7()
    decided = state in ("paid", "approved", "returned")
    submitted_at = _at(_end_of_month(month), 9)
    decided_at = submitted_at + timedelta(days=2, hours=3) if decided else None
    approver_id = crew.approver_of(member)
    rows.reports.append(
        {
            "id": report_id,
            "member_id": crew.ids[member],
            "title": f"{date(2024, month, 1):%B} 2024",
            "state": "approved" if state == "paid" else state,
            "payment": {"paid": "paid", "approved": "due"}.get(state, "none"),
            "return_reason": cipher.seal(report_table.c.return_reason, report_id, _REASON)
            if state == "returned"
            else None,
            "submitted_at": submitted_at,
            "decided_at": decided_at,
            "paid_at": submitted_at + timedelta(days=7) if state == "paid" else None,
        }
    )
    rows.steps.append(
        {
            "id": new_uuid7(),
            "report_id": report_id,
            "position": 1,
            "approver_id": approver_id,
            "decided_by": approver_id if decided else None,
            "decision": {"submitted": None, "returned": "returned"}.get(state, "approved"),
            "decided_at": decided_at,
        }
    )
    return report_id


def _end_of_month(month: int) -> date:
    return date(2024 + month // 12, month % 12 + 1, 1) - timedelta(days=1)


def _at(day: date, hour: int) -> datetime:
    return datetime.combine(day, time(hour + 8, 12), UTC)
