"""Cards and the feed's key, for who may integrate. Of a card only token, brand and last four. Nothing here commits."""

import json
import re
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from ....config.errors import CallError, NotFoundError, RefusedError
from ....tenant_schema import tables
from ....tenant_schema.ids import new_uuid7
from ....tenant_schema.queries import audit, members
from ....tenant_schema.queries import cards as queries
from ....tenant_schema.queries.cards import Incoming
from ...web import refusals, tenant
from ...web.member import CurrentMember
from ...web.permissions import Permission, Role, allowed
from ...webhooks.signature import ROTATION, new_secret
from ..cardfeed.messages import check_token
from ..cardfeed.prompt import wake_after_commit
from ..expenses import reach

BRANDS: Final = ("Visa", "Mastercard", "American Express", "Diners Club", "Discover", "JCB", "UnionPay", "Other")
SHOWN_PAYMENTS: Final = 25
_LAST_FOUR: Final = re.compile(r"[0-9]{4}", re.ASCII)


@dataclass(frozen=True, slots=True)
class CardLine:
    """A card in use, and who pays by it."""

    id: UUID
    holder: str
    brand: str
    last_four: str
    token: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Payment:
    """What the feed has sent, and what became of it. `expense_id` of None without an error: deleted, or waiting."""

    merchant: str
    amount: Decimal
    currency: str
    spent_on: date
    received_at: datetime
    state: str
    error: str | None
    expense_id: UUID | None


@dataclass(frozen=True, slots=True)
class FeedState:
    """Whether there is a feed, since when, and until when two keys count."""

    since: datetime
    both_keys_until: datetime | None


def feed_state(now: datetime) -> FeedState | None:
    """The feed as the page shows it; None where there is none."""
    feed = queries.feed(tenant.connection())
    if feed is None:
        return None
    both = feed.previous_until if feed.previous_until and feed.previous_until > now else None
    return FeedState(feed.created_at, both)


def feed_address() -> str:
    """Where the feed sends to."""
    return f"{tenant.platform().settings.workspace_url(tenant.tenant().slug)}/hooks/cards"


def start_feed(actor: CurrentMember) -> str:
    """Start the feed and return its key, which is never shown again. Raises `RefusedError` where there is one."""
    conn, c = tenant.connection(), tables.card_feed.c
    if queries.feed(conn) is not None:
        raise RefusedError("The card feed has been started already; make a new key if you lack the present one.")
    row_id, secret = new_uuid7(), new_secret()
    sealed = tenant.cipher().seal(c.secret, row_id, secret)
    queries.start_feed(conn, {"id": row_id, "secret": sealed, "created_by": actor.id})
    _note(actor, "card_feed.started")
    return secret


def rotate_feed(actor: CurrentMember, now: datetime) -> str:
    """Give the feed a new key and return it; the one before counts beside it for a day."""
    conn, c, cipher = tenant.connection(), tables.card_feed.c, tenant.cipher()
    feed = queries.feed(conn, lock=True)
    if feed is None:
        raise NotFoundError("There is no card feed; start it first.")
    secret = new_secret()
    before = cipher.open(c.secret, feed.id, feed.secret)
    values = {
        "secret": cipher.seal(c.secret, feed.id, secret),
        "previous_secret": cipher.seal(c.previous_secret, feed.id, before),
        "previous_until": now + ROTATION,
    }
    queries.change_feed(conn, feed.id, values)
    _note(actor, "card_feed.key_rotated")
    return secret


def stop_feed(actor: CurrentMember) -> None:
    """Take nothing any more. The cards stay."""
    if queries.end_feed(tenant.connection()):
        _note(actor, "card_feed.stopped")


def cards() -> list[CardLine]:
    """The cards in use."""
    conn = tenant.connection()
    names = reach.names(conn, tenant.cipher())
    return [
        CardLine(one.id, names[one.member_id], one.brand, one.last_four, one.token, one.created_at)
        for one in queries.listed(conn)
    ]


def holders() -> list[tuple[UUID, str]]:
    """Who may have a card: everybody who may enter expenses, by name."""
    cipher, column = tenant.cipher(), tables.member.c.name
    found = [
        (one.id, cipher.open(column, one.id, one.name))
        for one in members.list_active(tenant.connection())
        if allowed(Role(one.role), Permission.SPEND)
    ]
    return sorted(found, key=lambda one: one[1].casefold())


def add_card(actor: CurrentMember, member: str, token: str, brand: str, last_four: str) -> None:
    """Say who pays by a card, and look at what came before it was known. Raises `CallError`."""
    holder = next((one for one, _ in holders() if str(one) == member), None)
    if holder is None:
        refusals.note_unknown([member], [one for one, _ in holders()])
        raise CallError("Choose who pays by this card.", "member")
    token = check_token(token)
    if brand not in BRANDS:
        raise CallError("Choose the card's brand.", "brand")
    if not _LAST_FOUR.fullmatch(last_four.strip()):
        raise CallError("Enter the last four digits of the card, and no others.", "last_four")
    conn, row_id = tenant.connection(), new_uuid7()
    if not queries.add(conn, card_id=row_id, member_id=holder, token=token, brand=brand, last_four=last_four.strip()):
        raise CallError("A card with this token is here already.", "token")
    _note(actor, "card.added", row_id, {"member": str(holder)})
    retry()


def remove_card(actor: CurrentMember, card_id: UUID) -> None:
    """Take a card out of use. Raises `NotFoundError`."""
    if not queries.remove(tenant.connection(), card_id):
        raise NotFoundError("There is no such card here.")
    _note(actor, "card.removed", card_id)


def retry() -> int:
    """Look once more at what made no expense; return how many."""
    count = queries.retry(tenant.connection())
    if count:
        wake_after_commit()
    return count


def payments() -> list[Payment]:
    """The newest of what the feed has sent."""
    conn = tenant.connection()
    rows = queries.newest(conn, SHOWN_PAYMENTS)
    states = queries.states(conn, [one.expense_id for one in rows if one.expense_id])
    return [_payment(one, states) for one in rows]


def count_failed() -> int:
    """How many payments made no expense."""
    return queries.count_failed(tenant.connection())


def _payment(one: Incoming, states: dict[UUID, str]) -> Payment:
    paid = json.loads(tenant.cipher().open(tables.incoming_event.c.payload, one.id, one.payload))
    if one.processed_at is None:
        state = "waiting"
    elif one.error:
        state = "failed"
    else:
        state = states.get(one.expense_id, "removed") if one.expense_id else "removed"
    return Payment(
        paid["merchant"],
        Decimal(paid["amount"]),
        paid["currency"],
        date.fromisoformat(paid["date"]),
        one.received_at,
        state,
        one.error,
        one.expense_id,
    )


def _note(
    actor: CurrentMember, action: str, card_id: UUID | None = None, detail: dict[str, object] | None = None
) -> None:
    audit.record(tenant.connection(), actor.id, action, "card" if card_id else None, card_id, detail)
