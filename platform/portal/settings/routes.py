"""Settings: one's own profile and sessions, the workspace, its backups."""

from datetime import UTC, datetime
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from ....config.errors import CallError
from ....tenant_schema.queries import settings as settings_queries
from ...protection import queries as protection
from ...web import limits, sessions, tenant
from ...web.formats import plural
from ...web.member import current
from ...web.permissions import Permission, requires
from . import places, queries, service

blueprint = Blueprint("settings", __name__, template_folder="templates", url_prefix="/settings")


@blueprint.get("")
@requires(Permission.USE)
def index() -> ResponseReturnValue:
    """To the first page of the settings."""
    return redirect(url_for("settings.profile"), 303)


@blueprint.get("/profile")
@requires(Permission.USE)
def profile() -> ResponseReturnValue:
    """The member's own name and password."""
    return _profile_form(current().name, {})


@blueprint.post("/profile")
@requires(Permission.USE)
def save_profile() -> ResponseReturnValue:
    """Change the member's own name."""
    name = request.form.get("name", "")
    try:
        service.rename(current(), name)
    except CallError as error:
        return _profile_form(name, {"name": str(error)}), 422
    flash("Your name is saved.")
    return redirect(url_for("settings.profile"), 303)


@blueprint.post("/password")
@requires(Permission.USE)
def save_password() -> ResponseReturnValue:
    """Change the member's own password; this browser gets a new session, the others end."""
    account = ("password", tenant.tenant().id, str(current().id))
    limits.hit_growing(*account)
    try:
        with limits.given_back_if_busy(*account):
            service.change_password(current(), request.form.get("old_password", ""), request.form.get("password", ""))
    except CallError as error:
        return _profile_form(current().name, {error.field or "password": str(error)}), 422
    sessions.rotate(end_others=True)
    flash("Your password is changed, and your other sessions have ended.")
    return redirect(url_for("settings.profile"), 303)


@blueprint.get("/sessions")
@requires(Permission.USE)
def list_sessions() -> ResponseReturnValue:
    """Where the member is signed in."""
    return render_template("settings/sessions.html", sessions=places.sessions_of(current(), datetime.now(UTC)))


@blueprint.post("/sessions/<uuid:session_id>/end")
@requires(Permission.USE)
def end_session(session_id: UUID) -> ResponseReturnValue:
    """End one of the member's own sessions."""
    places.end_session(current(), session_id)
    if session_id == current().session_id:
        sessions.end()
        return redirect(url_for("access.sign_in"), 303)
    flash("That session has ended.")
    return redirect(url_for("settings.list_sessions"), 303)


@blueprint.post("/sessions/end-others")
@requires(Permission.USE)
def end_other_sessions() -> ResponseReturnValue:
    """End all of the member's sessions but this one."""
    ended = places.end_others(current())
    flash(f"{plural(ended, 'other session')} ended." if ended else "There was no other session.")
    return redirect(url_for("settings.list_sessions"), 303)


@blueprint.get("/workspace")
@requires(Permission.VIEW_CONFIGURATION)
def workspace() -> ResponseReturnValue:
    """The workspace's name, base currency, address, region, and who may approve their own."""
    conn = tenant.connection()
    self_approval = bool(settings_queries.value(conn, settings_queries.SELF_APPROVAL))
    return _workspace_form(tenant.tenant().name, settings_queries.base_currency(conn), self_approval, {})


@blueprint.post("/workspace")
@requires(Permission.CONFIGURE)
def save_workspace() -> ResponseReturnValue:
    """Change the workspace's name, base currency, and whether who works alone approves their own."""
    name, currency = request.form.get("name", ""), request.form.get("currency", "")
    self_approval = "self_approval" in request.form
    try:
        with tenant.platform().control.begin() as control:
            service.save_workspace(control, current(), name, currency, self_approval=self_approval)
    except CallError as error:
        return _workspace_form(name, currency, self_approval, {error.field or "name": str(error)}), 422
    flash("The workspace is saved.")
    return redirect(url_for("settings.workspace"), 303)


@blueprint.get("/backups")
@requires(Permission.USE)
def backups() -> ResponseReturnValue:
    """When the workspace was last backed up, and when a restore was last proved."""
    platform, here = tenant.platform(), tenant.tenant()
    with platform.control.connect() as control:
        lines = queries.recent_backups(control, here.id)
        policy = protection.policies(control, platform.settings)[here.plan]
        region = queries.region_of(control, here.id)
    return render_template(
        "settings/backups.html",
        backups=lines,
        size=next((line.size for line in lines if line.size), None),
        how_often=service.how_often(policy),
        how_long=service.how_long(policy),
        region=region,
    )


def _profile_form(name: str, errors: dict[str, str]) -> str:
    return render_template("settings/profile.html", name=name, errors=errors)


def _workspace_form(name: str, currency: str, self_approval: bool, errors: dict[str, str]) -> str:
    platform, here = tenant.platform(), tenant.tenant()
    with platform.control.connect() as control:
        region = queries.region_of(control, here.id)
    return render_template(
        "settings/workspace.html",
        name=name,
        currency=currency,
        self_approval=self_approval,
        errors=errors,
        currencies=service.currencies(),
        address=platform.settings.workspace_url(here.slug).removeprefix("https://"),
        region=region,
    )
