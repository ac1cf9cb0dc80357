"""Transitions of reports. Each locks what it changes, checks who asks, and is audited in the same transaction.

Repeating one is harmless: a second click finds the state it wanted and changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection

from ....config.errors import CallError, ForbiddenError, NotFoundError, RefusedError
from ....tenant_schema.ids import new_uuid7
from ....tenant_schema.queries import audit, expenses, reports, settings
from ....tenant_schema.queries.expenses import EDITABLE, LockedExpense
from ....tenant_schema.queries.reports import Report
from ....tenant_schema.tables import report as table
from ...cards.masking import mask
from ...keys.fields import FieldCipher
from ...web import uses
from ...web.formats import plural
from ...web.member import CurrentMember
from ...web.permissions import Permission, Role, Scope, allowed
from .told import tell

APPROVERS: Final = tuple(role.value for role in Role if allowed(role, Permission.APPROVE))
GOVERNORS: Final = (Role.OWNER.value, Role.ADMIN.value)  # decide where nobody is assigned
REASON_LENGTH: Final = 1000
MOST_AT_ONCE: Final = 500
NOT_HERE: Final = "There is no such report here."


@dataclass(frozen=True, slots=True)
class Submission:
    """What `submit` did. `fresh` is False for a repeat; `approver_id` of None means any Admin or Owner."""

    report_id: UUID
    count: int
    approver_id: UUID | None
    fresh: bool


def find(conn: Connection, member: CurrentMember, report_id: UUID) -> Report:
    """The report, if `member` may see it. Raises `NotFoundError` otherwise, as for one that does not exist."""
    return _seen(conn, member, reports.by_id(conn, report_id))


def submit(conn: Connection, member: CurrentMember, expense_ids: Sequence[UUID]) -> Submission:
    """Put one's own drafts into a new report that waits for approval."""
    rows = _own_lines(conn, member, expense_ids)
    repeated = {row.report_id for row in rows if row.state == "submitted"}
    if len(repeated) == 1 and all(row.state == "submitted" for row in rows):
        already = find(conn, member, next(iter(repeated)) or UUID(int=0))
        return Submission(already.id, len(rows), already.approver_id, fresh=False)
    locked = [row.merchant for row in rows if row.state not in EDITABLE]
    if locked:
        raise RefusedError(f"{plural(len(locked), 'expense')} of these cannot be submitted any more: “{locked[0]}”.")
    _must_count_alike(rows, settings.base_currency(conn))
    approver_id = approver_for(conn, member)
    report_id = new_uuid7()
    reports.create(conn, report_id=report_id, member_id=member.id, title=_title(rows), approver_id=approver_id)
    expenses.move(conn, [row.id for row in rows], "submitted", report_id)
    detail = {"expenses": [str(row.id) for row in rows], "approver": str(approver_id) if approver_id else None}
    audit.record(conn, member.id, "report.submitted", "report", report_id, detail)
    tell(conn, report_id, "submitted")
    return Submission(report_id, len(rows), approver_id, fresh=True)


def withdraw(conn: Connection, member: CurrentMember, report_id: UUID) -> None:
    """Take one's own report back before it is decided; its expenses are drafts again."""
    found = _locked(conn, member, report_id)
    if found.member_id != member.id:
        raise ForbiddenError("Only the person who submitted this report may withdraw it.")
    if found.state == "withdrawn":
        return
    _must_wait(found)
    expenses.set_state_of_report(conn, report_id, "draft", release=True)
    reports.set_state(conn, report_id, "withdrawn", decided_at=datetime.now(UTC))
    audit.record(conn, member.id, "report.withdrawn", "report", report_id)


def approve(conn: Connection, member: CurrentMember, report_id: UUID, version: int) -> None:
    """Approve a report; it and its expenses never change again, and its payment is due."""
    found = _locked(conn, member, report_id)
    if found.state in ("approved", "closed") and found.decided_by == member.id:
        return
    detail = _must_decide(conn, member, found, version)
    expenses.set_state_of_report(conn, report_id, "approved")
    reports.decide(conn, report_id, member.id, "approved")
    reports.set_state(conn, report_id, "approved", payment="due", decided_at=datetime.now(UTC))
    audit.record(conn, member.id, "report.approved", "report", report_id, detail)
    tell(conn, report_id, "approved")


def send_back(
    conn: Connection, cipher: FieldCipher, member: CurrentMember, report_id: UUID, version: int, reason: str
) -> None:
    """Return a report with a reason; its expenses can be changed and submitted again."""
    said = mask(reason.strip())
    if not said:
        raise CallError("Say what should be changed.", "reason")
    if len(said) > REASON_LENGTH:
        raise CallError(f"The reason may have up to {REASON_LENGTH:,} characters.", "reason")
    found = _locked(conn, member, report_id)
    if found.state == "returned" and found.decided_by == member.id:
        return
    detail = _must_decide(conn, member, found, version)
    expenses.set_state_of_report(conn, report_id, "returned")
    reports.decide(conn, report_id, member.id, "returned")
    sealed = cipher.seal(table.c.return_reason, report_id, said)
    reports.set_state(conn, report_id, "returned", return_reason=sealed, decided_at=datetime.now(UTC))
    audit.record(conn, member.id, "report.returned", "report", report_id, detail)
    tell(conn, report_id, "returned")


