"""The list of members; inviting, changing roles, removing."""

from datetime import UTC, datetime
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from ....config.errors import CallError, RefusedError
from ...web.member import current
from ...web.permissions import Permission, Role, requires
from ...web.stepup import fresh
from . import service
from .roles import ROLE_TEXTS

blueprint = Blueprint("members", __name__, template_folder="templates", url_prefix="/members")


@blueprint.get("")
@requires(Permission.USE)
def index() -> ResponseReturnValue:
    """Everybody in the workspace, and who is invited."""
    may_manage = current().may(Permission.MANAGE_MEMBERS)
    return render_template(
        "members/index.html",
        people=service.people(current()),
        invited=service.pending(datetime.now(UTC)) if may_manage else [],
        may_manage=may_manage,
        grantable=service.grantable(current()),
        role_texts=ROLE_TEXTS,
    )


@blueprint.get("/invite")
@requires(Permission.MANAGE_MEMBERS)
def invite() -> ResponseReturnValue:
    """The form for an invitation."""
    return _invite_form("", Role.CONTRIBUTOR, {})


@blueprint.post("/invite")
@requires(Permission.MANAGE_MEMBERS)
@fresh
def send_invitation() -> ResponseReturnValue:
    """Invite a person and show the link, this once."""
    email = request.form.get("email", "")
    try:
        role = _role_from_form()
        made = service.invite(current(), email, role, datetime.now(UTC))
    except CallError as error:
        return _invite_form(email, request.form.get("role"), {error.field or "form": str(error)}), 422
    return render_template("members/invited.html", email=made.email, link=made.link, expires_at=made.expires_at)


@blueprint.post("/invitations/<uuid:invitation_id>/withdraw")
@requires(Permission.MANAGE_MEMBERS)
def withdraw(invitation_id: UUID) -> ResponseReturnValue:
    """End an open invitation."""
    service.withdraw(current(), invitation_id, datetime.now(UTC))
    flash("The invitation is withdrawn; its link no longer works.")
    return redirect(url_for("members.index"), 303)


@blueprint.get("/<uuid:member_id>")
@requires(Permission.MANAGE_MEMBERS)
def edit(member_id: UUID) -> ResponseReturnValue:
    """The form for a member's role."""
    person = service.person(member_id, current())
    return _edit_form(person, person.role, {})


@blueprint.post("/<uuid:member_id>")
@requires(Permission.MANAGE_MEMBERS)
@fresh
def save(member_id: UUID) -> ResponseReturnValue:
    """Change a member's role."""
    person = service.person(member_id, current())
    try:
        role = _role_from_form()
        service.change_role(current(), person, role)
    except CallError as error:
        return _edit_form(person, person.role, {error.field or "form": str(error)}), 422
    except RefusedError as error:
        return _edit_form(person, person.role, {"form": str(error)}), 409
    flash(f"{person.name} is now {role.label}.")
    return redirect(url_for("members.index"), 303)


@blueprint.post("/<uuid:member_id>/remove")
@requires(Permission.MANAGE_MEMBERS)
def remove(member_id: UUID) -> ResponseReturnValue:
    """Take a member out of the workspace."""
    person = service.person(member_id, current())
    try:
        service.remove(current(), person)
    except RefusedError as error:
        return _edit_form(person, person.role, {"form": str(error)}), 409
    flash(f"{person.name} is no longer a member.")
    return redirect(url_for("members.index"), 303)


def _role_from_form() -> Role:
    try:
        return Role(request.form.get("role", ""))
    except ValueError as error:
        raise CallError("Choose a role.", "role") from error


def _invite_form(email: str, role: str | None, errors: dict[str, str]) -> str:
    return render_template(
        "members/invite.html",
        email=email,
        role=role,
        errors=errors,
        role_texts=ROLE_TEXTS,
        grantable=service.grantable(current()),
    )


def _edit_form(person: service.Person, role: Role, errors: dict[str, str]) -> str:
    return render_template(
        "members/edit.html",
        person_=person,
        role=role,
        errors=errors,
        role_texts=ROLE_TEXTS,
        grantable=service.grantable(current()),
    )
