"""The list of members; inviting, changing roles, removing."""

from datetime import UTC, datetime
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from ....config.errors import CallError, RefusedError
from ...web.formats import plural
from ...web.member import current
from ...web.permissions import Permission, Role, requires
from ...web.stepup import fresh
from . import changes, invitations, leaving, review_routes, service, transfer, transfer_routes
from .invitation_routes import blueprint as invitation_pages
from .roles import ROLE_TEXTS, role_from

blueprint = Blueprint("members", __name__, template_folder="templates", url_prefix="/members")
for part in (invitation_pages, transfer_routes.blueprint, review_routes.blueprint):
    blueprint.register_blueprint(part)


@blueprint.get("")
@requires(Permission.USE)
def index() -> ResponseReturnValue:
    """Everybody in the workspace, and who is invited."""
    may_manage, now = current().may(Permission.MANAGE_MEMBERS), datetime.now(UTC)
    return render_template(
        "members/index.html",
        people=service.people(current()),
        invited=invitations.pending(now) if may_manage else [],
        offer=transfer.offered_to(current(), now),
        may_manage=may_manage,
        grantable=service.grantable(current()),
        role_texts=ROLE_TEXTS,
    )


@blueprint.get("/<uuid:member_id>")
@requires(Permission.MANAGE_MEMBERS)
def edit(member_id: UUID) -> ResponseReturnValue:
    """The form for a member's role."""
    person = service.person(member_id, current())
    return _page("members/edit.html", person, role=person.role)


@blueprint.post("/<uuid:member_id>")
@requires(Permission.MANAGE_MEMBERS)
@fresh
def save(member_id: UUID) -> ResponseReturnValue:
    """Change a member's role."""
    person, page = service.person(member_id, current()), "members/edit.html"
    try:
        successor = leaving.read_successor(request.form.get("approver", ""))
        role = role_from(request.form.get("role", ""))
        changes.change_role(current(), person, role, successor, request.form.get("was"), datetime.now(UTC))
    except CallError as error:
        wanted = request.form.get("role", person.role)
        return _page(page, person, role=wanted, errors={error.field or "form": str(error)}), 422
    except RefusedError as error:
        person = service.person(member_id, current())
        return _page(page, person, role=person.role, errors={"form": str(error)}), 409
    flash(f"{person.name} is now {role.label}.")
    return redirect(url_for("members.index"), 303)


@blueprint.post("/<uuid:member_id>/sessions/end")
@requires(Permission.MANAGE_MEMBERS)
def end_sessions(member_id: UUID) -> ResponseReturnValue:
    """Sign a member out everywhere."""
    person = service.person(member_id, current())
    ended = changes.end_sessions(current(), person)
    flash(f"{person.name} is signed out: {plural(ended, 'session')} ended.")
    return redirect(url_for("members.edit", member_id=member_id), 303)


@blueprint.get("/<uuid:member_id>/remove")
@requires(Permission.MANAGE_MEMBERS)
def before_removing(member_id: UUID) -> ResponseReturnValue:
    """What a removal ends, what stays, and who takes over."""
    return _page("members/remove.html", service.person(member_id, current()))


@blueprint.post("/<uuid:member_id>/remove")
@requires(Permission.MANAGE_MEMBERS)
@fresh
def remove(member_id: UUID) -> ResponseReturnValue:
    """Take a member out of the workspace."""
    person, page = service.person(member_id, current()), "members/remove.html"
    try:
        successor = leaving.read_successor(request.form.get("approver", ""))
        moved = changes.remove(current(), person, successor, request.form.get("was"), datetime.now(UTC))
    except CallError as error:
        return _page(page, person, errors={error.field or "form": str(error)}), 422
    except RefusedError as error:
        return _page(page, service.person(member_id, current()), errors={"form": str(error)}), 409
    handed = f" {plural(moved, 'report')} handed over." if moved else ""
    flash(f"{person.name} is no longer a member.{handed}")
    return redirect(url_for("members.index"), 303)


def _page(
    template: str, person: service.Person, *, role: Role | str | None = None, errors: dict[str, str] | None = None
) -> str:
    found = leaving.footprint(person, datetime.now(UTC))
    return render_template(
        template,
        person_=person,
        role=role,
        errors=errors or {},
        role_texts=ROLE_TEXTS,
        grantable=service.grantable(current()),
        footprint=found,
        successors=leaving.candidates(person, current()) if leaving.has_decisions(found) else None,
        chosen=request.form.get("approver", ""),
        anyone=leaving.ANYONE,
    )
