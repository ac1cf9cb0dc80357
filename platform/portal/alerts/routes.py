"""The page behind “this was not me”. Reading it does nothing: mail programs open links by themselves."""

from datetime import UTC, datetime

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from ...web import limits, sessions, tenant
from ...web.permissions import public
from . import service

PER_ADDRESS = "30 per minute"

blueprint = Blueprint("alerts", __name__, template_folder="templates")


@blueprint.get("/not-me/<not_me_token>")
@public
def not_me(not_me_token: str) -> ResponseReturnValue:
    """What confirming will do."""
    limits.hit(PER_ADDRESS, "not-me", tenant.tenant().id, limits.address())
    if not service.is_good(not_me_token, datetime.now(UTC)):
        return _gone()
    return render_template("alerts/not_me.html")


@blueprint.post("/not-me/<not_me_token>")
@public
def confirm_not_me(not_me_token: str) -> ResponseReturnValue:
    """End every way into the account, and send a link to choose a new password."""
    limits.hit(PER_ADDRESS, "not-me", tenant.tenant().id, limits.address())
    done = service.disown(not_me_token, datetime.now(UTC))
    if done is None:
        return _gone()
    sessions.end()
    return render_template("alerts/disowned.html", done=done)


def _gone() -> ResponseReturnValue:
    return render_template("alerts/not_me_gone.html"), 410
