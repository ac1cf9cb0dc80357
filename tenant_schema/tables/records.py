"""What a workspace writes down: settings, mail that goes out, the audit log."""

from sqlalchemy import (
    Column,
    Index,
    Integer,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from ..types import Sealed
from .base import at, metadata, ref, row_id

setting = Table("setting", metadata, Column("key", Text, primary_key=True), Column("value", JSONB, nullable=False))

outbox = Table(
    "outbox",
    metadata,
    row_id(),
    Column("recipient", Sealed, nullable=False),
    Column("subject", Sealed, nullable=False),
    Column("body", Sealed, nullable=False),
    at("created_at"),
    at("sent_at", nullable=True),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    at("next_at"),  # not before
    Column("last_error", Text),
    at("handed_over_at", nullable=True),  # from here on the mail server may have it: never sent again by itself
    at("failed_at", nullable=True),  # given up
    Index("ix_outbox_unsent", "next_at", postgresql_where=text("sent_at IS NULL AND failed_at IS NULL")),
)

audit_event = Table(
    "audit_event",
    metadata,
    row_id(),
    at("at"),
    ref("actor_id", "member", nullable=True),
    Column("action", Text, nullable=False),
    Column("object_type", Text),
    Column("object_id", Uuid),
    Column("detail", JSONB, nullable=False, server_default=text("'{}'")),
    Index("ix_audit_event_object", "object_type", "object_id", "at"),
    Index("ix_audit_event_at", "at"),
)
