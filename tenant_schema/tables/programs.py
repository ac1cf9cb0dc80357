"""What programs use instead of members: tokens of the API, webhooks both ways, payment cards."""

from sqlalchemy import (
    CHAR,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import INET, JSONB

from ..types import Sealed
from .base import SCHEMA, at, metadata, one_of, ref, row_id

DELIVERY_STATES = ("waiting", "delivered", "failed", "cancelled")

api_token = Table(
    "api_token",
    metadata,
    row_id(),
    ref("member_id", "member", index=True),  # whose permissions it has at most
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    Column("hint", Text, nullable=False),  # the first characters, to recognise it by
    Column("name", Sealed, nullable=False),
    Column("scopes", JSONB, nullable=False),
    at("created_at"),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    at("last_used_at", nullable=True),
    Column("last_address", INET),
    at("revoked_at", nullable=True),
)

idempotency_key = Table(
    "idempotency_key",
    metadata,
    row_id(),
    ref("api_token_id", "api_token"),
    Column("key_hash", LargeBinary, nullable=False),
    Column("request_hash", LargeBinary, nullable=False),  # of method, path and body: the same key is the same request
    Column("status", SmallInteger, nullable=False),
    Column("body", Sealed, nullable=False),
    at("created_at"),
    UniqueConstraint("api_token_id", "key_hash"),
    Index("ix_idempotency_key_created_at", "created_at"),
)

webhook_endpoint = Table(
    "webhook_endpoint",
    metadata,
    row_id(),
    Column("url", Sealed, nullable=False),
    Column("description", Sealed, nullable=False),
    Column("events", JSONB, nullable=False),
    Column("secret", Sealed, nullable=False),
    Column("previous_secret", Sealed),
    at("previous_until", nullable=True),  # until then both sign
    ref("created_by", "member"),
    at("created_at"),
    at("paused_at", nullable=True),
    Column("pause_reason", Text),
    at("failing_since", nullable=True),  # the first failure since the last success
)

webhook_event = Table(  # its id is the message's id
    "webhook_event",
    metadata,
    row_id(),
    Column("type", Text, nullable=False),
    Column("payload", Sealed, nullable=False),
    at("created_at"),
    Index("ix_webhook_event_created_at", "created_at"),
)

webhook_delivery = Table(
    "webhook_delivery",
    metadata,
    row_id(),
    Column("endpoint_id", Uuid, ForeignKey(f"{SCHEMA}.webhook_endpoint.id", ondelete="CASCADE"), nullable=False),
    Column("event_id", Uuid, ForeignKey(f"{SCHEMA}.webhook_event.id", ondelete="CASCADE"), nullable=False),
    Column("state", Text, one_of("state", DELIVERY_STATES), nullable=False, server_default="waiting"),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    at("next_at"),
    at("created_at"),
    at("finished_at", nullable=True),
    Index("ix_webhook_delivery_endpoint_id", "endpoint_id", "created_at"),
    Index("ix_webhook_delivery_event_id", "event_id"),
    Index("ix_webhook_delivery_waiting", "next_at", postgresql_where=text("state = 'waiting'")),
)

webhook_attempt = Table(
    "webhook_attempt",
    metadata,
    row_id(),
    Column("delivery_id", Uuid, ForeignKey(f"{SCHEMA}.webhook_delivery.id", ondelete="CASCADE"), nullable=False),
    at("at"),
    Column("status", SmallInteger),  # of the answer, where there was one
    Column("error", Text),
    Column("milliseconds", Integer, nullable=False),
    Index("ix_webhook_attempt_delivery_id", "delivery_id", "at"),
)

card = Table(  # of a card only what tells it apart: never its number
    "card",
    metadata,
    row_id(),
    ref("member_id", "member", index=True),
    Column("token", Text, nullable=False, unique=True),  # the processor's name for it
    Column("brand", Text, nullable=False),
    Column("last_four", CHAR(4), CheckConstraint("last_four ~ '^[0-9]{4}$'", name="last_four"), nullable=False),
    at("created_at"),
    at("removed_at", nullable=True),
)

card_feed = Table(  # the key by which the bank's card feed proves itself; at most one row
    "card_feed",
    metadata,
    row_id(),
    Column("secret", Sealed, nullable=False),
    Column("previous_secret", Sealed),
    at("previous_until", nullable=True),  # until then both prove
    ref("created_by", "member"),
    at("created_at"),
)

incoming_event = Table(  # from a card feed: stored before it is acknowledged
    "incoming_event",
    metadata,
    row_id(),
    Column("source", Text, nullable=False),
    Column("external_id", Text, nullable=False),
    Column("payload", Sealed, nullable=False),
    Column(
        "sent_at", DateTime(timezone=True), nullable=False
    ),  # of the newest time it was sent: an older one is a replay
    at("received_at"),
    at("processed_at", nullable=True),
    Column("error", Text),
    Column("expense_id", Uuid, ForeignKey(f"{SCHEMA}.expense.id", ondelete="SET NULL"), index=True),
    UniqueConstraint("source", "external_id"),
    Index("ix_incoming_event_unprocessed", "received_at", postgresql_where=text("processed_at IS NULL")),
)
