"""Handing over the workspace: an Owner offers it, the other member accepts or declines."""

from datetime import UTC, datetime
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from ....config.errors import CallError, RefusedError
from ...web.member import current
from ...web.permissions import Permission, requires
from ...web.stepup import fresh
from . import transfer

blueprint = Blueprint("transfer", __name__, url_prefix="/transfer")


@blueprint.get("")
@requires(Permission.GOVERN)
def page() -> ResponseReturnValue:
    """The open transfer, or the form for one."""
    return _page({})


@blueprint.post("")
@requires(Permission.GOVERN)
@fresh
def start() -> ResponseReturnValue:
    """Offer the workspace to a member."""
    try:
        stays = request.form.get("stays") == "yes"
        transfer.start(current(), _chosen(), stays_owner=stays, now=datetime.now(UTC))
    except CallError as error:
        return _page({error.field or "form": str(error)}), 422
    except RefusedError as error:
        return _page({"form": str(error)}), 409
    flash("The offer is on its way. Nothing changes until it is accepted.")
    return redirect(url_for("members.transfer.page"), 303)


@blueprint.post("/cancel")
@requires(Permission.GOVERN)
def cancel() -> ResponseReturnValue:
    """Take the offer back."""
    transfer.cancel(current(), datetime.now(UTC))
    flash("The offer is withdrawn. Nothing has changed.")
    return redirect(url_for("members.transfer.page"), 303)


@blueprint.get("/offer")
@requires(Permission.USE)
def offer() -> ResponseReturnValue:
    """What is offered to this member, to accept or to decline."""
    return render_template("members/offer.html", offer=transfer.offered_to(current(), datetime.now(UTC)))


@blueprint.post("/accept")
@requires(Permission.USE)
@fresh
def accept() -> ResponseReturnValue:
    """Become an Owner."""
    transfer.accept(current(), request.form.get("version", ""), datetime.now(UTC))
    flash("You are now an Owner of this workspace.")
    return redirect(url_for("members.index"), 303)


@blueprint.post("/decline")
@requires(Permission.USE)
def decline() -> ResponseReturnValue:
    """Say no to the offer."""
    transfer.decline(current(), request.form.get("version", ""), datetime.now(UTC))
    flash("You have declined. Nothing has changed.")
    return redirect(url_for("members.index"), 303)


def _chosen() -> UUID:
    try:
        return UUID(request.form.get("member", ""))
    except ValueError as error:
        raise CallError("Choose a member.", "member") from error


def _page(errors: dict[str, str]) -> str:
    return render_template(
        "members/transfer.html",
        offer=transfer.offered(datetime.now(UTC)),
        candidates=transfer.candidates(current()),
        chosen=request.form.get("member", ""),
        stays=request.form.get("stays", ""),
        errors=errors,
    )
