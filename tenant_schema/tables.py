"""Tables of one customer account. Every name is qualified by the schema `app`, so `search_path` decides nothing.

Columns of type `Sealed` hold AES-256-GCM ciphertext bound to their row; a `*_index` column beside one is a keyed hash
for look-up by equality. Primary keys are UUIDv7 made by the application: the row's id is part of what is sealed.
"""

from sqlalchemy import (
    CHAR,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import INET, JSONB

from .types import Sealed

SCHEMA = "app"
metadata = MetaData(
    schema=SCHEMA,
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    },
)

ROLES = ("owner", "admin", "member", "contributor", "read_only")
EXPENSE_STATES = ("draft", "submitted", "returned", "approved")
REPORT_STATES = ("submitted", "returned", "withdrawn", "approved", "closed")
PAYMENT_STATES = ("none", "due", "paid")


def _id() -> Column[object]:
    return Column("id", Uuid, primary_key=True)


def _at(name: str, *, nullable: bool = False) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=nullable, server_default=None if nullable else func.now())


def _one_of(column: str, values: tuple[str, ...]) -> CheckConstraint:
    return CheckConstraint(f"{column} IN ({', '.join(repr(v) for v in values)})", name=column)


def _ref(name: str, target: str, *, nullable: bool = False, index: bool = False) -> Column[object]:
    return Column(name, Uuid, ForeignKey(f"{SCHEMA}.{target}.id"), nullable=nullable, index=index)


setting = Table("setting", metadata, Column("key", Text, primary_key=True), Column("value", JSONB, nullable=False))

member = Table(
    "member",
    metadata,
    _id(),
    Column("email", Sealed, nullable=False),
    Column("email_index", LargeBinary, nullable=False, unique=True),
    Column("name", Sealed, nullable=False),
    Column("password_hash", Text),
    Column("role", Text, _one_of("role", ROLES), nullable=False),
    Column("state", Text, _one_of("state", ("active", "removed")), nullable=False, server_default="active"),
    _ref("approver_id", "member", nullable=True),
    _at("created_at"),
    _at("last_seen_at", nullable=True),
)

invitation = Table(
    "invitation",
    metadata,
    _id(),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    Column("email", Sealed, nullable=False),
    Column("email_index", LargeBinary, nullable=False, index=True),
    Column("role", Text, _one_of("role", ROLES), nullable=False),
    _ref("invited_by", "member", nullable=True),
    _at("created_at"),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    _at("accepted_at", nullable=True),
    _at("revoked_at", nullable=True),
)

session = Table(
    "session",
    metadata,
    _id(),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    _ref("member_id", "member", index=True),
    Column("address", INET),
    Column("user_agent", Sealed),
    _at("created_at"),
    _at("last_seen_at"),
    _at("revoked_at", nullable=True),
)

category = Table(
    "category",
    metadata,
    _id(),
    Column("name", Text, nullable=False, unique=True),
    Column("active", Boolean, nullable=False, server_default=text("true")),
    Column("position", Integer, nullable=False, server_default=text("0")),
)

report = Table(
    "report",
    metadata,
    _id(),
    _ref("member_id", "member", index=True),
    Column("title", Text, nullable=False),
    Column("state", Text, _one_of("state", REPORT_STATES), nullable=False),
    Column("payment", Text, _one_of("payment", PAYMENT_STATES), nullable=False, server_default="none"),
    Column("return_reason", Sealed),
    Column("version", Integer, nullable=False, server_default=text("1")),
    _at("submitted_at"),
    _at("decided_at", nullable=True),
    _at("paid_at", nullable=True),
    Index("ix_report_state_submitted_at", "state", "submitted_at"),
)

approval_step = Table(
    "approval_step",
    metadata,
    _id(),
    _ref("report_id", "report", index=True),
    Column("position", SmallInteger, nullable=False),
    _ref("approver_id", "member", nullable=True, index=True),
    _ref("decided_by", "member", nullable=True),
    Column("decision", Text, CheckConstraint("decision IN ('approved', 'returned')", name="decision")),
    _at("decided_at", nullable=True),
    UniqueConstraint("report_id", "position"),
)

