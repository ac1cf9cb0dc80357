"""What was saved of each workspace, what was erased, and what is wrong with it."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from .base import metadata, now_at

backup = Table(
    "backup",
    metadata,
    Column("id", Text, primary_key=True),  # sortable: UTC time and random letters
    Column("tenant_id", Text, ForeignKey("tenant.id"), index=True),  # null: the control database and key store
    Column("kind", Text, CheckConstraint("kind IN ('tenant', 'control')", name="kind"), nullable=False),
    Column(
        "state",
        Text,
        CheckConstraint("state IN ('running','stored','verified','failed','unchanged')", name="state"),
        nullable=False,
    ),
    Column("unchanged_since", Text, ForeignKey("backup.id")),
    Column("placement_id", Text),
    Column("schema_revision", Text),
    Column("object", Text),
    Column("bytes", BigInteger),
    Column("sha256", Text),
    Column("fingerprint", JSONB),
    Column("manifest", JSONB),  # counts and hashes that a restore must reproduce
    Column("receipts", Integer),
    Column("failure", Text),
    Column("lease_until", DateTime(timezone=True)),
    now_at("started_at"),
    now_at("finished_at", nullable=True),
    now_at("verified_at", nullable=True),
    Column("receipts_lost", Integer, nullable=False, server_default=text("0")),  # at their origin, before it was made
    Index("ix_backup_tenant_started", "tenant_id", "started_at"),
)

backup_copy = Table(
    "backup_copy",
    metadata,
    Column("backup_id", Text, ForeignKey("backup.id", ondelete="CASCADE"), primary_key=True),
    Column("store", Text, primary_key=True),  # its name in the settings
    Column("state", Text, CheckConstraint("state IN ('pending', 'stored', 'failed')", name="state"), nullable=False),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("failure", Text),
    now_at("next_try_at"),
    now_at("stored_at", nullable=True),
    now_at("checked_at", nullable=True),
    Index("ix_backup_copy_state_next_try_at", "state", "next_try_at"),
)

base_backup = Table(
    "base_backup",
    metadata,
    Column("id", Text, primary_key=True),
    Column("server_name", Text, ForeignKey("server.name"), nullable=False),
    Column(
        "state",
        Text,
        CheckConstraint("state IN ('running', 'stored', 'failed', 'expired')", name="state"),
        nullable=False,
    ),
    Column("store", Text, nullable=False),
    Column("archive_key", Text, nullable=False),  # the day whose key opens it
    Column("system_id", Text),
    Column("timeline", Integer),
    Column("start_wal", Text),  # first piece of the log that it needs
    Column("stop_wal", Text),
    Column("bytes", BigInteger),
    Column("failure", Text),
    Column("lease_until", DateTime(timezone=True)),
    now_at("started_at"),
    now_at("finished_at", nullable=True),
    Index("ix_base_backup_server_name", "server_name", "started_at"),
)

erasure = Table(
    "erasure",
    metadata,
    Column("tenant_id", Text, ForeignKey("tenant.id"), primary_key=True),
    Column("step", Text, nullable=False),
    Column("operator", Text, nullable=False),
    now_at("requested_at"),
    now_at("finished_at", nullable=True),
    Column("detail", JSONB, nullable=False, server_default=text("'{}'")),
    Column("certificate", JSONB),
)

forgotten_person = Table(
    "forgotten_person",
    metadata,
    Column("tenant_id", Text, ForeignKey("tenant.id"), primary_key=True),
    Column("member_id", Uuid, primary_key=True),
    Column("operator", Text, nullable=False),
    now_at("forgotten_at"),
)

alarm = Table(
    "alarm",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("detail", Text, nullable=False),
    now_at("raised_at"),
    now_at("mailed_at", nullable=True),
)
