"""The second half of a sign-in, sign-in with a passkey alone, and step-up."""

from datetime import UTC, datetime

from flask import Blueprint, flash, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import Unauthorized

from ....tenant_schema.queries import audit
from ...web import challenges, limits, refusals, sessions, stepup, tenant
from ...web.enrolment import before_enrolment
from ...web.member import current, signed_in
from ...web.permissions import Permission, public, requires
from ..access.arrival import arrive
from ..access.paths import local_path
from ..factors import ceremony
from . import pending, service

PER_ADDRESS = "60 per minute"
WRONG = "That was not right. Use the code that your app shows now, or a recovery code that you have not used yet."
WRONG_PASSKEY = "The passkey was not accepted."
UNKNOWN_PASSKEY = "This passkey does not open this workspace. Sign in with your password."
WRONG_PROOF = "That was not right. Nothing was changed."
LATE = "That took too long, or too many codes were wrong. Please sign in again."

blueprint = Blueprint("proving", __name__, template_folder="templates")


@blueprint.get("/sign-in/second")
@public
def second() -> ResponseReturnValue:
    """The form for the second factor, to who has given the right password."""
    onward = local_path(request.args.get("next"))
    if signed_in():
        return redirect(onward, 303)
    return _second_form(onward, datetime.now(UTC))


@blueprint.post("/sign-in/second")
@public
def second_now() -> ResponseReturnValue:
    """Check the second factor and begin the session."""
    now, onward = datetime.now(UTC), local_path(request.form.get("next"))
    limits.hit(PER_ADDRESS, "second", tenant.tenant().id, limits.address())
    member_id = pending.member_of(now)
    if member_id is None:
        return _begin_again(onward)
    typed, answer = request.form.get("code", ""), request.form.get("credential", "")
    service.count_tries("second", member_id, typed, answer)
    counted = pending.count_try(member_id, now)
    if counted is None:
        return _begin_again(onward)
    method = service.second_factor(member_id, typed, answer, now)
    if method:
        service.forget_tries("second", member_id)
        return pending.finish(counted, method, onward, now)
    service.note_failure(member_id, counted.failures)
    tenant.keep()
    return _second_form(onward, now, WRONG_PASSKEY if answer else WRONG)


@blueprint.post("/sign-in/second/passkey")
@public
def second_options() -> ResponseReturnValue:
    """What the browser needs to use one of the member's passkeys, as JSON."""
    now = datetime.now(UTC)
    limits.hit(PER_ADDRESS, "second", tenant.tenant().id, limits.address())
    member_id = pending.member_of(now)
    if member_id is None:
        raise Unauthorized
    return ceremony.ask_to_sign("passkey_second", member_id, now)


@blueprint.post("/sign-in/passkey/options")
@public
def passkey_options() -> ResponseReturnValue:
    """What the browser needs to sign somebody in with a passkey, as JSON: the same for everybody."""
    limits.hit(PER_ADDRESS, "passkey", tenant.tenant().id, limits.address())
    return ceremony.ask_to_sign("passkey_sign_in", None, datetime.now(UTC))


@blueprint.post("/sign-in/passkey")
@public
def passkey_sign_in() -> ResponseReturnValue:
    """Sign in with a passkey alone: it is something one has, and it has verified the person."""
    now, onward = datetime.now(UTC), local_path(request.form.get("next"))
    limits.hit(PER_ADDRESS, "passkey", tenant.tenant().id, limits.address())
    proof = ceremony.signed("passkey_sign_in", None, request.form.get("credential", ""), now)
    if proof is None:
        tenant.keep()  # the challenge is used up
        refusals.note_sign_in("passkey", None)
        return render_template("access/sign_in.html", next=onward, email="", error=UNKNOWN_PASSKEY), 401
    arrive(proof.member_id, "passkey")
    return redirect(onward, 303)


@blueprint.get("/step-up")
@requires(Permission.USE)
@before_enrolment
def step_up() -> ResponseReturnValue:
    """The question who it is, before something that matters."""
    return _step_up_form(request.args.get("kept"), request.args.get("next"))


@blueprint.post("/step-up")
@requires(Permission.USE)
@before_enrolment
def step_up_now() -> ResponseReturnValue:
    """Check the proof; then back to what was to be done."""
    now, form, member = datetime.now(UTC), request.form, current()
    password, typed, answer = form.get("password", ""), form.get("code", ""), form.get("credential", "")
    service.count_tries("step-up", member.id, typed, answer, password)
    if not service.is_proved(member, password, typed, answer, now):
        audit.record(tenant.connection(), member.id, "session.step_up_failed", "session", member.session_id)
        tenant.keep()
        return _step_up_form(form.get("kept"), form.get("next"), WRONG_PROOF), 401
    service.forget_tries("step-up", member.id)
    sessions.step_up()
    audit.record(tenant.connection(), member.id, "session.stepped_up", "session", member.session_id)
    if stepup.kept_form(member, form.get("kept", ""), now):
        return redirect(url_for("proving.kept_form", kept=form["kept"]), 303)
    return redirect(local_path(form.get("next")), 303)


@blueprint.post("/step-up/passkey")
@requires(Permission.USE)
@before_enrolment
def step_up_options() -> ResponseReturnValue:
    """What the browser needs to use one of the member's passkeys, as JSON."""
    limits.hit(PER_ADDRESS, "step-up passkey", tenant.tenant().id, str(current().id))
    return ceremony.ask_to_sign("step_up", current().id, datetime.now(UTC))


@blueprint.get("/step-up/form")
@requires(Permission.USE)
@before_enrolment
def kept_form() -> ResponseReturnValue:
    """The form that was sent too late, to be sent now."""
    kept = stepup.kept_form(current(), request.args.get("kept", ""), datetime.now(UTC))
    if kept is None:
        flash("That form is no longer kept. Please fill it in again.", "error")
        return redirect("/", 303)
    return render_template("proving/kept_form.html", form=kept)


def _second_form(onward: str, now: datetime, error: str | None = None) -> ResponseReturnValue:
    member_id = pending.member_of(now)
    if member_id is None:
        return _begin_again(onward)
    use = request.values.get("use", "")
    ways = service.ways_of(member_id)
    page = render_template("proving/second.html", ways=ways, use=use, next=onward, error=error)
    return page, 401 if error else 200


def _begin_again(onward: str) -> ResponseReturnValue:
    """To the sign-in form; who had a half-done sign-in is told that it has ended."""
    response = make_response(redirect(url_for("access.sign_in", next=None if onward == "/" else onward), 303))
    if pending.COOKIE in request.cookies:
        flash(LATE, "error")
        challenges.take_back(response, pending.COOKIE)
    return response


def _step_up_form(kept: str | None, onward: str | None, error: str | None = None) -> str:
    found = stepup.kept_form(current(), kept or "", datetime.now(UTC))
    return render_template(
        "proving/step_up.html",
        ways=service.ways_of(current().id),
        kept=kept if found else None,
        next=local_path(onward),
        back=local_path(request.form.get("back")) if error else found.page if found else stepup.page_before(),
        error=error,
    )
