"""A webhook with a log, and a card feed with payments, in a workspace that tests only look at."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, select

from strongroom.platform.keys import FieldCipher
from strongroom.platform.portal.cardfeed.messages import from_data
from strongroom.platform.webhooks import events
from strongroom.platform.webhooks.signature import new_secret
from strongroom.tenant_schema import tables
from strongroom.tenant_schema.ids import new_uuid7
from strongroom.tenant_schema.queries import cards, webhook_log, webhooks

URL = "https://hooks.harbour-studio.example/strongroom/expenses?environment=production"
_ANSWERS = {200: None, 500: "Internal Server Error", 503: "Service Unavailable", None: "No answer in time."}
_FAR = timedelta(days=1000)  # no worker tries what waits here


def hook_examples(conn: Connection, cipher: FieldCipher, owner: UUID, member: UUID) -> dict[str, list[object]]:
    """Arguments of the addresses of webhooks; makes the examples if the workspace has none."""
    if not webhooks.endpoints(conn):
        _make_endpoint(conn, cipher, owner)
        _make_feed(conn, cipher, owner, member)
    by_state = conn.execute(select(tables.webhook_delivery.c.state, tables.webhook_delivery.c.id))
    return {
        "endpoint_id": [one.id for one in webhooks.endpoints(conn)],
        "delivery_id": list({row.state: row.id for row in by_state}.values()),
    }


def _make_endpoint(conn: Connection, cipher: FieldCipher, owner: UUID) -> None:
    row_id, c, now = new_uuid7(), tables.webhook_endpoint.c, datetime.now(UTC)
    values: dict[str, Any] = {
        "id": row_id,
        "url": cipher.seal(c.url, row_id, URL),
        "description": cipher.seal(c.description, row_id, "Ledger of the accountants"),
        "events": list(events.EVENTS),
        "secret": cipher.seal(c.secret, row_id, new_secret()),
        "created_by": owner,
        "failing_since": now,
    }
    webhooks.insert_endpoint(conn, values)
    for number, (state, tries) in enumerate((("delivered", [200]), ("failed", [503, None]), ("waiting", [500]))):
        data = {"report_id": str(new_uuid7()), "state": "approved", "amount": "1240.50", "currency": "GBP"}
        event_id = events.write(conn, cipher, "report.approved", data, [row_id])
        (delivery_id,) = webhook_log.deliveries_of(conn, event_id)
        _try(conn, delivery_id, state, tries, now - timedelta(hours=number))


def _try(conn: Connection, delivery_id: UUID, state: str, statuses: list[int | None], now: datetime) -> None:
    for status in statuses:
        row = {"id": new_uuid7(), "delivery_id": delivery_id, "at": now, "status": status, "error": _ANSWERS[status]}
        conn.execute(tables.webhook_attempt.insert(), row | {"milliseconds": 84})
    d = tables.webhook_delivery
    values = {"state": state, "attempts": len(statuses), "next_at": now + _FAR, "created_at": now}
    done = {"finished_at": now} if state == "delivered" else {}
    conn.execute(d.update().where(d.c.id == delivery_id).values(values | done))


def _make_feed(conn: Connection, cipher: FieldCipher, owner: UUID, member: UUID) -> None:
    row_id, now = new_uuid7(), datetime.now(UTC)
    sealed = cipher.seal(tables.card_feed.c.secret, row_id, new_secret())
    cards.start_feed(conn, {"id": row_id, "secret": sealed, "created_by": owner})
    cards.add(conn, card_id=new_uuid7(), member_id=member, token="card_81Hk2nQ", brand="Visa", last_four="4242")
    for number, (merchant, error) in enumerate((("Corner Café", "No member has this card."), ("Harbour Taxis", None))):
        event_id = new_uuid7()
        paid = from_data(
            {"card": "card_9", "amount": "12.50", "currency": "GBP", "merchant": merchant, "date": "2024-03-12"}
        )
        payload = cipher.seal(tables.incoming_event.c.payload, event_id, paid.to_json())
        cards.keep(conn, event_id, f"txn_{number}", payload, now)
        cards.finish(conn, event_id, error=error)
