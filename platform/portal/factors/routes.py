"""The pages on which a member adds and removes second factors, and the reset of another member's."""

from datetime import UTC, datetime
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from ....config.errors import CallError, RefusedError
from ...web import limits, sessions, tenant
from ...web.devices import device_of
from ...web.enrolment import before_enrolment
from ...web.member import current
from ...web.permissions import Permission, requires
from ...web.stepup import fresh
from . import ceremony, codes, service

TRIES = "20 per 10 minutes"

blueprint = Blueprint("factors", __name__, template_folder="templates")


@blueprint.get("/settings/security")
@requires(Permission.USE)
def index() -> ResponseReturnValue:
    """The member's second factors."""
    return render_template("factors/index.html", mine=service.overview(current()))


@blueprint.get("/settings/security/required")
@requires(Permission.USE)
@before_enrolment
def required() -> ResponseReturnValue:
    """Why the workspace asks for a second factor, and how to set one up."""
    mine = service.overview(current())
    return redirect(url_for("factors.index"), 303) if mine.protected else render_template("factors/required.html")


@blueprint.post("/settings/security/app/begin")
@requires(Permission.USE)
@before_enrolment
@fresh
def begin_app() -> ResponseReturnValue:
    """Make a secret for an authenticator app."""
    service.begin_app(current())
    return redirect(url_for("factors.app"), 303)


@blueprint.get("/settings/security/app")
@requires(Permission.USE)
@before_enrolment
@fresh
def app() -> ResponseReturnValue:
    """The QR code to scan, and the field for the first code."""
    return _app_form({})


@blueprint.post("/settings/security/app")
@requires(Permission.USE)
@before_enrolment
@fresh
def confirm_app() -> ResponseReturnValue:
    """Let the app count, if its code is right."""
    limits.hit(TRIES, "enrolment", tenant.tenant().id, str(current().id))
    try:
        made = service.confirm_app(current(), request.form.get("code", ""), datetime.now(UTC))
    except CallError as error:
        return _app_form({"code": str(error)})
    return _done("Your authenticator app is set up.", made)


@blueprint.post("/settings/security/app/remove")
@requires(Permission.USE)
@fresh
def remove_app() -> ResponseReturnValue:
    """Take the authenticator app away."""
    service.remove_app(current())
    return _done("Your authenticator app is removed.", None)


@blueprint.get("/settings/security/passkeys/new")
@requires(Permission.USE)
@before_enrolment
@fresh
def new_passkey() -> ResponseReturnValue:
    """The page that makes a passkey."""
    return _passkey_form(device_of(request.user_agent.string), {})


@blueprint.post("/settings/security/passkeys/options")
@requires(Permission.USE)
@before_enrolment
@fresh
def passkey_options() -> ResponseReturnValue:
    """What the browser needs to make a passkey, as JSON."""
    limits.hit(TRIES, "enrolment", tenant.tenant().id, str(current().id))
    return ceremony.ask_to_create(current(), datetime.now(UTC))


@blueprint.post("/settings/security/passkeys")
@requires(Permission.USE)
@before_enrolment
@fresh
def add_passkey() -> ResponseReturnValue:
    """Keep the passkey that the browser has made."""
    name = request.form.get("name", "")
    try:
        made = service.add_passkey(current(), request.form.get("credential", ""), name, datetime.now(UTC))
    except (CallError, RefusedError) as error:
        tenant.keep()  # the challenge is used up
        field = error.field if isinstance(error, CallError) else None
        return _passkey_form(name, {field or "form": str(error)}), 422
    return _done("Your passkey is added.", made)


@blueprint.post("/settings/security/passkeys/<uuid:passkey_id>")
@requires(Permission.USE)
def rename_passkey(passkey_id: UUID) -> ResponseReturnValue:
    """Call a passkey otherwise."""
    service.rename_passkey(current(), passkey_id, request.form.get("name", ""))
    flash("The passkey has its new name.")
    return redirect(url_for("factors.index"), 303)


@blueprint.post("/settings/security/passkeys/<uuid:passkey_id>/remove")
@requires(Permission.USE)
@fresh
def remove_passkey(passkey_id: UUID) -> ResponseReturnValue:
    """Take a passkey away."""
    service.remove_passkey(current(), passkey_id)
    return _done("The passkey is removed.", None)


@blueprint.post("/settings/security/recovery-codes")
@requires(Permission.USE)
@fresh
def make_codes() -> ResponseReturnValue:
    """Fresh recovery codes, shown this once."""
    made = service.new_recovery_codes(current())
    sessions.rotate()
    return _codes_page("Your new recovery codes", made)


@blueprint.post("/members/<uuid:member_id>/factors/reset")
@requires(Permission.MANAGE_MEMBERS)
@fresh
def reset(member_id: UUID) -> ResponseReturnValue:
    """Take another member's second factors away, who has lost them."""
    service.reset_factors(current(), member_id)
    flash("The second factor is reset. The member is told by mail, and signs in with the password alone until then.")
    return redirect(url_for("members.index"), 303)


def _done(sentence: str, made: list[str] | None) -> ResponseReturnValue:
    """After a change the session has another token, the others end if that was wished; first codes are shown."""
    end_others = "end_others" in request.form
    sessions.rotate(end_others=end_others)
    if end_others:
        sentence += " Your other sessions have ended."
    if made:
        return _codes_page(sentence, made)
    flash(sentence)
    return redirect(url_for("factors.index"), 303)


def _codes_page(title: str, made: list[str]) -> str:
    file = codes.as_file(made, tenant.tenant().name, current().email)
    return render_template("factors/codes.html", title=title, codes=made, file=file)


def _app_form(errors: dict[str, str]) -> ResponseReturnValue:
    setup = service.app_in_setup(current())
    if setup is None:
        return redirect(url_for("factors.index"), 303)
    return render_template("factors/app.html", setup=setup, errors=errors), 422 if errors else 200


def _passkey_form(name: str, errors: dict[str, str]) -> str:
    return render_template("factors/passkey.html", name=name, errors=errors)
