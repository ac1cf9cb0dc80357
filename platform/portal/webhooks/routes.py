"""Webhooks under Settings: endpoints, their keys, the delivery log."""

from collections.abc import Collection
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from ....config.errors import CallError
from ....tenant_schema.tables import DELIVERY_STATES
from ...web import limits, tenant
from ...web.formats import plural, span
from ...web.member import current
from ...web.permissions import Permission, requires
from ...web.stepup import fresh
from ...webhooks.events import EVENTS
from . import service

TESTS = "20 per minute"

blueprint = Blueprint("webhooks", __name__, template_folder="templates", url_prefix="/settings/webhooks")


@blueprint.get("")
@requires(Permission.INTEGRATE)
def index() -> ResponseReturnValue:
    """All endpoints."""
    return render_template("webhooks/index.html", endpoints=service.listed(datetime.now(UTC)))


@blueprint.get("/new")
@requires(Permission.INTEGRATE)
@fresh
def new() -> ResponseReturnValue:
    """The form for an endpoint; every event is chosen."""
    return _form(None, "", "", list(EVENTS), {})


@blueprint.post("/new")
@requires(Permission.INTEGRATE)
@fresh
def add() -> ResponseReturnValue:
    """Add an endpoint and show its key, this once."""
    try:
        wanted = service.read(*_typed())
    except CallError as error:
        return _form(None, *_typed(), {error.field or "form": str(error)}), 422
    endpoint_id, secret = service.add(current(), wanted)
    return _secret_page(endpoint_id, secret, rotated=False)


@blueprint.get("/<uuid:endpoint_id>")
@requires(Permission.INTEGRATE)
def show(endpoint_id: UUID) -> ResponseReturnValue:
    """One endpoint with its delivery log."""
    now = datetime.now(UTC)
    found = service.find(endpoint_id, now)
    state = request.args.get("state", "")
    state = state if state in DELIVERY_STATES else ""
    lines, older = service.log(endpoint_id, state or None, _uuid(request.args.get("before")))
    return render_template(
        "webhooks/show.html",
        endpoint=found,
        why_paused=service.said_of(found),
        lines=lines,
        state=state,
        before=request.args.get("before"),
        older=lines[-1].delivery.id if older else None,
        event_texts=EVENTS,
        since=(now - timedelta(days=7)).date(),
        today=now.date(),
    )


@blueprint.get("/<uuid:endpoint_id>/edit")
@requires(Permission.INTEGRATE)
def edit(endpoint_id: UUID) -> ResponseReturnValue:
    """The form with what is saved."""
    found = service.find(endpoint_id, datetime.now(UTC))
    return _form(found.id, found.url, found.description, found.events, {})


@blueprint.post("/<uuid:endpoint_id>/edit")
@requires(Permission.INTEGRATE)
@fresh
def save(endpoint_id: UUID) -> ResponseReturnValue:
    """Save an endpoint."""
    service.find(endpoint_id, datetime.now(UTC))
    try:
        wanted = service.read(*_typed())
    except CallError as error:
        return _form(endpoint_id, *_typed(), {error.field or "form": str(error)}), 422
    service.change(current(), endpoint_id, wanted)
    flash("The webhook is saved.")
    return _to(endpoint_id)


@blueprint.post("/<uuid:endpoint_id>/rotate")
@requires(Permission.INTEGRATE)
@fresh
def rotate(endpoint_id: UUID) -> ResponseReturnValue:
    """Make a new key and show it, this once."""
    secret = service.rotate(current(), endpoint_id, datetime.now(UTC))
    return _secret_page(endpoint_id, secret, rotated=True)


@blueprint.post("/<uuid:endpoint_id>/pause")
@requires(Permission.INTEGRATE)
def pause(endpoint_id: UUID) -> ResponseReturnValue:
    """Stop delivering."""
    service.pause(current(), endpoint_id)
    flash("Paused. What happens meanwhile is kept for 30 days and sent when you resume.")
    return _to(endpoint_id)


