"""Expenses, their receipts, and the reports by which they are approved."""

from sqlalchemy import (
    CHAR,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

from ..types import Sealed
from .base import SCHEMA, at, metadata, one_of, ref, row_id

EXPENSE_STATES = ("draft", "submitted", "returned", "approved")
REPORT_STATES = ("submitted", "returned", "withdrawn", "approved", "closed")
PAYMENT_STATES = ("none", "due", "paid")

category = Table(
    "category",
    metadata,
    row_id(),
    Column("name", Text, nullable=False, unique=True),
    Column("active", Boolean, nullable=False, server_default=text("true")),
    Column("position", Integer, nullable=False, server_default=text("0")),
)

report = Table(
    "report",
    metadata,
    row_id(),
    ref("member_id", "member", index=True),
    Column("title", Text, nullable=False),
    Column("state", Text, one_of("state", REPORT_STATES), nullable=False),
    Column("payment", Text, one_of("payment", PAYMENT_STATES), nullable=False, server_default="none"),
    Column("return_reason", Sealed),
    Column("version", Integer, nullable=False, server_default=text("1")),
    at("submitted_at"),
    at("decided_at", nullable=True),
    at("paid_at", nullable=True),
    Index("ix_report_state_submitted_at", "state", "submitted_at"),
)

approval_step = Table(
    "approval_step",
    metadata,
    row_id(),
    ref("report_id", "report", index=True),
    Column("position", SmallInteger, nullable=False),
    ref("approver_id", "member", nullable=True, index=True),
    ref("decided_by", "member", nullable=True),
    Column("decision", Text, CheckConstraint("decision IN ('approved', 'returned')", name="decision")),
    at("decided_at", nullable=True),
    UniqueConstraint("report_id", "position"),
)

expense = Table(
    "expense",
    metadata,
    row_id(),
    ref("member_id", "member"),
    ref("category_id", "category", index=True),
    ref("report_id", "report", nullable=True, index=True),
    Column("state", Text, one_of("state", EXPENSE_STATES), nullable=False, server_default="draft"),
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
    at("created_at"),
    at("changed_at"),
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
    row_id(),
    ref("uploaded_by", "member", index=True),
    Column("file_name", Sealed, nullable=False),
    Column(
        "media_type",
        Text,
        one_of("media_type", ("image/jpeg", "image/png", "image/webp", "application/pdf")),
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
    at("created_at"),
)

expense_receipt = Table(
    "expense_receipt",
    metadata,
    Column("expense_id", Uuid, ForeignKey(f"{SCHEMA}.expense.id", ondelete="CASCADE"), primary_key=True),
    Column("receipt_id", Uuid, ForeignKey(f"{SCHEMA}.receipt.id"), primary_key=True, index=True),
    Column("position", SmallInteger, nullable=False, server_default=text("0")),
)
