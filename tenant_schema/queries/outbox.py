"""SQL over the outbox: messages wait sealed until they are sent.

The life of a message: it waits (until `next_at`, again after each try that failed) → it is handed over → it is sent.
It has failed when `failed_at` says so; where it was handed over as well, nobody knows whether the mail server has it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection, delete, func, literal, or_, select, update
from sqlalchemy import insert as insert_into

from ..tables import outbox


@dataclass(frozen=True, slots=True)
class Message:
    """A message that waits. What it says is sealed for its row. `attempts`: how often it was claimed, this one too."""

    id: UUID
    recipient: bytes
    subject: bytes
    body: bytes
    created_at: datetime
    attempts: int


@dataclass(frozen=True, slots=True)
class Standing:
    """What has not gone out yet. `next_at`: when the next message is due; None when none waits."""

    waiting: int
    failed: int
    oldest_at: datetime | None
    next_at: datetime | None


@dataclass(frozen=True, slots=True)
class Unsent:
    """A message that waits or has failed, for operators: nothing of what it says but its sealed recipient."""

    id: UUID
    recipient: bytes
    created_at: datetime
    attempts: int
    next_at: datetime
    last_error: str | None
    handed_over_at: datetime | None
    failed_at: datetime | None


_COLUMNS = outbox.c.id, outbox.c.recipient, outbox.c.subject, outbox.c.body, outbox.c.created_at, outbox.c.attempts
_waits = outbox.c.sent_at.is_(None) & outbox.c.failed_at.is_(None) & outbox.c.handed_over_at.is_(None)
_is_handed_over = outbox.c.sent_at.is_(None) & outbox.c.failed_at.is_(None) & outbox.c.handed_over_at.is_not(None)
_WAITING = select(*_COLUMNS).where(_waits).order_by(outbox.c.created_at, outbox.c.id).with_for_update(skip_locked=True)
_NEXT_DUE = (
    select(outbox.c.id)
    .where(_waits, outbox.c.next_at <= func.now())
    .order_by(outbox.c.created_at, outbox.c.id)
    .limit(1)
    .with_for_update(skip_locked=True)
    .scalar_subquery()
)
_STANDING = select(
    func.count().filter(_waits),
    func.count().filter(outbox.c.failed_at.is_not(None)),
    func.min(outbox.c.created_at).filter(_waits),
    # Those handed over are looked at once more, to write down how it ended.
    func.min(outbox.c.next_at).filter(or_(_waits, _is_handed_over)),
).where(outbox.c.sent_at.is_(None))
_UNSENT = (
    select(
        outbox.c.id,
        outbox.c.recipient,
        outbox.c.created_at,
        outbox.c.attempts,
        outbox.c.next_at,
        outbox.c.last_error,
        outbox.c.handed_over_at,
        outbox.c.failed_at,
    )
    .where(outbox.c.sent_at.is_(None))
    .order_by(outbox.c.created_at, outbox.c.id)
)


def insert(
    conn: Connection,
    *,
    id: UUID,  # noqa: A002  # the column's name
    recipient: bytes,
    subject: bytes,
    body: bytes,
) -> None:
    """Add a message."""
    conn.execute(insert_into(outbox), {"id": id, "recipient": recipient, "subject": subject, "body": body})


def take_waiting(conn: Connection) -> list[Message]:
    """Return the messages that wait, oldest first, and lock them; those that another process holds are left out."""
    return [Message(*row) for row in conn.execute(_WAITING)]


def claim(conn: Connection, lease: timedelta) -> Message | None:
    """Return the oldest message that is due, as this caller's for `lease`; None when none is.

    Commit before anything is sent: afterwards whoever dies leaves a message that waits again once the lease is over.
    """
    values = {"attempts": outbox.c.attempts + 1, "next_at": func.now() + lease}
    row = conn.execute(update(outbox).where(outbox.c.id == _NEXT_DUE).values(values).returning(*_COLUMNS)).one_or_none()
    return None if row is None else Message(*row)


def hand_over(conn: Connection, message: Message, lease: timedelta) -> bool:
    """Write down that the mail server may have the message from now on; False where it is no longer the caller's."""
    still_mine = _waits & (outbox.c.id == message.id) & (outbox.c.attempts == message.attempts)
    values = {"handed_over_at": func.now(), "next_at": func.now() + lease}
    return conn.execute(update(outbox).where(still_mine).values(values)).rowcount == 1


def mark_sent(conn: Connection, message_id: UUID) -> None:
    """Note that a message is out."""
    conn.execute(
        update(outbox).where(outbox.c.id == message_id).values(sent_at=func.now(), failed_at=None, last_error=None)
    )


def postpone(conn: Connection, message: Message, wait: timedelta, error: str) -> None:
    """Note why the caller's message is not out and is due again after `wait`: the mail server has not got it."""
    values = {"next_at": func.now() + wait, "last_error": error, "handed_over_at": None}
    conn.execute(update(outbox).where(_is_claim(message)).values(values))


def give_up(conn: Connection, message: Message, error: str, *, unknown: bool = False) -> None:
    """Note that the caller's message has failed for good. `unknown`: the mail server may have it."""
    kept = outbox.c.handed_over_at if unknown else None
    values = {"failed_at": func.now(), "last_error": error, "handed_over_at": kept}
    conn.execute(update(outbox).where(_is_claim(message)).values(values))


def give_up_lost(conn: Connection, error: str) -> list[UUID]:
    """Mark as failed what was handed over by somebody who never wrote down how it ended; return the ids."""
    lost = _is_handed_over & (outbox.c.next_at <= func.now())
    changed = update(outbox).where(lost).values(failed_at=func.now(), last_error=literal(error)).returning(outbox.c.id)
    return list(conn.scalars(changed))


def retry(conn: Connection, ids: Sequence[UUID] | None = None) -> list[UUID]:
    """Let failed messages (all, or those of `ids`) wait again, due at once; return their ids."""
    failed = outbox.c.sent_at.is_(None) & outbox.c.failed_at.is_not(None)
    chosen = failed if ids is None else failed & outbox.c.id.in_(ids)
    values = {"failed_at": None, "handed_over_at": None, "attempts": 0, "next_at": func.now()}
    return list(conn.scalars(update(outbox).where(chosen).values(values).returning(outbox.c.id)))


def forget(conn: Connection, *, sent_before: datetime, failed_before: datetime) -> int:
    """Remove what was sent or given up before those times; return how many. What waits stays."""
    over = or_(outbox.c.sent_at < sent_before, outbox.c.sent_at.is_(None) & (outbox.c.failed_at < failed_before))
    return conn.execute(delete(outbox).where(over)).rowcount


def standing(conn: Connection) -> Standing:
    """Return what has not gone out yet."""
    return Standing(*conn.execute(_STANDING).one())


def unsent(conn: Connection) -> list[Unsent]:
    """Return what has not gone out yet, oldest first."""
    return [Unsent(*row) for row in conn.execute(_UNSENT)]


def _is_claim(message: Message):
    """The caller's message, not sent and not claimed anew by another since."""
    return (outbox.c.id == message.id) & (outbox.c.attempts == message.attempts) & outbox.c.sent_at.is_(None)
