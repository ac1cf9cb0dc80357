"""Cards under Settings: the feed's key, whose card is whose, what the feed has sent."""

from datetime import UTC, datetime
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from ....config.errors import CallError
from ...cards.masking import mask
from ...web.formats import plural
from ...web.member import current
from ...web.permissions import Permission, requires
from ...web.stepup import fresh
from . import service

FIELDS = ("member", "token", "brand", "last_four")

blueprint = Blueprint("cards", __name__, template_folder="templates", url_prefix="/settings/cards")


@blueprint.get("")
@requires(Permission.INTEGRATE)
def index() -> ResponseReturnValue:
    """The feed, the cards, and the newest payments."""
    return _page({}, {})


@blueprint.post("")
@requires(Permission.INTEGRATE)
def add() -> ResponseReturnValue:
    """Say who pays by a card."""
    typed = {name: request.form.get(name, "") for name in FIELDS}
    try:
        service.add_card(current(), **typed)
    except CallError as error:
        kept = typed | {"token": mask(typed["token"]), "last_four": typed["last_four"][:4]}
        return _page(kept, {error.field or "form": str(error)}), 422
    flash("The card is added.")
    return _back()


@blueprint.post("/<uuid:card_id>/remove")
@requires(Permission.INTEGRATE)
def remove(card_id: UUID) -> ResponseReturnValue:
    """Take a card out of use."""
    service.remove_card(current(), card_id)
    flash("The card is removed. Its expenses stay.")
    return _back()


@blueprint.post("/feed")
@requires(Permission.INTEGRATE)
@fresh
def start() -> ResponseReturnValue:
    """Start the feed and show its key, this once."""
    return _key_page(service.start_feed(current()), rotated=False)


@blueprint.post("/feed/rotate")
@requires(Permission.INTEGRATE)
@fresh
def rotate() -> ResponseReturnValue:
    """Make a new key and show it, this once."""
    return _key_page(service.rotate_feed(current(), datetime.now(UTC)), rotated=True)


@blueprint.post("/feed/stop")
@requires(Permission.INTEGRATE)
def stop() -> ResponseReturnValue:
    """Take nothing any more."""
    service.stop_feed(current())
    flash("The card feed is stopped; its key no longer works.")
    return _back()


@blueprint.post("/retry")
@requires(Permission.INTEGRATE)
def retry() -> ResponseReturnValue:
    """Look once more at the payments that made no expense."""
    count = service.retry()
    flash(f"{plural(count, 'payment')} will be looked at again." if count else "Every payment has its expense.")
    return _back()


def _page(typed: dict[str, str], errors: dict[str, str]) -> str:
    return render_template(
        "cards/index.html",
        feed=service.feed_state(datetime.now(UTC)),
        address=service.feed_address(),
        cards=service.cards(),
        holders=service.holders(),
        brands=[(brand, brand) for brand in service.BRANDS],
        payments=service.payments(),
        failed=service.count_failed(),
        typed=typed,
        errors=errors,
    )


def _key_page(secret: str, *, rotated: bool) -> str:
    feed = service.feed_state(datetime.now(UTC))
    return render_template("cards/key.html", secret=secret, rotated=rotated, feed=feed, address=service.feed_address())


def _back() -> ResponseReturnValue:
    return redirect(url_for("cards.index"), 303)
