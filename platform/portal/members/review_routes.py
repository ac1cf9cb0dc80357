"""The review of access, as a page and as a file."""

from datetime import UTC, datetime

from flask import Blueprint, Response, render_template
from flask.typing import ResponseReturnValue

from ....tenant_schema.queries import audit
from ...web import tenant
from ...web.member import current
from ...web.permissions import Permission, requires
from . import access_review
from .advice import ABSENT_FOR, UNUSED_FOR

blueprint = Blueprint("review", __name__, url_prefix="/access-review")


@blueprint.get("")
@requires(Permission.MANAGE_MEMBERS)
def page() -> ResponseReturnValue:
    """What each member may do and does not use, and what stands out."""
    now = datetime.now(UTC)
    found = access_review.report(current(), now)
    return render_template("members/access_review.html", review=found, absent=ABSENT_FOR.days, unused=UNUSED_FOR.days)


@blueprint.get("/access-review.csv")
@requires(Permission.MANAGE_MEMBERS)
def download() -> ResponseReturnValue:
    """The same as CSV."""
    now = datetime.now(UTC)
    text = access_review.as_csv(access_review.report(current(), now))
    audit.record(tenant.connection(), current().id, "members.access_review_exported")
    name = f"access-review-{now:%Y-%m-%d}.csv"
    return Response(
        "\N{BYTE ORDER MARK}" + text,
        mimetype="text/csv",
        headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"},
    )
