"""Ask for a link by mail, choose a new password with it, or try again although the account is over its limit.

Opening a link changes nothing: programs that scan mail open every one. The token stands in the address, so these pages
let the browser name their host only, and no log line holds it.
"""

from datetime import UTC, datetime

from flask import Blueprint, Response, flash, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from ....config.errors import CallError
from ...web import limits, sessions, tenant
from ...web.permissions import Permission, public, requires
from ..access import links, tries
from . import service

ASKS_PER_ADDRESS = "10 per 10 minutes"
USES_PER_ADDRESS = "30 per minute"

blueprint = Blueprint("recovery", __name__, template_folder="templates")


@blueprint.get("/reset")
@public
def ask() -> ResponseReturnValue:
    """The form for who has forgotten the password."""
    return render_template("recovery/ask.html", email="", error=None)


@blueprint.post("/reset")
@public
def ask_now() -> ResponseReturnValue:
    """Send a link for a new password; the answer is the same whether or not somebody has this address."""
    return _send(links.RESET)


@blueprint.post("/unlock")
@public
def ask_to_unlock() -> ResponseReturnValue:
    """Send a link past the account's limit of tries; the answer is the same as above."""
    return _send(links.UNLOCK)


@blueprint.get("/reset/<reset_token>")
@public
def reset(reset_token: str) -> ResponseReturnValue:
    """The form for the new password."""
    return _quiet(_reset_form(reset_token))


@blueprint.post("/reset/<reset_token>")
@public
def reset_now(reset_token: str) -> ResponseReturnValue:
    """Set the new password. Nobody is signed in by it: the second factor is asked for as ever."""
    limits.hit(USES_PER_ADDRESS, "reset", tenant.tenant().id, limits.address())
    try:
        done = service.reset(reset_token, request.form.get("password", ""), datetime.now(UTC))
    except CallError as error:
        return _quiet(_reset_form(reset_token, str(error)))
    if not done:
        return _quiet(_gone(links.RESET))
    sessions.end()
    flash("Your new password is set. Sign in with it.")
    return redirect(url_for("access.sign_in"), 303)


@blueprint.get("/unlock/<unlock_token>")
@public
def unlock(unlock_token: str) -> ResponseReturnValue:
    """The page on which the link is used."""
    if service.owner(unlock_token, links.UNLOCK, datetime.now(UTC)) is None:
        return _quiet(_gone(links.UNLOCK))
    return _quiet(make_response(render_template("recovery/unlock.html")))


@blueprint.post("/unlock/<unlock_token>")
@public
def unlock_now(unlock_token: str) -> ResponseReturnValue:
    """Let this browser try again, and no other."""
    limits.hit(USES_PER_ADDRESS, "unlock", tenant.tenant().id, limits.address())
    account = service.use_to_unlock(unlock_token, datetime.now(UTC))
    if account is None:
        return _quiet(_gone(links.UNLOCK))
    tries.unlock(account)
    flash("You can sign in now, in this browser.")
    return redirect(url_for("access.sign_in"), 303)


@blueprint.get("/.well-known/change-password")
@requires(Permission.USE)
def change_password() -> ResponseReturnValue:
    """Where a password manager sends people to change their password (W3C, A Well-Known URL for Changing Passwords)."""
    return redirect(url_for("settings.profile"), 303)


def _send(purpose: str) -> ResponseReturnValue:
    email, workspace = request.form.get("email", "").strip(), tenant.tenant().id
    limits.hit(ASKS_PER_ADDRESS, purpose, workspace, limits.address())
    if "@" not in email:
        error = "Enter the e-mail address that you sign in with."
        return render_template("recovery/ask.html", email=email, error=error), 422
    service.ask(email, purpose)
    return render_template("recovery/sent.html", email=email, purpose=purpose)


def _reset_form(token: str, error: str | None = None) -> Response:
    member = service.owner(token, links.RESET, datetime.now(UTC))
    if member is None:
        return _gone(links.RESET)
    page = render_template("recovery/reset.html", email=service.email_of(member), error=error)
    return make_response(page, 422 if error else 200)


def _gone(purpose: str) -> Response:
    return make_response(render_template("recovery/gone.html", purpose=purpose), 410)


def _quiet(response: Response) -> Response:
    """Forms are checked by the referring host, so it is named; the path, with the token, is not."""
    response.headers["Referrer-Policy"] = "strict-origin"
    return response
