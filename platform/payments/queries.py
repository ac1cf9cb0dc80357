"""SQL over the processor's messages and over how workspaces pay. Runs on the control database."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Boolean, Connection, delete, exists, func, literal_column, select, update
from sqlalchemy.dialects.postgresql import insert

from ..control.tables import payment_event, payment_method
from ..webhooks.signature import Proof
from .messages import Message


@dataclass(frozen=True, slots=True)
class Event:
    """A stored message."""

    id: int
    external_id: str
    type: str
    tenant_id: str | None
    content: dict[str, str]
    occurred_at: datetime
    received_at: datetime
    processed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of a message: `fresh` the first time, else a repetition that was sent anew."""

    id: int
    fresh: bool


_C = payment_event.c
_EVENT = (_C.id, _C.external_id, _C.type, _C.tenant_id, _C.content, _C.occurred_at, _C.received_at, _C.processed_at)


def keep(conn: Connection, proof: Proof, message: Message, tenant_id: str | None) -> Kept | None:
    """Store a message once. None for one that was seen with this time or a later one: somebody replays it."""
    statement = insert(payment_event).values(
        external_id=proof.id,
        type=message.type,
        tenant_id=tenant_id,
        content=message.content,
        occurred_at=message.occurred_at,
        sent_at=proof.sent_at,
    )
    again = statement.on_conflict_do_update(
        index_elements=[_C.external_id],
        set_={"sent_at": statement.excluded.sent_at},
        where=_C.sent_at < statement.excluded.sent_at,
    )
    row = conn.execute(
        again.returning(_C.id, literal_column("xmax = 0", Boolean))
    ).one_or_none()  # no older version: inserted
    return Kept(row[0], row[1]) if row else None


def lock(conn: Connection, event_id: int) -> Event | None:
    """A stored message, which nobody else processes before the transaction ends."""
    row = conn.execute(select(*_EVENT).where(_C.id == event_id).with_for_update()).one_or_none()
    return Event(*row) if row else None


def is_overtaken(conn: Connection, event: Event) -> bool:
    """Whether something that happened later has been applied to the workspace already."""
    later = (
        exists()
        .where(_C.tenant_id == event.tenant_id, _C.type == event.type, _C.occurred_at > event.occurred_at)
        .where(_C.processed_at.is_not(None), _C.error.is_(None))
    )
    return bool(conn.execute(select(later)).scalar_one())


def finish(conn: Connection, event_id: int, error: str | None = None) -> None:
    """Note that a message needs nothing more."""
    conn.execute(update(payment_event).where(_C.id == event_id).values(processed_at=func.now(), error=error))


def unfinished(conn: Connection, older_than: timedelta) -> list[int]:
    """Messages that have been waiting for so long."""
    waiting = select(_C.id).where(_C.processed_at.is_(None), _C.received_at < func.now() - older_than)
    return list(conn.scalars(waiting.order_by(_C.id)))


def forget(conn: Connection, older_than: timedelta) -> int:
    """Remove finished messages from so long ago; return how many."""
    old = _C.processed_at.is_not(None), _C.received_at < func.now() - older_than
    return conn.execute(delete(payment_event).where(*old)).rowcount


def set_method(conn: Connection, tenant_id: str, content: Mapping[str, str], at: datetime) -> None:
    """Note how a workspace pays since `at`, unless something later is known."""
    row = {"token": content["token"], "brand": content["brand"], "last_four": content["last4"], "changed_at": at}
    statement = insert(payment_method).values(tenant_id=tenant_id, **row)
    later = payment_method.c.changed_at <= statement.excluded.changed_at
    conn.execute(statement.on_conflict_do_update(index_elements=[payment_method.c.tenant_id], set_=row, where=later))
