"""The page of the tokens by which programs use the API."""

from datetime import UTC, datetime
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from ....config.errors import CallError, RefusedError
from ...api.scopes import READ_ONLY, ApiScope
from ...web.member import current
from ...web.permissions import Permission, requires
from ...web.stepup import fresh
from . import service

blueprint = Blueprint("tokens", __name__, template_folder="templates", url_prefix="/settings/tokens")

DEFAULT_DAYS = 90
LIFETIME_LABELS = {7: "in 7 days", 30: "in 30 days", 90: "in 90 days", 365: "in a year"}


@blueprint.get("")
@requires(Permission.INTEGRATE)
def index() -> ResponseReturnValue:
    """The tokens there are."""
    return render_template("tokens/index.html", tokens=service.lines(current(), datetime.now(UTC)))


@blueprint.get("/new")
@requires(Permission.INTEGRATE)
@fresh
def new() -> ResponseReturnValue:
    """The form for a token, which only reads unless somebody chooses more."""
    return _form("", list(READ_ONLY), DEFAULT_DAYS, {})


@blueprint.post("/new")
@requires(Permission.INTEGRATE)
@fresh
def make() -> ResponseReturnValue:
    """Make a token and show it, this once."""
    name, scopes = request.form.get("name", ""), request.form.getlist("scopes")
    days = request.form.get("days", type=int)
    try:
        made = service.make(current(), name, scopes, days, datetime.now(UTC))
    except CallError as error:
        return _form(name, scopes, days, {error.field or "form": str(error)}), 422
    except RefusedError as error:
        return _form(name, scopes, days, {"form": str(error)}), 409
    return render_template("tokens/made.html", made=made)


@blueprint.post("/<uuid:token_id>/revoke")
@requires(Permission.INTEGRATE)
def revoke(token_id: UUID) -> ResponseReturnValue:
    """End a token."""
    ended = service.revoke(current(), token_id, datetime.now(UTC))
    flash(f"“{ended.name}” is revoked; programs that use it are refused from now on.")
    return redirect(url_for("tokens.index"), 303)


def _form(name: str, scopes: list[str], days: int | None, errors: dict[str, str]) -> str:
    return render_template(
        "tokens/new.html",
        name=name,
        chosen=scopes,
        days=days,
        errors=errors,
        scopes=list(ApiScope),
        lifetimes=LIFETIME_LABELS,
    )