def mark_paid(conn: Connection, member: CurrentMember, report_id: UUID) -> None:
    """Note that an approved report has been paid out."""
    found = _locked(conn, member, report_id)
    if found.payment == "paid":
        return
    if found.state != "approved":
        raise RefusedError("Only an approved report can be marked as paid.")
    reports.set_payment(conn, report_id, "paid", datetime.now(UTC))
    audit.record(conn, member.id, "report.paid", "report", report_id)
    tell(conn, report_id, "paid")


def approver_for(conn: Connection, member: CurrentMember) -> UUID | None:
    """Who approves for `member`: the one assigned, else any Admin or Owner (None), else nobody: `RefusedError`.

    The owner of a one-person workspace approves their own where the workspace's setting says so.
    """
    assigned = reports.approver_of(conn, member.id, APPROVERS)
    if assigned is not None or reports.others_in(conn, member.id, GOVERNORS):
        return assigned
    if approves_own(conn, member):
        return member.id
    raise RefusedError(
        "Nobody here could approve this: invite an Admin, or, if you work alone, allow approving your own in Settings."
    )


def approves_own(conn: Connection, member: CurrentMember) -> bool:
    """Whether `member` is the owner of a one-person workspace that allows approving one's own."""
    if member.role is not Role.OWNER or not settings.value(conn, settings.SELF_APPROVAL):
        return False
    return reports.others_in(conn, member.id, tuple(role.value for role in Role)) == 0


def may_decide(conn: Connection, member: CurrentMember, found: Report) -> bool:
    """Whether `member` may approve or return this report now."""
    if found.state != "submitted":
        return False
    reach = member.scope(Permission.APPROVE)
    if found.member_id == member.id:
        return reach is Scope.ALL and approves_own(conn, member)
    return reach is Scope.ALL or (reach is Scope.ASSIGNED and found.approver_id == member.id)


def _own_lines(conn: Connection, member: CurrentMember, expense_ids: Sequence[UUID]) -> list[LockedExpense]:
    wanted = set(expense_ids)
    if not wanted:
        raise CallError("Choose the expenses to submit first.")
    if len(wanted) > MOST_AT_ONCE:
        raise CallError(f"At most {MOST_AT_ONCE} expenses can be submitted at once.")
    rows = expenses.lock(conn, list(wanted))
    if {row.id for row in rows if row.member_id == member.id} != wanted:
        raise NotFoundError("Not all of these expenses are yours and still here; reload the page.")
    return rows


def _must_count_alike(rows: Sequence[LockedExpense], base_currency: str) -> None:
    """A report has one sum: what was entered before the workspace changed its currency is converted first."""
    for row in rows:
        if row.base_currency != base_currency:
            raise RefusedError(
                f"“{row.merchant}” still counts in {row.base_currency}, which was the workspace's currency before: "
                f"open and save it, so that it counts in {base_currency}."
            )


def _locked(conn: Connection, member: CurrentMember, report_id: UUID) -> Report:
    return _seen(conn, member, reports.lock(conn, report_id))


def _seen(conn: Connection, member: CurrentMember, found: Report | None) -> Report:
    if found is None:
        raise NotFoundError(NOT_HERE)
    reach = member.scope(Permission.SEE)
    if reach is Scope.ALL or found.member_id == member.id:
        return found
    if reach is Scope.ASSIGNED and reports.is_approver_of(conn, found.id, member.id):
        return found
    raise NotFoundError(NOT_HERE)


def _must_decide(conn: Connection, member: CurrentMember, found: Report, version: int) -> dict[str, Any]:
    """Check that `member` may decide `found` as it was shown; what the audit log should say of the decision."""
    _must_wait(found)
    if not may_decide(conn, member, found):
        own = found.member_id == member.id
        raise ForbiddenError(
            "Nobody approves their own expenses." if own else "This report is assigned to another approver."
        )
    if found.version != version:
        raise RefusedError("This report has changed since you opened it; look at it again.")
    if found.member_id == member.id:
        return {"own": True}
    if found.approver_id != member.id:
        uses.note(member.id, Permission.REASSIGN)
    bypassed = found.approver_id is not None and found.approver_id != member.id
    return {"bypassed": str(found.approver_id)} if bypassed else {}


def _must_wait(found: Report) -> None:
    if found.state != "submitted":
        raise RefusedError(f"This report has been {found.state} already.")


def _title(rows: Sequence[LockedExpense]) -> str:
    if len(rows) == 1:
        return rows[0].merchant
    others = plural(len(rows) - 1, "other")
    return f"{rows[0].merchant} and {others}"
