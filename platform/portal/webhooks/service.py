"""Endpoints and their delivery log, for who may integrate. Nothing here commits."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from ....config.errors import CallError, NotFoundError, RefusedError
from ....tenant_schema import tables
from ....tenant_schema.ids import new_uuid7
from ....tenant_schema.queries import audit, webhook_log
from ....tenant_schema.queries import webhooks as queries
from ....tenant_schema.queries.webhook_log import Delivery
from ....tenant_schema.queries.webhooks import Attempt, Endpoint
from ...cards.masking import mask
from ...web import tenant
from ...web.formats import plural
from ...web.member import CurrentMember
from ...webhooks import events
from ...webhooks.destination import read_url
from ...webhooks.pausing import REASONS
from ...webhooks.prompt import wake_after_commit
from ...webhooks.signature import ROTATION, new_secret

MOST_ENDPOINTS: Final = 20
DESCRIPTION_LENGTH: Final = 200
PAGE_SIZE: Final = 25
NOT_HERE: Final = "There is no such webhook here."


@dataclass(frozen=True, slots=True)
class Shown:
    """An endpoint as the pages show it. `waiting` and `failed` count deliveries."""

    id: UUID
    url: str
    description: str
    events: list[str]
    created_at: datetime
    paused_at: datetime | None
    pause_reason: str | None
    failing_since: datetime | None
    both_keys_until: datetime | None
    waiting: int = 0
    failed: int = 0
    last_delivered_at: datetime | None = None

    @property
    def state(self) -> str:
        """The pill: paused, failing or active."""
        return "paused" if self.paused_at else "failing" if self.failing_since else "active"


@dataclass(frozen=True, slots=True)
class Line:
    """One delivery of the log with its last attempt."""

    delivery: Delivery
    last: Attempt | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """An endpoint as the form describes it."""

    url: str
    description: str
    events: list[str]


def listed(now: datetime) -> list[Shown]:
    """All endpoints with what became of their deliveries."""
    conn = tenant.connection()
    counts = webhook_log.counts(conn)
    return [_shown(one, now, counts.get(one.id)) for one in queries.endpoints(conn)]


def find(endpoint_id: UUID, now: datetime) -> Shown:
    """One endpoint. Raises `NotFoundError`."""
    conn = tenant.connection()
    return _shown(_existing(endpoint_id), now, webhook_log.counts(conn).get(endpoint_id))


def read(url: str, description: str, chosen: Collection[str]) -> Wanted:
    """What the form says. Raises `CallError` for the first field that is wrong."""
    where = read_url(url, tenant.platform().settings.base_domain)
    text = mask(" ".join(description.split()))
    if len(text) > DESCRIPTION_LENGTH or not text.isprintable():
        raise CallError(f"The description may have up to {DESCRIPTION_LENGTH} characters.", "description")
    wanted = [name for name in events.EVENTS if name in chosen]
    if not wanted:
        raise CallError("Choose at least one event.", "events")
    return Wanted(where.url, text, wanted)


def add(actor: CurrentMember, wanted: Wanted) -> tuple[UUID, str]:
    """Add an endpoint; return its id and its key, which is never shown again. Raises `RefusedError` at too many."""
    conn = tenant.connection()
    if len(queries.endpoints(conn)) >= MOST_ENDPOINTS:
        raise RefusedError(f"A workspace may have up to {MOST_ENDPOINTS} webhooks; delete one first.")
    row_id, secret, c = new_uuid7(), new_secret(), tables.webhook_endpoint.c
    key = {"secret": tenant.cipher().seal(c.secret, row_id, secret)}
    queries.insert_endpoint(conn, {"id": row_id, "created_by": actor.id} | _values(row_id, wanted) | key)
    _note(actor, "added", row_id, {"events": wanted.events})
    return row_id, secret


def change(actor: CurrentMember, endpoint_id: UUID, wanted: Wanted) -> None:
    """Save an endpoint's address, description and events."""
    _existing(endpoint_id)
    queries.change_endpoint(tenant.connection(), endpoint_id, _values(endpoint_id, wanted))
    _note(actor, "changed", endpoint_id, {"events": wanted.events})


def rotate(actor: CurrentMember, endpoint_id: UUID, now: datetime) -> str:
    """Give an endpoint a new key and return it; the one before signs beside it for a day."""
    found = _existing(endpoint_id, lock=True)
    secret, c, cipher = new_secret(), tables.webhook_endpoint.c, tenant.cipher()
    before = cipher.open(c.secret, found.id, found.secret)
    values = {
        "secret": cipher.seal(c.secret, found.id, secret),
        "previous_secret": cipher.seal(c.previous_secret, found.id, before),
        "previous_until": now + ROTATION,
    }
    queries.change_endpoint(tenant.connection(), endpoint_id, values)
    _note(actor, "key_rotated", endpoint_id)
    return secret


def pause(actor: CurrentMember, endpoint_id: UUID) -> None:
    """Stop delivering; what happens meanwhile waits."""
    _existing(endpoint_id)
    if queries.pause(tenant.connection(), endpoint_id, None):
        _note(actor, "paused", endpoint_id)


