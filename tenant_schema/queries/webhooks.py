"""SQL over outgoing webhooks: endpoints, events, and delivering them. The log of it is in `webhook_log`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Text, bindparam, delete, func, insert, select, true, update

from ..ids import new_uuid7
from ..tables import webhook_attempt, webhook_delivery, webhook_endpoint, webhook_event


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where messages go. `url`, `description` and the secrets are sealed."""

    id: UUID
    url: bytes
    description: bytes
    events: list[str]
    secret: bytes
    previous_secret: bytes | None
    previous_until: datetime | None
    created_by: UUID
    created_at: datetime
    paused_at: datetime | None
    pause_reason: str | None
    failing_since: datetime | None


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery that is this worker's to try until its lease ends. `attempts` counts this try."""

    id: UUID
    attempts: int
    created_at: datetime
    event_id: UUID
    type: str
    payload: bytes
    endpoint: Endpoint


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try. `status` is the answer's, where there was one."""

    at: datetime
    status: int | None
    error: str | None
    milliseconds: int


_E, _D, _V = webhook_endpoint.c, webhook_delivery.c, webhook_event.c
_ENDPOINT = (
    _E.id,
    _E.url,
    _E.description,
    _E.events,
    _E.secret,
    _E.previous_secret,
    _E.previous_until,
    _E.created_by,
    _E.created_at,
    _E.paused_at,
    _E.pause_reason,
    _E.failing_since,
)
_SUBSCRIBED = select(_E.id).where(_E.events.op("?")(bindparam("wanted", type_=Text))).order_by(_E.id)
_OPEN = _D.endpoint_id.in_(select(_E.id).where(_E.paused_at.is_(None)))


def subscribed(conn: Connection, event_type: str) -> list[UUID]:
    """The endpoints that want events of this type, paused ones too: what happens meanwhile waits for them."""
    return list(conn.scalars(_SUBSCRIBED, {"wanted": event_type}))


def insert_event(conn: Connection, event_id: UUID, event_type: str, payload: bytes) -> None:
    """Add an event."""
    conn.execute(insert(webhook_event), {"id": event_id, "type": event_type, "payload": payload})


def insert_deliveries(conn: Connection, event_id: UUID, endpoints: Iterable[UUID]) -> None:
    """Let an event go to each of `endpoints`."""
    rows = [{"id": new_uuid7(), "endpoint_id": one, "event_id": event_id} for one in endpoints]
    if rows:
        conn.execute(insert(webhook_delivery), rows)