expense = Table(
    "expense",
    metadata,
    _id(),
    _ref("member_id", "member"),
    _ref("category_id", "category", index=True),
    _ref("report_id", "report", nullable=True, index=True),
    Column("state", Text, _one_of("state", EXPENSE_STATES), nullable=False, server_default="draft"),
    Column("spent_on", Date, nullable=False),
    Column("merchant", Text, CheckConstraint("length(merchant) BETWEEN 1 AND 200", name="merchant"), nullable=False),
    Column("amount", Numeric(19, 4), nullable=False),
    Column("currency", CHAR(3), nullable=False),
    Column("digits", SmallInteger, CheckConstraint("digits BETWEEN 0 AND 4", name="digits"), nullable=False),
    Column("tax_amount", Numeric(19, 4)),
    Column("fx_rate", Numeric(20, 10), nullable=False, server_default=text("1")),
    Column("fx_date", Date),
    Column("fx_source", Text),
    Column("base_amount", Numeric(19, 4), nullable=False),
    Column("base_currency", CHAR(3), nullable=False),
    Column("note", Sealed),
    Column("version", Integer, nullable=False, server_default=text("1")),
    _at("created_at"),
    _at("changed_at"),
    CheckConstraint("amount = round(amount, digits)", name="amount_digits"),
    CheckConstraint("amount NOT IN (0, 'NaN')", name="amount_not_zero"),
    CheckConstraint("fx_rate > 0", name="fx_rate"),
    Index("ix_expense_spent_on_id", text("spent_on DESC"), text("id DESC")),
    Index("ix_expense_member_spent_on", "member_id", text("spent_on DESC"), text("id DESC")),
    Index("ix_expense_state_spent_on", "state", text("spent_on DESC"), text("id DESC")),
)

receipt = Table(
    "receipt",
    metadata,
    _id(),
    _ref("uploaded_by", "member", index=True),
    Column("file_name", Sealed, nullable=False),
    Column(
        "media_type",
        Text,
        _one_of("media_type", ("image/jpeg", "image/png", "image/webp", "application/pdf")),
        nullable=False,
    ),
    Column("size", BigInteger, nullable=False),  # bytes of the plaintext
    Column("object", Text, nullable=False),  # name in the receipt store: content address of the sealed bytes
    Column("sha256", Text, nullable=False),  # of the sealed object, so that a backup can check it without a key
    Column("content_mac", LargeBinary, nullable=False, index=True),  # keyed hash of the plaintext: finds duplicates
    Column("preview_object", Text),
    Column("preview_sha256", Text),
    Column("width", Integer),
    Column("height", Integer),
    _at("created_at"),
)

expense_receipt = Table(
    "expense_receipt",
    metadata,
    Column("expense_id", Uuid, ForeignKey(f"{SCHEMA}.expense.id", ondelete="CASCADE"), primary_key=True),
    Column("receipt_id", Uuid, ForeignKey(f"{SCHEMA}.receipt.id"), primary_key=True, index=True),
    Column("position", SmallInteger, nullable=False, server_default=text("0")),
)

outbox = Table(
    "outbox",
    metadata,
    _id(),
    Column("recipient", Sealed, nullable=False),
    Column("subject", Sealed, nullable=False),
    Column("body", Sealed, nullable=False),
    _at("created_at"),
    _at("sent_at", nullable=True),
    Index("ix_outbox_unsent", "created_at", postgresql_where=text("sent_at IS NULL")),
)

audit_event = Table(
    "audit_event",
    metadata,
    _id(),
    _at("at"),
    _ref("actor_id", "member", nullable=True),
    Column("action", Text, nullable=False),
    Column("object_type", Text),
    Column("object_id", Uuid),
    Column("detail", JSONB, nullable=False, server_default=text("'{}'")),
    Index("ix_audit_event_object", "object_type", "object_id", "at"),
    Index("ix_audit_event_at", "at"),
)
