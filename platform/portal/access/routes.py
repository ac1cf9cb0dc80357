"""Sign in, sign out, accept an invitation."""

from datetime import UTC, datetime

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import TooManyRequests

from ....config.errors import CallError
from ...web import limits, refusals, sessions, tenant
from ...web.enrolment import before_enrolment
from ...web.errors import how_long, seconds_to_wait
from ...web.member import signed_in
from ...web.permissions import Permission, public, requires
from ..proving import pending
from . import service, tries
from .paths import local_path

WRONG = "The e-mail address or the password is wrong."
PER_ADDRESS = "30 per minute"  # of tries with invitations

blueprint = Blueprint("access", __name__, template_folder="templates")


@blueprint.get("/sign-in")
@public
def sign_in() -> ResponseReturnValue:
    """The sign-in form; who is signed in goes on."""
    onward = local_path(request.args.get("next"))
    return redirect(onward, 303) if signed_in() else _sign_in_form(onward)


@blueprint.post("/sign-in")
@public
def sign_in_now() -> ResponseReturnValue:
    """Check the e-mail address and password; then the session begins, or the second factor is asked for."""
    onward = local_path(request.form.get("next"))
    email, password = request.form.get("email", ""), request.form.get("password", "")
    try:
        tries.count_address()
        account = service.email_index(email).hex()
        tries.count(account)
    except TooManyRequests as refused:
        return _too_many(refused, email)
    with tries.given_back_if_busy(account):
        member_id = service.check_credentials(email, password)
    if member_id is None:
        refusals.note_sign_in(account, service.member_of(email))
        return _sign_in_form(onward, email, WRONG), 401
    tries.succeeded(account)
    return pending.go_on(member_id, "password", onward)


@blueprint.post("/sign-out")
@requires(Permission.USE)
@before_enrolment
def sign_out() -> ResponseReturnValue:
    """End the session."""
    sessions.end()
    flash("You are signed out.")
    return redirect(url_for("access.sign_in"), 303)


@blueprint.get("/invitation/<token>")
@public
def invitation(token: str) -> ResponseReturnValue:
    """The form for a name and a password."""
    limits.hit(PER_ADDRESS, "invitation", tenant.tenant().id, limits.address())
    return _invitation_form(token)


@blueprint.post("/invitation/<token>")
@public
def accept_invitation(token: str) -> ResponseReturnValue:
    """Become a member and be signed in."""
    limits.hit(PER_ADDRESS, "invitation", tenant.tenant().id, limits.address())
    name = request.form.get("name", "")
    try:
        member_id = service.accept(token, name, request.form.get("password", ""), datetime.now(UTC))
    except CallError as error:
        return _invitation_form(token, name, {error.field or "form": str(error)})
    if member_id is None:
        return _gone()
    answer = pending.go_on(member_id, "invitation", "/")
    flash(f"Welcome to {tenant.tenant().name}.")
    return answer


def _sign_in_form(onward: str, email: str = "", error: str | None = None) -> str:
    return render_template("access/sign_in.html", next=onward, email=email, error=error)


def _too_many(refused: TooManyRequests, email: str) -> ResponseReturnValue:
    """The page for who has to wait, with the way round it that only the account's owner has."""
    page = render_template("access/too_many.html", sentence=how_long(refused), email=email.strip())
    return page, 429, {"Retry-After": str(seconds_to_wait(refused))}


def _invitation_form(token: str, name: str = "", errors: dict[str, str] | None = None) -> ResponseReturnValue:
    found = service.invited(token, datetime.now(UTC))
    if found is None:
        return _gone()
    page = render_template("access/invitation.html", invitation=found, name=name, errors=errors or {})
    return page, 422 if errors else 200


def _gone() -> ResponseReturnValue:
    return render_template("access/invitation_gone.html"), 410
