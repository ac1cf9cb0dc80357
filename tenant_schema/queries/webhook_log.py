"""SQL over the log of outgoing webhooks: deliveries with each attempt, and sending them once more."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, case, func, select, update
from sqlalchemy.dialects.postgresql import distinct_on

from ..tables import webhook_attempt, webhook_delivery, webhook_event
from .webhooks import Attempt


@dataclass(frozen=True, slots=True)
class Delivery:
    """One line of the delivery log. `status` and `error` are of the last attempt."""

    id: UUID
    endpoint_id: UUID
    event_id: UUID
    type: str
    state: str
    attempts: int
    next_at: datetime
    created_at: datetime
    finished_at: datetime | None
    payload: bytes


_D, _V, _A = webhook_delivery.c, webhook_event.c, webhook_attempt.c
_DELIVERY = (
    _D.id,
    _D.endpoint_id,
    _D.event_id,
    _V.type,
    _D.state,
    _D.attempts,
    _D.next_at,
    _D.created_at,
    _D.finished_at,
    _V.payload,
)
_LOG = select(*_DELIVERY).select_from(webhook_delivery.join(webhook_event))


def log(conn: Connection, endpoint_id: UUID, *, state: str | None, before: UUID | None, limit: int) -> list[Delivery]:
    """The newest deliveries to an endpoint, of one state or all, older than `before`."""
    statement = _LOG.where(_D.endpoint_id == endpoint_id).order_by(_D.created_at.desc(), _D.id.desc()).limit(limit)
    if state:
        statement = statement.where(_D.state == state)
    if before:
        at = select(_D.created_at).where(_D.id == before).scalar_subquery()
        statement = statement.where((_D.created_at < at) | ((_D.created_at == at) & (_D.id < before)))
    return [Delivery(*row) for row in conn.execute(statement)]


def delivery(conn: Connection, delivery_id: UUID) -> Delivery | None:
    """One delivery."""
    row = conn.execute(_LOG.where(_D.id == delivery_id)).first()
    return Delivery(*row) if row else None


def deliveries_of(conn: Connection, event_id: UUID) -> list[UUID]:
    """The deliveries of one event."""
    return list(conn.scalars(select(_D.id).where(_D.event_id == event_id)))


def attempts(conn: Connection, delivery_id: UUID) -> list[Attempt]:
    """The tries of a delivery, the newest first."""
    columns = _A.at, _A.status, _A.error, _A.milliseconds
    statement = select(*columns).where(_A.delivery_id == delivery_id).order_by(_A.at.desc(), _A.id.desc())
    return [Attempt(*row) for row in conn.execute(statement)]


def last_attempts(conn: Connection, deliveries: Iterable[UUID]) -> dict[UUID, Attempt]:
    """The last try of each of `deliveries` that was tried."""
    columns = _A.delivery_id, _A.at, _A.status, _A.error, _A.milliseconds
    newest = select(*columns).where(_A.delivery_id.in_(list(deliveries))).ext(distinct_on(_A.delivery_id))
    rows = conn.execute(newest.order_by(_A.delivery_id, _A.at.desc(), _A.id.desc()))
    return {row[0]: Attempt(*row[1:]) for row in rows}


def replay(conn: Connection, endpoint_id: UUID, *, only: UUID | None = None, since: datetime | None = None) -> int:
    """Let what has ended be sent once more, under its old id: one delivery, or all that failed since a time.

    Returns how many. One that still waits is due at once.
    """
    chosen = [_D.endpoint_id == endpoint_id]
    chosen += [_D.id == only] if only else [_D.state == "failed", _D.created_at >= since]
    values = {"state": "waiting", "attempts": 0, "next_at": func.now(), "finished_at": None}
    return conn.execute(update(webhook_delivery).where(*chosen).values(values)).rowcount


def counts(conn: Connection) -> dict[UUID, tuple[int, int, datetime | None]]:
    """By endpoint: how many deliveries wait, how many failed, when the last one arrived."""
    waiting = func.count(case((_D.state == "waiting", 1)))
    failed = func.count(case((_D.state == "failed", 1)))
    arrived = func.max(case((_D.state == "delivered", _D.finished_at)))
    rows = conn.execute(select(_D.endpoint_id, waiting, failed, arrived).group_by(_D.endpoint_id))
    return {row[0]: (row[1], row[2], row[3]) for row in rows}
