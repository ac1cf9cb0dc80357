"""Reports: list, get, submit, withdraw, approve, return, mark as paid."""

from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from flask import Response, jsonify

from ...tenant_schema.queries import expenses, reports, settings
from ...tenant_schema.queries.reports import ReportFilter
from ...tenant_schema.tables import report as table
from ..portal.reports import service
from ..web import tenant
from ..web.member import current
from ..web.permissions import Permission
from . import pages, schemas
from .expenses import line, written
from .gate import asks
from .parsing import ApiBlueprint, Nothing
from .scopes import ApiScope

blueprint = ApiBlueprint(
    "reports", __name__, url_prefix="/api/v1/reports", description="Expenses submitted together for approval."
)
ZERO = Decimal(0)
REPORT = schemas.Report()
LINE = schemas.ReportLine()


@blueprint.route("", methods=["GET"])
@blueprint.arguments(schemas.ReportQuery, location="query")
@blueprint.response(200, schemas.page_of(schemas.ReportLine))
@asks(Permission.SEE, ApiScope.REPORTS_READ)
def index(wanted: dict[str, Any]) -> Response:
    """List reports.

    Those that the token's member may see, latest first.
    """
    member = current()
    chosen = ReportFilter(
        viewer=member.id,
        reach=member.scope(Permission.SEE),
        states=tuple(wanted.get("state", ())),
        payments=tuple(wanted.get("payment", ())),
        members=tuple(wanted.get("member_id", ())),
    )
    limit: int = wanted["limit"]
    after = pages.read_cursor(wanted.get("cursor"), datetime.fromisoformat)
    rows = reports.page(tenant.connection(), chosen, after, limit + 1)
    last = (rows[limit - 1].submitted_at, rows[limit - 1].id) if len(rows) > limit else None
    return pages.respond([schemas.dumped(LINE, row) for row in rows[:limit]], last)


@blueprint.route("", methods=["POST"])
@blueprint.arguments(schemas.NewReport)
@blueprint.response(201, schemas.Report)
@asks(Permission.SPEND, ApiScope.REPORTS_WRITE)
def submit(given: dict[str, Any]) -> Response:
    """Submit expenses.

    Puts one's own drafts into a new report, which waits for approval. Sending the same drafts again makes no second.
    """
    done = service.submit(tenant.connection(), current(), given["expense_ids"])
    response = _shown(done.report_id, 201)
    response.headers["Location"] = f"/api/v1/reports/{done.report_id}"
    return response


@blueprint.route("/<uuid:report_id>", methods=["GET"])
@blueprint.arguments(Nothing, location="query")
@blueprint.response(200, schemas.Report)
@asks(Permission.SEE, ApiScope.REPORTS_READ)
def show(_query: object, report_id: UUID) -> Response:
    """Get a report."""
    return _shown(report_id)


@blueprint.route("/<uuid:report_id>/withdraw", methods=["POST"])
@blueprint.arguments(Nothing, location="query")
@blueprint.response(200, schemas.Report)
@asks(Permission.SPEND, ApiScope.REPORTS_WRITE)
def withdraw(_query: object, report_id: UUID) -> Response:
    """Withdraw a report.

    Takes one's own report back before it is decided; its expenses are drafts again.
    """
    service.withdraw(tenant.connection(), current(), report_id)
    return _shown(report_id)


@blueprint.route("/<uuid:report_id>/approve", methods=["POST"])
@blueprint.arguments(schemas.Decision)
@blueprint.response(200, schemas.Report)
@asks(Permission.APPROVE, ApiScope.REPORTS_WRITE)
def approve(given: dict[str, Any], report_id: UUID) -> Response:
    """Approve a report.

    It and its expenses never change again, and its payment is due.
    """
    service.approve(tenant.connection(), current(), report_id, given["version"])
    return _shown(report_id)


@blueprint.route("/<uuid:report_id>/return", methods=["POST"])
@blueprint.arguments(schemas.Return)
@blueprint.response(200, schemas.Report)
@asks(Permission.APPROVE, ApiScope.REPORTS_WRITE)
def send_back(given: dict[str, Any], report_id: UUID) -> Response:
    """Return a report.

    With a reason; its expenses can be changed and submitted again.
    """
    conn, cipher = tenant.connection(), tenant.cipher()
    service.send_back(conn, cipher, current(), report_id, given["version"], given["reason"])
    return _shown(report_id)


@blueprint.route("/<uuid:report_id>/paid", methods=["POST"])
@blueprint.arguments(Nothing, location="query")
@blueprint.response(200, schemas.Report)
@asks(Permission.PAY, ApiScope.REPORTS_WRITE)
def pay(_query: object, report_id: UUID) -> Response:
    """Mark a report as paid.

    Notes that an approved report has been paid out.
    """
    service.mark_paid(tenant.connection(), current(), report_id)
    return _shown(report_id)


def _shown(report_id: UUID, status: int = 200) -> Response:
    conn, cipher = tenant.connection(), tenant.cipher()
    found = service.find(conn, current(), report_id)
    lines = expenses.of_report(conn, report_id)
    base = lines[0].base_currency if lines else settings.base_currency(conn)
    facts = asdict(found)
    sealed = found.return_reason
    facts["return_reason"] = cipher.open(table.c.return_reason, report_id, sealed) if sealed else None
    facts |= {"base_amount": written(sum((one.base_amount for one in lines), start=ZERO), base), "base_currency": base}
    response = jsonify(schemas.dumped(REPORT, facts) | {"expenses": [line(one) for one in lines]})
    response.status_code = status
    return response
