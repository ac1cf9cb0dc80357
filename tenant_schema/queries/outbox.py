"""SQL over the outbox: messages wait sealed until they are sent."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, func, select, update
from sqlalchemy import insert as insert_into

from ..tables import outbox


@dataclass(frozen=True, slots=True)
class Message:
    """A message that waits. Everything but the id is sealed for its row."""

    id: UUID
    recipient: bytes
    subject: bytes
    body: bytes


_WAITING = (
    select(outbox.c.id, outbox.c.recipient, outbox.c.subject, outbox.c.body)
    .where(outbox.c.sent_at.is_(None))
    .order_by(outbox.c.created_at, outbox.c.id)
    .with_for_update(skip_locked=True)
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


def mark_sent(conn: Connection, message_id: UUID) -> None:
    """Note that a message is out."""
    conn.execute(update(outbox).where(outbox.c.id == message_id).values(sent_at=func.now()))
