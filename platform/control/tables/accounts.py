"""Where customer accounts live: plans, servers, workspaces and their databases."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    text,
)

from .base import metadata, now_at

region = Table("region", metadata, Column("id", Text, primary_key=True), Column("name", Text, nullable=False))

plan = Table(
    "plan",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("backup_interval_hours", Integer),  # null: the installation's setting
    Column("backup_retention_days", Integer),
    Column("backup_window", Text),  # hours (UTC) in which backups are taken, as 22-05; null: any
    Column("backup_keep_weekly", Integer),  # beyond the days: newest verified one of so many weeks
    Column("backup_keep_monthly", Integer),
    Column("backup_keep_yearly", Integer),
    # Owners and admins reach only the enrolment of a second factor until they have one.
    Column("requires_second_factor", Boolean, nullable=False, server_default=text("false")),
)

server = Table(
    "server",
    metadata,
    Column("name", Text, primary_key=True),
    Column("region_id", Text, ForeignKey("region.id"), nullable=False),
    Column("kind", Text, CheckConstraint("kind IN ('embedded', 'external')", name="kind"), nullable=False),
    Column("host", Text, nullable=False),
    Column("port", Integer, nullable=False),
    Column("accepts_tenants", Boolean, nullable=False, server_default=text("true")),
    now_at("created_at"),
    # How many connections tenants may have there, all processes together; null until the server was asked.
    Column("connection_limit", Integer, CheckConstraint("connection_limit > 0", name="connection_limit")),
    Column("rules_are_ours", Boolean, nullable=False, server_default=text("true")),  # pg_hba.conf closes tenants in
    Column("tls_authority", Text),  # PEM: who signed the server's certificate
    Column("pooler_host", Text),  # PgBouncer in front of it, for tenants' connections only
    Column("pooler_port", Integer),
    Column("pooler_authority", Text),  # PEM: the certificates that the pooler may prove itself by
)

tenant = Table(
    "tenant",
    metadata,
    Column("id", Text, CheckConstraint("id ~ '^[a-z2-7]{16}$'", name="id"), primary_key=True),
    Column("slug", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("plan_id", Text, ForeignKey("plan.id"), nullable=False),
    Column("region_id", Text, ForeignKey("region.id"), nullable=False),
    Column(
        "state",
        Text,
        CheckConstraint("state IN ('pending','active','suspended','migrating','restoring','erased')", name="state"),
        nullable=False,
    ),
    Column("generation", BigInteger, nullable=False, server_default=text("1")),
    Column("placement_id", Text, ForeignKey("placement.id", use_alter=True, deferrable=True)),
    Column("owner_email", LargeBinary),  # sealed under the tenant's own key; needed until the owner is invited
    Column("schema_revision", Text),
    Column("failure", Text),  # one sentence: why provisioning stopped
    now_at("created_at"),
    now_at("changed_at"),
    now_at("erased_at", nullable=True),
    # A slug is taken until the account is verifiably gone: the last step of an erasure puts the id in its place.
    Index("uq_tenant_slug", "slug", unique=True, postgresql_where=text("slug <> id")),
    Index("ix_tenant_changed_at", "changed_at"),
)

placement = Table(
    "placement",
    metadata,
    Column("id", Text, CheckConstraint("id ~ '^[a-z2-7]{16}$'", name="id"), primary_key=True),
    Column("server_name", Text, ForeignKey("server.name"), nullable=False),
    Column("tenant_id", Text, ForeignKey("tenant.id"), index=True),
    Column(
        "state",
        Text,
        CheckConstraint("state IN ('building','ready','current','retired','dropping','dropped')", name="state"),
        nullable=False,
    ),
    Column("schema_revision", Text),
    now_at("created_at"),
    now_at("retired_at", nullable=True),
    now_at("drop_after", nullable=True),
    # Made for the pool, so that nobody's data were ever in it. What a restore or a clone makes may have no tenant yet
    # either, and is full: only this mark says that a database may be given to anybody.
    Column(
        "spare",
        Boolean,
        CheckConstraint("NOT spare OR tenant_id IS NULL", name="spare"),
        nullable=False,
        server_default=text("false"),
    ),
    Index("ix_placement_spare", "server_name", "schema_revision", postgresql_where=text("spare AND state = 'ready'")),
)
