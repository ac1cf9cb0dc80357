"""What comes in and goes out: tries, payments, events at the edge, mail and webhooks."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from .base import metadata, now_at

rate_limit = Table(  # tries counted for a key; lost in a crash, which is all right
    "rate_limit",
    metadata,
    Column("key", Text, primary_key=True),  # a keyed hash: it tells nobody whose tries they are
    Column("hits", ARRAY(DateTime(timezone=True)), nullable=False, server_default=text("'{}'")),  # within a window
    Column("count", Integer, nullable=False, server_default=text("0")),  # in a row, for waits that grow
    now_at("free_at"),  # when the next try may be made
    Column("expires_at", DateTime(timezone=True), nullable=False, index=True),
    prefixes=["UNLOGGED"],
)

payment_method = Table(  # of a card only what tells it apart: never its number
    "payment_method",
    metadata,
    Column("tenant_id", Text, ForeignKey("tenant.id", ondelete="CASCADE"), primary_key=True),
    Column("token", Text, nullable=False),  # the processor's name for it
    Column("brand", Text, nullable=False),
    Column("last_four", Text, CheckConstraint("last_four ~ '^[0-9]{4}$'", name="last_four"), nullable=False),
    now_at("changed_at"),
)

web_event = Table(  # how often something happened at the edge, by name and day
    "web_event",
    metadata,
    Column("name", Text, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("count", BigInteger, nullable=False),
)

mail_standing = Table(  # of workspaces whose mail is not all out; each delivery writes it anew
    "mail_standing",
    metadata,
    Column("tenant_id", Text, ForeignKey("tenant.id", ondelete="CASCADE"), primary_key=True),
    Column("waiting", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("oldest_at", DateTime(timezone=True)),  # of those that wait
    now_at("counted_at"),
)

payment_event = Table(  # from the payment processor: stored before it is acknowledged
    "payment_event",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("external_id", Text, nullable=False, unique=True),
    Column("type", Text, nullable=False),
    Column("tenant_id", Text, ForeignKey("tenant.id", ondelete="CASCADE")),  # null where it concerns none that there is
    Column("content", JSONB, nullable=False),  # the few fields that we read, no other
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column(
        "sent_at", DateTime(timezone=True), nullable=False
    ),  # of the newest time it was sent: an older one is a replay
    now_at("received_at"),
    now_at("processed_at", nullable=True),
    Column("error", Text),
    Index("ix_payment_event_tenant_id", "tenant_id", "type", "occurred_at"),
)

webhook_count = Table(  # of attempts to deliver, of all workspaces together
    "webhook_count",
    metadata,
    Column("outcome", Text, primary_key=True),
    Column("attempts", BigInteger, nullable=False),
)
