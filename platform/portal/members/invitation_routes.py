"""Inviting a person, sending an invitation again, withdrawing it."""

from datetime import UTC, datetime
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from ....config.errors import CallError
from ...web import limits, tenant
from ...web.member import current
from ...web.permissions import Permission, Role, requires
from ...web.stepup import fresh
from . import invitations, service
from .roles import ROLE_TEXTS, role_from

PER_WORKSPACE = "100 per hour"  # letters to people who may not want them

blueprint = Blueprint("invitations", __name__)


@blueprint.get("/invite")
@requires(Permission.MANAGE_MEMBERS)
def invite() -> ResponseReturnValue:
    """The form for an invitation."""
    return _form("", Role.CONTRIBUTOR, {})


@blueprint.post("/invite")
@requires(Permission.MANAGE_MEMBERS)
@fresh
def send() -> ResponseReturnValue:
    """Invite a person and show the link, this once."""
    limits.hit(PER_WORKSPACE, "invite", tenant.tenant().id)
    email = request.form.get("email", "")
    try:
        made = invitations.invite(current(), email, role_from(request.form.get("role", "")), datetime.now(UTC))
    except CallError as error:
        return _form(email, request.form.get("role"), {error.field or "form": str(error)}), 422
    return render_template("members/invited.html", made=made)


@blueprint.post("/invitations/<uuid:invitation_id>/resend")
@requires(Permission.MANAGE_MEMBERS)
@fresh
def resend(invitation_id: UUID) -> ResponseReturnValue:
    """Send a new link, with which the old one ends, and show it, this once."""
    limits.hit(PER_WORKSPACE, "invite", tenant.tenant().id)
    try:
        made = invitations.resend(current(), invitation_id, datetime.now(UTC))
    except CallError as error:  # a member meanwhile
        flash(str(error), "error")
        return redirect(url_for("members.index"), 303)
    return render_template("members/invited.html", made=made, again=True)


@blueprint.post("/invitations/<uuid:invitation_id>/withdraw")
@requires(Permission.MANAGE_MEMBERS)
def withdraw(invitation_id: UUID) -> ResponseReturnValue:
    """End an invitation."""
    invitations.withdraw(current(), invitation_id)
    flash("The invitation is withdrawn; its link no longer works.")
    return redirect(url_for("members.index"), 303)


def _form(email: str, role: str | None, errors: dict[str, str]) -> str:
    return render_template(
        "members/invite.html",
        email=email,
        role=role,
        errors=errors,
        role_texts=ROLE_TEXTS,
        grantable=service.grantable(current()),
    )
