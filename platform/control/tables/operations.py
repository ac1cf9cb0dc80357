"""What operators and processes did, and what they agree on."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Integer,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from .base import metadata, now_at

operator_audit = Table(
    "operator_audit",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    now_at("at"),
    Column("operator", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("tenant_id", Text, index=True),
    Column("detail", JSONB, nullable=False, server_default=text("'{}'")),
)

verification = Table(
    "verification",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("kind", Text, nullable=False),  # isolation, restore …
    now_at("at"),
    Column("passed", Boolean, nullable=False),
    Column("report", JSONB, nullable=False),
)

process = Table(
    "process",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, CheckConstraint("kind IN ('web', 'worker', 'command')", name="kind"), nullable=False),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    now_at("started_at"),
    now_at("seen_at"),
    prefixes=["UNLOGGED"],
)

connection_lease = Table(
    "connection_lease",
    metadata,
    Column("process_id", Text, ForeignKey("process.id", ondelete="CASCADE"), primary_key=True),
    Column("server_name", Text, ForeignKey("server.name", ondelete="CASCADE"), primary_key=True),
    Column("connections", Integer, nullable=False),  # that the process may hold open
    Column("wanted", Integer, nullable=False),
    Column("lease_until", DateTime(timezone=True), nullable=False),
    Column("counters", JSONB, nullable=False, server_default=text("'{}'")),
    prefixes=["UNLOGGED"],
)

fleet_migration = Table(
    "fleet_migration",
    metadata,
    Column("revision", Text, primary_key=True),
    Column("placement_id", Text, ForeignKey("placement.id"), primary_key=True),
    Column(
        "state",
        Text,
        CheckConstraint("state IN ('pending', 'running', 'upgraded', 'differing', 'done', 'failed')", name="state"),
        nullable=False,
    ),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("failure", Text),
    now_at("changed_at"),
)