@blueprint.post("/<uuid:endpoint_id>/resume")
@requires(Permission.INTEGRATE)
def resume(endpoint_id: UUID) -> ResponseReturnValue:
    """Deliver again."""
    service.resume(current(), endpoint_id)
    flash("Resumed. What has waited is sent now.")
    return _to(endpoint_id)


@blueprint.post("/<uuid:endpoint_id>/delete")
@requires(Permission.INTEGRATE)
def delete(endpoint_id: UUID) -> ResponseReturnValue:
    """Remove an endpoint with its log."""
    service.delete(current(), endpoint_id)
    flash("The webhook and its log are deleted.")
    return redirect(url_for("webhooks.index"), 303)


@blueprint.post("/<uuid:endpoint_id>/test")
@requires(Permission.INTEGRATE)
def test(endpoint_id: UUID) -> ResponseReturnValue:
    """Send a test event and go to where its attempts appear."""
    limits.hit(TESTS, "webhook-test", tenant.tenant().id)
    delivery_id = service.test(current(), endpoint_id)
    return redirect(url_for("webhooks.delivery", delivery_id=delivery_id), 303)


@blueprint.post("/<uuid:endpoint_id>/replay")
@requires(Permission.INTEGRATE)
def replay_failed(endpoint_id: UUID) -> ResponseReturnValue:
    """Send what failed since a day once more."""
    service.find(endpoint_id, datetime.now(UTC))
    try:
        since = datetime.combine(date.fromisoformat(request.form.get("since", "")), time(), UTC)
    except ValueError as error:
        raise CallError("Choose the day from which on messages are to be sent again.") from error
    count = service.replay_failed(current(), endpoint_id, since)
    flash(f"{plural(count, 'message')} will be sent again." if count else "Nothing has failed since then.")
    return _to(endpoint_id)


@blueprint.get("/deliveries/<uuid:delivery_id>")
@requires(Permission.INTEGRATE)
def delivery(delivery_id: UUID) -> ResponseReturnValue:
    """One message: its body and each attempt. For htmx only the part that changes while it is being delivered."""
    one, attempts, body = service.delivery(delivery_id)
    endpoint = service.find(one.endpoint_id, datetime.now(UTC))
    partial = request.headers.get("HX-Request") == "true" and "HX-History-Restore-Request" not in request.headers
    page = "webhooks/attempts.html" if partial else "webhooks/delivery.html"
    wait = max(one.next_at - datetime.now(UTC), timedelta(0))
    soon = one.state == "waiting" and wait < timedelta(minutes=2) and not endpoint.paused_at
    return render_template(page, one=one, attempts=attempts, body=body, endpoint=endpoint, soon=soon, wait=span(wait))


@blueprint.post("/deliveries/<uuid:delivery_id>/replay")
@requires(Permission.INTEGRATE)
def replay(delivery_id: UUID) -> ResponseReturnValue:
    """Send one message once more."""
    service.replay_one(current(), delivery_id)
    flash("It is sent again, under the same id.")
    return redirect(url_for("webhooks.delivery", delivery_id=delivery_id), 303)


def _typed() -> tuple[str, str, list[str]]:
    return request.form.get("url", ""), request.form.get("description", ""), request.form.getlist("events")


def _form(endpoint_id: UUID | None, url: str, description: str, chosen: Collection[str], errors: dict[str, str]) -> str:
    return render_template(
        "webhooks/form.html",
        endpoint_id=endpoint_id,
        url=url,
        description=description,
        chosen=chosen,
        errors=errors,
        event_texts=EVENTS,
    )


def _secret_page(endpoint_id: UUID, secret: str, *, rotated: bool) -> str:
    found = service.find(endpoint_id, datetime.now(UTC))
    return render_template("webhooks/secret.html", endpoint=found, secret=secret, rotated=rotated)


def _to(endpoint_id: UUID) -> ResponseReturnValue:
    return redirect(url_for("webhooks.show", endpoint_id=endpoint_id), 303)


def _uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None
