"""The public site on the bare domain: landing page, sign-up, the way to an existing workspace."""

from typing import Any

from flask import Blueprint, Response, make_response, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from ....config.errors import CallError, NotFoundError, RefusedError
from ...tenants import queries
from ...tenants.requests import invitation_link
from ...tenants.states import TenantState
from ...web import limits
from ...web.permissions import public
from ...web.tenant import platform
from . import service

SIGN_UPS = "20 per hour"
LOOK_UPS = "60 per minute"
MADE_HERE = "made_here"  # in the signed cookie: the id of the workspace that this browser signed up

blueprint = Blueprint("signup", __name__, template_folder="templates")


@blueprint.get("/")
@public
def landing() -> ResponseReturnValue:
    """What the product is."""
    return render_template("signup/landing.html", **_terms())


@blueprint.get("/sign-up")
@public
def sign_up() -> ResponseReturnValue:
    """The sign-up form."""
    return _form({}, {})


@blueprint.post("/sign-up")
@public
def sign_up_now() -> ResponseReturnValue:
    """Ask for the workspace and go on to where its making is shown."""
    limits.hit(SIGN_UPS, "sign-up", limits.address())
    values = {field: request.form.get(field, "").strip() for field in ("name", "slug", "email")}
    values["slug"] = values["slug"].lower()
    try:
        made = service.sign_up(platform(), values["name"], values["slug"], values["email"])
    except CallError as error:
        return _form(values, {error.field or "form": str(error)}), 422
    except RefusedError:
        return _form(values, {"slug": "This address is taken; choose another."}), 409
    session[MADE_HERE] = made.id
    return redirect(url_for("signup.preparing"), 303)


@blueprint.get("/sign-up/address")
@public
def check_address() -> ResponseReturnValue:
    """Whether an address is free, beneath the field while it is typed."""
    limits.hit(LOOK_UPS, "address", limits.address())
    slug = request.args.get("slug", "").strip().lower()
    if not slug:
        return ""
    with platform().control.connect() as conn:
        problem = service.why_not(conn, slug)
    return render_template("signup/address.html", problem=problem, address=_host_of(slug))


@blueprint.get("/sign-up/preparing")
@public
def preparing() -> ResponseReturnValue:
    """The workspace that this browser signed up, being prepared."""
    return render_template("signup/preparing.html", **_progress())


@blueprint.get("/sign-up/progress")
@public
def progress() -> ResponseReturnValue:
    """The part of that page which changes. Status 286 tells htmx to stop asking."""
    found = _progress()
    status = 286 if found["link"] else 200
    return render_template("signup/progress.html", **found), status


@blueprint.get("/workspace")
@public
def find_workspace() -> ResponseReturnValue:
    """The way to an existing workspace, by its name in the address."""
    slug = request.args.get("name", "").strip().lower()
    if not slug:
        return render_template("signup/find.html", slug="", error=None)
    limits.hit(LOOK_UPS, "workspace", limits.address())
    with platform().control.connect() as conn:
        known = service.exists(conn, slug)
    if not known:
        error = "There is no workspace at this address. Look into the invitation you were sent, or ask its owner."
        return render_template("signup/find.html", slug=slug, error=error), 404
    return _leave_for(platform().settings.workspace_url(slug))


def _leave_for(address: str) -> Response:
    """A redirect would be stopped by the policy for forms, which may lead to this host only; a refresh is not."""
    response = make_response(render_template("signup/leave.html", address=address))
    response.headers["Refresh"] = f"0; url={address}"
    return response


def _progress() -> dict[str, Any]:
    """How far the workspace of this browser is; its link once it is ready, for nobody else."""
    tenant_id = session.get(MADE_HERE)
    if not isinstance(tenant_id, str):
        raise NotFoundError("No workspace was signed up in this browser, or it was some time ago.")
    with platform().control.connect() as conn:
        made = queries.by_id(conn, tenant_id)
    ready = made.state is TenantState.ACTIVE
    link = invitation_link(platform().settings, platform().keys, made) if ready else None
    return {"workspace": made, "link": link, "address": _host_of(made.slug)}


def _form(values: dict[str, str], errors: dict[str, str]) -> str:
    return render_template("signup/sign_up.html", values=values, errors=errors, domain=_host_of(""))


def _host_of(slug: str) -> str:
    return platform().settings.workspace_url(slug).removeprefix("https://")


def _terms() -> dict[str, int]:
    settings = platform().settings
    return {"interval": settings.backup_interval_hours, "retention": settings.backup_retention_days}
