"""Reports: submit and withdraw for who spends; the queue, approve and return for who approves."""

from uuid import UUID

from flask import Blueprint, flash, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from ....config.errors import CallError
from ....tenant_schema.queries import expenses, history, reports
from ....tenant_schema.tables import report as table
from ...web import tenant
from ...web.formats import plural
from ...web.member import current
from ...web.permissions import Permission, Scope, requires
from ...web.uploads import LIST, accepts
from ..expenses import reach
from ..expenses.timeline import sentences
from ..receipts.routes import shown_receipts
from . import service
from .service import Submission

blueprint = Blueprint("reports", __name__, template_folder="templates")


@blueprint.post("/expenses/submit")
@accepts(LIST)
@requires(Permission.SPEND)
def submit() -> ResponseReturnValue:
    """Submit the chosen expenses as one report."""
    done = service.submit(tenant.connection(), current(), _chosen())
    flash(said(done))
    return redirect(url_for("reports.show", report_id=done.report_id), 303)


@blueprint.get("/approvals")
@requires(Permission.APPROVE)
def approvals() -> ResponseReturnValue:
    """What waits for this member's decision, oldest first; for who may bypass an approver also all the rest."""
    conn, member = tenant.connection(), current()
    may_see_all = member.may(Permission.REASSIGN)
    view = request.args.get("view", "")
    everyone = may_see_all and view == "all"
    if view == "decided":
        rows = reports.decided_by(conn, member.id)
    else:
        rows = reports.waiting(conn, member.id, member.scope(Permission.APPROVE), everyone=everyone)
    return render_template(
        "reports/approvals.html",
        rows=rows,
        names=reach.names(conn, tenant.cipher()),
        view="decided" if view == "decided" else "all" if everyone else "",
        may_see_all=may_see_all,
    )


@blueprint.get("/reports/<uuid:report_id>")
@requires(Permission.SEE)
def show(report_id: UUID) -> ResponseReturnValue:
    """One report: its lines with their receipts, who decides, what happened."""
    return _page(report_id)


@blueprint.post("/reports/<uuid:report_id>/withdraw")
@requires(Permission.SPEND)
def withdraw(report_id: UUID) -> ResponseReturnValue:
    """Take a report back; its expenses are drafts again."""
    service.withdraw(tenant.connection(), current(), report_id)
    flash("Withdrawn. The expenses are drafts again.")
    return redirect(url_for("expenses.index", state="draft", member=str(current().id)), 303)


@blueprint.post("/reports/<uuid:report_id>/approve")
@requires(Permission.APPROVE)
def approve(report_id: UUID) -> ResponseReturnValue:
    """Approve a report."""
    service.approve(tenant.connection(), current(), report_id, _version())
    flash("Approved.")
    return redirect(_next_page(), 303)


@blueprint.post("/reports/<uuid:report_id>/return")
@requires(Permission.APPROVE)
def send_back(report_id: UUID) -> ResponseReturnValue:
    """Return a report with a reason."""
    reason = request.form.get("reason", "")
    try:
        service.send_back(tenant.connection(), tenant.cipher(), current(), report_id, _version(), reason)
    except CallError as error:
        return make_response(_page(report_id, reason=reason, error=str(error)), 422)
    flash("Returned with your reason.")
    return redirect(_next_page(), 303)


@blueprint.post("/reports/<uuid:report_id>/paid")
@requires(Permission.PAY)
def pay(report_id: UUID) -> ResponseReturnValue:
    """Note that a report has been paid out."""
    service.mark_paid(tenant.connection(), current(), report_id)
    flash("Marked as paid.")
    return redirect(url_for("reports.show", report_id=report_id), 303)


def said(done: Submission) -> str:
    """The sentence that tells a member where their expenses went."""
    if not done.fresh:
        return "These expenses were submitted already."
    people = reach.names(tenant.connection(), tenant.cipher())
    whom = people.get(done.approver_id, "the approver") if done.approver_id else "an Admin"
    return f"Submitted {plural(done.count, 'expense')} to {whom} for approval."


def _page(report_id: UUID, *, reason: str = "", error: str | None = None) -> str:
    conn, cipher, member = tenant.connection(), tenant.cipher(), current()
    found = service.find(conn, member, report_id)
    lines = expenses.of_report(conn, report_id)
    people = reach.names(conn, cipher)
    why = cipher.open(table.c.return_reason, report_id, found.return_reason) if found.return_reason else None
    return render_template(
        "reports/show.html",
        report=found,
        lines=lines,
        total=sum(line.base_amount for line in lines),
        receipts={line.id: shown_receipts([line.receipt_id]) for line in lines if line.receipt_id},
        names=people,
        why=why,
        may_decide=service.may_decide(conn, member, found),
        bypasses=member.scope(Permission.APPROVE) is Scope.ALL and found.approver_id not in (None, member.id),
        timeline=sentences(history.of(conn, [report_id]), people),
        reason=reason,
        error=error,
    )


def _next_page() -> str:
    """After a decision: the queue, from which the next one is a click away."""
    return url_for("reports.approvals")


def _chosen() -> list[UUID]:
    try:
        return [UUID(text) for text in request.form.getlist("expense")]
    except ValueError as error:
        raise CallError("This form is damaged; reload the page.") from error


def _version() -> int:
    return request.form.get("version", -1, type=int)
