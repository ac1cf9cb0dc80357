"""The dashboard: first page after sign-in."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, render_template, url_for
from flask.typing import ResponseReturnValue

from ....tenant_schema.queries import members, receipts, reports, settings, totals
from ....tenant_schema.queries.totals import Standing
from ...web import tenant
from ...web.member import CurrentMember, current
from ...web.permissions import Permission, requires
from ..expenses import reach
from ..receipts.routes import shown_receipts
from . import figures
from .figures import Bar

blueprint = Blueprint("dashboard", __name__, template_folder="templates")

QUEUE_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the first-run checklist."""

    label: str
    done: bool
    href: str


@blueprint.get("/")
@requires(Permission.USE)
def index() -> ResponseReturnValue:
    """Where one's money stands, what waits for one's decision, and where it was spent."""
    conn, member = tenant.connection(), current()
    base = settings.base_currency(conn)
    viewer = replace(reach.viewer(member), base_currency=base)  # sums are of one currency
    shown = figures.period(datetime.now(UTC).date(), totals.latest_day(conn, viewer))
    by_month, by_category = figures.spend(conn, viewer, shown)
    own = totals.standing(conn, replace(viewer, members=(member.id,)) if member.may(Permission.SPEND) else viewer)
    return render_template(
        "dashboard/index.html",
        base_currency=base,
        period=shown,
        by_month=by_month,
        by_category=by_category,
        charts=_chart_data(by_month, by_category, base),
        own=own,
        together=figures.together,
        steps=_first_steps(member, own),
        loose=shown_receipts([one.id for one in receipts.loose(conn, member.id)]),
        **_queue(member),
    )


def _queue(member: CurrentMember) -> dict[str, Any]:
    """The reports that wait longest for this member."""
    if not member.may(Permission.APPROVE):
        return {"queue": [], "names": {}}
    conn = tenant.connection()
    waiting = reports.waiting(conn, member.id, member.scope(Permission.APPROVE))
    return {"queue": waiting[:QUEUE_SHOWN], "names": reach.names(conn, tenant.cipher()) if waiting else {}}


def _chart_data(by_month: list[Bar], by_category: list[Bar], base: str) -> dict[str, Any]:
    """What the charts draw: numbers of the tables beside them, for the script to read."""
    return {
        "currency": base,
        "month": [_drawn(bar) for bar in by_month],
        "category": [_drawn(bar) for bar in by_category],
    }


def _drawn(bar: Bar) -> dict[str, Any]:
    return {"label": bar.label, "amount": float(bar.amount), "href": url_for("expenses.index", **bar.opens)}


def _first_steps(member: CurrentMember, own: dict[str, Standing]) -> list[Step]:
    """What a newcomer does first; empty once all of it is done, or where nothing of it may be done."""
    if not member.may(Permission.SPEND):
        return []
    conn = tenant.connection()
    steps = [
        Step("Add your first expense", bool(own), url_for("expenses.new")),
        Step("Submit it for approval", bool(set(own) - {"draft"}), url_for("expenses.index")),
    ]
    if member.may(Permission.MANAGE_MEMBERS):
        steps.append(Step("Invite the people you work with", members.count_active(conn) > 1, url_for("members.index")))
    return [] if all(step.done for step in steps) else steps