def claim(conn: Connection, lease: float, *, only: UUID | None = None) -> Claimed | None:
    """Take the delivery that has been due longest, for `lease` seconds in which nobody else gets it; None: none is.

    The count of attempts goes up now: one that takes its worker down each time comes to an end as well.
    """
    chosen = (
        select(_D.id)
        .where(_D.state == "waiting", _D.next_at <= func.now(), _OPEN, _D.id == only if only else true())
        .order_by(_D.next_at, _D.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    lent = func.now() + func.make_interval(0, 0, 0, 0, 0, 0, lease)
    statement = update(webhook_delivery).where(_D.id == chosen.scalar_subquery(), _D.state == "waiting")
    row = conn.execute(
        statement.values(next_at=lent, attempts=_D.attempts + 1).returning(_D.id, _D.attempts, _D.created_at)
    ).first()
    return _claimed(conn, *row) if row else None


def finish(conn: Connection, taken: Claimed, state: str, next_at: datetime | None, attempt: Attempt) -> bool:
    """Note how the attempt of `taken` ended; False where somebody else has the delivery by now, or it is gone."""
    values: dict[str, Any] = {"state": state}
    values |= {"next_at": next_at} if next_at else {"finished_at": func.now()}
    still_ours = _D.id == taken.id, _D.state == "waiting", _D.attempts == taken.attempts
    if conn.execute(update(webhook_delivery).where(*still_ours).values(values)).rowcount == 0:
        return False
    row = {"id": new_uuid7(), "delivery_id": taken.id, "at": attempt.at, "status": attempt.status}
    conn.execute(insert(webhook_attempt), row | {"error": attempt.error, "milliseconds": attempt.milliseconds})
    return True


def note_success(conn: Connection, endpoint_id: UUID) -> None:
    """The endpoint answers (again)."""
    conn.execute(
        update(webhook_endpoint).where(_E.id == endpoint_id, _E.failing_since.is_not(None)).values(failing_since=None)
    )


def note_failure(conn: Connection, endpoint_id: UUID, at: datetime) -> datetime | None:
    """The endpoint does not take what it is sent; return since when. None where it is gone."""
    since = func.coalesce(_E.failing_since, at)
    statement = update(webhook_endpoint).where(_E.id == endpoint_id).values(failing_since=since)
    return conn.execute(statement.returning(_E.failing_since)).scalar_one_or_none()


def hold_back(conn: Connection, taken: Claimed, until: datetime) -> None:
    """Let what else is due to the endpoint of `taken`, which does not answer, wait: it would not answer that either."""
    due = _D.endpoint_id == taken.endpoint.id, _D.id != taken.id, _D.state == "waiting", _D.next_at < until
    conn.execute(update(webhook_delivery).where(*due).values(next_at=until))


def next_due(conn: Connection) -> datetime | None:
    """When the next waiting delivery is due, which may be past; None where nothing waits."""
    return conn.execute(select(func.min(_D.next_at)).where(_D.state == "waiting", _OPEN)).scalar_one()


def pause(conn: Connection, endpoint_id: UUID, reason: str | None) -> bool:
    """Stop delivering to an endpoint; False where it is paused already."""
    statement = update(webhook_endpoint).where(_E.id == endpoint_id, _E.paused_at.is_(None))
    return conn.execute(statement.values(paused_at=func.now(), pause_reason=reason)).rowcount == 1


def resume(conn: Connection, endpoint_id: UUID) -> bool:
    """Deliver again, first what has waited; False where it was not paused."""
    statement = update(webhook_endpoint).where(_E.id == endpoint_id, _E.paused_at.is_not(None))
    done = conn.execute(statement.values(paused_at=None, pause_reason=None, failing_since=None)).rowcount == 1
    waiting = _D.endpoint_id == endpoint_id, _D.state == "waiting"
    conn.execute(update(webhook_delivery).where(*waiting).values(next_at=func.now()))
    return done


def insert_endpoint(conn: Connection, values: Mapping[str, Any]) -> None:
    """Add an endpoint."""
    conn.execute(insert(webhook_endpoint), dict(values))


def change_endpoint(conn: Connection, endpoint_id: UUID, values: Mapping[str, Any]) -> None:
    """Save an endpoint's `values`."""
    conn.execute(update(webhook_endpoint).where(_E.id == endpoint_id).values(dict(values)))


def delete_endpoint(conn: Connection, endpoint_id: UUID) -> bool:
    """Remove an endpoint with its log; False where it is gone already."""
    return conn.execute(delete(webhook_endpoint).where(_E.id == endpoint_id)).rowcount == 1


def endpoints(conn: Connection) -> list[Endpoint]:
    """All endpoints, the oldest first."""
    return [Endpoint(*row) for row in conn.execute(select(*_ENDPOINT).order_by(_E.id))]


def endpoint(conn: Connection, endpoint_id: UUID, *, lock: bool = False) -> Endpoint | None:
    """One endpoint; with `lock`, nobody else changes it before the transaction ends."""
    statement = select(*_ENDPOINT).where(_E.id == endpoint_id)
    row = conn.execute(statement.with_for_update() if lock else statement).first()
    return Endpoint(*row) if row else None


def forget_events(conn: Connection, before: datetime, at_most: int) -> int:
    """Remove the oldest events from before a time, with all that was kept of their deliveries; return how many."""
    old = select(_V.id).where(_V.created_at < before).order_by(_V.created_at).limit(at_most)
    return conn.execute(delete(webhook_event).where(_V.id.in_(old))).rowcount


def silence(conn: Connection, reason: str) -> None:
    """Pause every endpoint and cancel what waits: the workspace is a copy, and nobody expects to hear from it."""
    cancel_waiting(conn)
    conn.execute(
        update(webhook_endpoint).where(_E.paused_at.is_(None)).values(paused_at=func.now(), pause_reason=reason)
    )


def cancel_waiting(conn: Connection) -> None:
    """Cancel the deliveries that wait."""
    values = {"state": "cancelled", "finished_at": func.now()}
    conn.execute(update(webhook_delivery).where(_D.state == "waiting").values(values))


def _claimed(conn: Connection, delivery_id: UUID, tries: int, created_at: datetime) -> Claimed:
    joined = webhook_delivery.join(webhook_event).join(webhook_endpoint)
    row = conn.execute(select(_V.id, _V.type, _V.payload, *_ENDPOINT).select_from(joined).where(_D.id == delivery_id))
    event_id, kind, payload, *of_endpoint = row.one()
    return Claimed(delivery_id, tries, created_at, event_id, kind, payload, Endpoint(*of_endpoint))