def resume(actor: CurrentMember, endpoint_id: UUID) -> None:
    """Deliver again, what has waited first."""
    _existing(endpoint_id)
    if queries.resume(tenant.connection(), endpoint_id):
        _note(actor, "resumed", endpoint_id)
    wake_after_commit()


def delete(actor: CurrentMember, endpoint_id: UUID) -> None:
    """Remove an endpoint with its log."""
    _existing(endpoint_id)
    if queries.delete_endpoint(tenant.connection(), endpoint_id):
        _note(actor, "deleted", endpoint_id)


def test(actor: CurrentMember, endpoint_id: UUID) -> UUID:
    """Send a test event to one endpoint; return its delivery. Raises `RefusedError` while it is paused."""
    found, conn = _existing(endpoint_id), tenant.connection()
    if found.paused_at:
        raise RefusedError("This webhook is paused: resume it to send a test.")
    data = {"webhook_id": str(endpoint_id), "by": str(actor.id)}
    event_id = events.write(conn, tenant.cipher(), events.TEST, data, [endpoint_id])
    _note(actor, "tested", endpoint_id)
    wake_after_commit()
    return webhook_log.deliveries_of(conn, event_id)[0]


def replay_one(actor: CurrentMember, delivery_id: UUID) -> None:
    """Send a message once more, under its old id."""
    one = _delivery(delivery_id)
    webhook_log.replay(tenant.connection(), one.endpoint_id, only=delivery_id)
    _note(actor, "replayed", one.endpoint_id, {"delivery": str(delivery_id)})
    wake_after_commit()


def replay_failed(actor: CurrentMember, endpoint_id: UUID, since: datetime) -> int:
    """Send everything that failed since a time once more; return how many."""
    _existing(endpoint_id)
    count = webhook_log.replay(tenant.connection(), endpoint_id, since=since)
    if count:
        _note(actor, "replayed", endpoint_id, {"since": since.isoformat(), "count": count})
        wake_after_commit()
    return count


def log(endpoint_id: UUID, state: str | None, before: UUID | None) -> tuple[list[Line], bool]:
    """A page of the delivery log, the newest first, and whether there is an older one."""
    conn = tenant.connection()
    rows = webhook_log.log(conn, endpoint_id, state=state, before=before, limit=PAGE_SIZE + 1)
    shown = rows[:PAGE_SIZE]
    last = webhook_log.last_attempts(conn, [one.id for one in shown])
    return [Line(one, last.get(one.id)) for one in shown], len(rows) > PAGE_SIZE


def delivery(delivery_id: UUID) -> tuple[Delivery, list[Attempt], str]:
    """One delivery, its attempts, and the body that is sent, set out for reading. Raises `NotFoundError`."""
    one = _delivery(delivery_id)
    body = tenant.cipher().open(tables.webhook_event.c.payload, one.event_id, one.payload)
    return one, webhook_log.attempts(tenant.connection(), delivery_id), json.dumps(json.loads(body), indent=2)


def said_of(endpoint: Shown) -> str | None:
    """Why an endpoint is paused, in words."""
    if endpoint.paused_at is None:
        return None
    reason = REASONS.get(endpoint.pause_reason or "", "")
    waiting = f" {plural(endpoint.waiting, 'message')} will be sent when you resume it." if endpoint.waiting else ""
    return f"Paused. {reason}{waiting}".strip()


def _values(row_id: UUID, wanted: Wanted) -> dict[str, object]:
    c, cipher = tables.webhook_endpoint.c, tenant.cipher()
    return {
        "url": cipher.seal(c.url, row_id, wanted.url),
        "description": cipher.seal(c.description, row_id, wanted.description),
        "events": wanted.events,
    }


def _shown(one: Endpoint, now: datetime, counted: tuple[int, int, datetime | None] | None) -> Shown:
    c, cipher = tables.webhook_endpoint.c, tenant.cipher()
    both = one.previous_until if one.previous_until and one.previous_until > now else None
    return Shown(
        one.id,
        cipher.open(c.url, one.id, one.url),
        cipher.open(c.description, one.id, one.description),
        one.events,
        one.created_at,
        one.paused_at,
        one.pause_reason,
        one.failing_since,
        both,
        *(counted or (0, 0, None)),
    )


def _existing(endpoint_id: UUID, *, lock: bool = False) -> Endpoint:
    found = queries.endpoint(tenant.connection(), endpoint_id, lock=lock)
    if found is None:
        raise NotFoundError(NOT_HERE)
    return found


def _delivery(delivery_id: UUID) -> Delivery:
    found = webhook_log.delivery(tenant.connection(), delivery_id)
    if found is None:
        raise NotFoundError("There is no such delivery here (any more): they are kept for 30 days.")
    return found


def _note(actor: CurrentMember, verb: str, endpoint_id: UUID, detail: dict[str, object] | None = None) -> None:
    audit.record(tenant.connection(), actor.id, f"webhook.{verb}", "webhook_endpoint", endpoint_id, detail)
