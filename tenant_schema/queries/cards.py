"""SQL over payment cards, the key of the card feed, and what the feed has sent."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Boolean, Connection, delete, func, insert, literal_column, select, update
from sqlalchemy.dialects.postgresql import insert as insert_or_update

from ..tables import card, card_feed, expense, incoming_event

SOURCE = "cards"


@dataclass(frozen=True, slots=True)
class Card:
    """A card by which a member pays. `token` is the processor's name for it."""

    id: UUID
    member_id: UUID
    token: str
    brand: str
    last_four: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Feed:
    """The feed's keys, sealed."""

    id: UUID
    secret: bytes
    previous_secret: bytes | None
    previous_until: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Incoming:
    """What the feed has sent, sealed; `merchant` and the rest are inside. `error` says why it made no expense."""

    id: UUID
    payload: bytes
    received_at: datetime
    processed_at: datetime | None
    error: str | None
    expense_id: UUID | None


_C, _F, _I = card.c, card_feed.c, incoming_event.c
_CARD = select(_C.id, _C.member_id, _C.token, _C.brand, _C.last_four, _C.created_at).where(_C.removed_at.is_(None))
_FEED = select(_F.id, _F.secret, _F.previous_secret, _F.previous_until, _F.created_at).order_by(_F.id.desc()).limit(1)
_INCOMING = select(_I.id, _I.payload, _I.received_at, _I.processed_at, _I.error, _I.expense_id)


def listed(conn: Connection) -> list[Card]:
    """The cards in use, the newest first."""
    return [Card(*row) for row in conn.execute(_CARD.order_by(_C.created_at.desc(), _C.id.desc()))]


def by_token(conn: Connection, token: str) -> Card | None:
    """The card in use with this token."""
    row = conn.execute(_CARD.where(_C.token == token)).first()
    return Card(*row) if row else None


def add(conn: Connection, *, card_id: UUID, member_id: UUID, token: str, brand: str, last_four: str) -> bool:
    """Add a card, or bring back the one with this token; False where it is in use."""
    row = {"member_id": member_id, "brand": brand, "last_four": last_four}
    statement = insert_or_update(card).values(id=card_id, token=token, **row)
    again = row | {"removed_at": None, "created_at": func.now()}
    statement = statement.on_conflict_do_update(index_elements=[_C.token], set_=again, where=_C.removed_at.is_not(None))
    return conn.execute(statement.returning(_C.id)).first() is not None


def remove(conn: Connection, card_id: UUID) -> bool:
    """Take a card out of use; False where it is already."""
    statement = update(card).where(_C.id == card_id, _C.removed_at.is_(None))
    return conn.execute(statement.values(removed_at=func.now())).rowcount == 1


def feed(conn: Connection, *, lock: bool = False) -> Feed | None:
    """The feed's keys; None where there is no feed."""
    row = conn.execute(_FEED.with_for_update() if lock else _FEED).first()
    return Feed(*row) if row else None


def start_feed(conn: Connection, values: Mapping[str, Any]) -> None:
    """Make the feed's row."""
    conn.execute(insert(card_feed), dict(values))


def change_feed(conn: Connection, feed_id: UUID, values: Mapping[str, Any]) -> None:
    """Save other keys."""
    conn.execute(update(card_feed).where(_F.id == feed_id).values(dict(values)))


def end_feed(conn: Connection) -> bool:
    """Forget the keys: nothing is taken any more. False where there is no feed."""
    return conn.execute(delete(card_feed)).rowcount > 0


def keep(conn: Connection, row_id: UUID, external_id: str, payload: bytes, sent_at: datetime) -> bool | None:
    """Store what the feed sent, once. True: it is new; False: sent anew; None: a replay of what was seen."""
    statement = insert_or_update(incoming_event).values(
        id=row_id, source=SOURCE, external_id=external_id, payload=payload, sent_at=sent_at
    )
    again = statement.on_conflict_do_update(
        index_elements=[_I.source, _I.external_id],
        set_={"sent_at": statement.excluded.sent_at},
        where=_I.sent_at < statement.excluded.sent_at,
    )
    return conn.execute(again.returning(literal_column("xmax = 0", Boolean))).scalar_one_or_none()


def waiting(conn: Connection) -> list[UUID]:
    """What has not been looked at, the oldest first."""
    return list(conn.scalars(select(_I.id).where(_I.processed_at.is_(None)).order_by(_I.received_at, _I.id)))


def lock(conn: Connection, event_id: UUID) -> Incoming | None:
    """One that has not been looked at, for this transaction alone; None where somebody else has it or had it."""
    statement = _INCOMING.where(_I.id == event_id, _I.processed_at.is_(None)).with_for_update(skip_locked=True)
    row = conn.execute(statement).first()
    return Incoming(*row) if row else None


def finish(conn: Connection, event_id: UUID, *, error: str | None = None, expense_id: UUID | None = None) -> None:
    """Note what became of one."""
    values = {"processed_at": func.now(), "error": error, "expense_id": expense_id}
    conn.execute(update(incoming_event).where(_I.id == event_id).values(values))


def retry(conn: Connection) -> int:
    """Let everything that failed be looked at once more; return how many."""
    failed = update(incoming_event).where(_I.error.is_not(None), _I.processed_at.is_not(None))
    return conn.execute(failed.values(processed_at=None, error=None)).rowcount


def newest(conn: Connection, limit: int) -> list[Incoming]:
    """The newest of what was sent."""
    return [
        Incoming(*row) for row in conn.execute(_INCOMING.order_by(_I.received_at.desc(), _I.id.desc()).limit(limit))
    ]


def count_failed(conn: Connection) -> int:
    """How many made no expense."""
    return conn.execute(select(func.count()).where(_I.error.is_not(None))).scalar_one()


def states(conn: Connection, expense_ids: Iterable[UUID]) -> dict[UUID, str]:
    """The states of those expenses that are there."""
    rows = conn.execute(select(expense.c.id, expense.c.state).where(expense.c.id.in_(list(expense_ids))))
    return {row.id: row.state for row in rows}


def forget(conn: Connection, before: datetime) -> int:
    """Remove what was sent before a time; return how many."""
    return conn.execute(delete(incoming_event).where(_I.received_at < before)).rowcount
