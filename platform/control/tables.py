"""Tables of the control database: which accounts exist, where they live, and what was done to them.

Nothing in here is a customer's content, and no key is: the key store is apart, so that an old copy of this database
cannot bring an erased account back.
"""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_N_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _now(name: str, *, nullable: bool = False) -> Column[object]:
    default = None if nullable else func.now()
    return Column(name, DateTime(timezone=True), nullable=nullable, server_default=default)


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
    _now("created_at"),
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
    _now("created_at"),
    _now("changed_at"),
    _now("erased_at", nullable=True),
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
    _now("created_at"),
    _now("retired_at", nullable=True),
    _now("drop_after", nullable=True),
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
    _now("started_at"),
    _now("finished_at", nullable=True),
    _now("verified_at", nullable=True),
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
    _now("next_try_at"),
    _now("stored_at", nullable=True),
    _now("checked_at", nullable=True),
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
    _now("started_at"),
    _now("finished_at", nullable=True),
    Index("ix_base_backup_server_name", "server_name", "started_at"),
)

erasure = Table(
    "erasure",
    metadata,
    Column("tenant_id", Text, ForeignKey("tenant.id"), primary_key=True),
    Column("step", Text, nullable=False),
    Column("operator", Text, nullable=False),
    _now("requested_at"),
    _now("finished_at", nullable=True),
    Column("detail", JSONB, nullable=False, server_default=text("'{}'")),
    Column("certificate", JSONB),
)

forgotten_person = Table(
    "forgotten_person",
    metadata,
    Column("tenant_id", Text, ForeignKey("tenant.id"), primary_key=True),
    Column("member_id", Uuid, primary_key=True),
    Column("operator", Text, nullable=False),
    _now("forgotten_at"),
)

alarm = Table(
    "alarm",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("detail", Text, nullable=False),
    _now("raised_at"),
    _now("mailed_at", nullable=True),
)

operator_audit = Table(
    "operator_audit",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    _now("at"),
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
    _now("at"),
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
    _now("started_at"),
    _now("seen_at"),
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
    _now("changed_at"),
)

rate_limit = Table(  # tries counted for a key; lost in a crash, which is all right
    "rate_limit",
    metadata,
    Column("key", Text, primary_key=True),  # a keyed hash: it tells nobody whose tries they are
    Column("hits", ARRAY(DateTime(timezone=True)), nullable=False, server_default=text("'{}'")),  # within a window
    Column("count", Integer, nullable=False, server_default=text("0")),  # in a row, for waits that grow
    _now("free_at"),  # when the next try may be made
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
    _now("changed_at"),
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
    _now("counted_at"),
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
    _now("received_at"),
    _now("processed_at", nullable=True),
    Column("error", Text),
    Index("ix_payment_event_tenant_id", "tenant_id", "type", "occurred_at"),
)

webhook_count = Table(  # of attempts to deliver, of all workspaces together
    "webhook_count",
    metadata,
    Column("outcome", Text, primary_key=True),
    Column("attempts", BigInteger, nullable=False),
)
