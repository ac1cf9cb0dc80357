"""What workspaces can be told of, and how an event gets into the transaction of the change that it tells of.

A payload holds ids, amounts, states and times, never a name, an address or a note: the receiver asks the API for the
rest, with a token whose rights can be taken away.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from sqlalchemy import Connection

from ...tenant_schema.ids import new_uuid7
from ...tenant_schema.queries import webhooks
from ...tenant_schema.tables import webhook_event
from ..keys.fields import FieldCipher

TEST: Final = "webhook.test"  # sent on demand to one endpoint, whatever it subscribes to
EVENTS: Final[dict[str, str]] = {
    "expense.created": "An expense was entered",
    "expense.changed": "An expense was edited",
    "expense.approved": "An expense was approved, with its report",
    "expense.returned": "An expense was returned, with its report",
    "report.submitted": "A report waits for approval",
    "report.approved": "A report was approved",
    "report.returned": "A report was returned with a reason",
    "report.paid": "A report was marked as paid",
    "member.invited": "A person was invited",
    "member.joined": "An invited person became a member",
    "member.role_changed": "A member has another role",
    "member.removed": "A member was removed",
}

Data = Mapping[str, object]


def emit(conn: Connection, cipher: FieldCipher, event_type: str, data: Data) -> int:
    """Note in the transaction of `conn` that something happened, for each endpoint that subscribes to it.

    Returns for how many; the caller lets the worker know after the commit (`prompt.py`), or the worker finds it itself
    some minutes later. Raises `KeyError` for a type that is none of `EVENTS`.
    """
    return emit_each(conn, cipher, event_type, lambda: (data,))


def emit_each(conn: Connection, cipher: FieldCipher, event_type: str, rows: Callable[[], Iterable[Data]]) -> int:
    """Do as `emit` for each of `rows`, which is asked only where an endpoint subscribes."""
    if event_type not in EVENTS:
        raise KeyError(event_type)
    endpoints = webhooks.subscribed(conn, event_type)
    if not endpoints:
        return 0
    written = [write(conn, cipher, event_type, data, endpoints) for data in rows()]
    return len(written) * len(endpoints)


def write(conn: Connection, cipher: FieldCipher, event_type: str, data: Data, endpoints: Iterable[UUID]) -> UUID:
    """Write one event and a delivery to each of `endpoints`; return the event's id."""
    event_id = new_uuid7()
    body = payload(event_type, data, datetime.now(UTC))
    webhooks.insert_event(conn, event_id, event_type, cipher.seal(webhook_event.c.payload, event_id, body))
    webhooks.insert_deliveries(conn, event_id, endpoints)
    return event_id


def payload(event_type: str, data: Data, at: datetime) -> str:
    """The body of the message, with the members that the specification asks for: type, timestamp, data."""
    return json.dumps({"type": event_type, "timestamp": at.isoformat(), "data": dict(data)}, separators=(",", ":"))
