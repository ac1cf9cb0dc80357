"""Members, how they prove who they are, and where they are signed in."""

from sqlalchemy import (
    CHAR,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import INET, JSONB

from ..types import Sealed
from .base import SCHEMA, at, metadata, one_of, ref, row_id

ROLES = ("owner", "admin", "member", "contributor", "read_only")
SIGN_IN_METHODS = ("password", "totp", "recovery_code", "passkey", "passkey_second", "invitation")
CHALLENGE_PURPOSES = ("second_factor", "passkey_enrol", "passkey_sign_in", "passkey_second", "step_up")
LINK_PURPOSES = ("reset", "not_me", "unlock")

member = Table(
    "member",
    metadata,
    row_id(),
    Column("email", Sealed, nullable=False),
    Column("email_index", LargeBinary, nullable=False, unique=True),
    Column("name", Sealed, nullable=False),
    Column("password_hash", Text),
    Column("role", Text, one_of("role", ROLES), nullable=False),
    Column("state", Text, one_of("state", ("active", "removed")), nullable=False, server_default="active"),
    ref("approver_id", "member", nullable=True),
    at("created_at"),
    at("last_seen_at", nullable=True),
)

invitation = Table(
    "invitation",
    metadata,
    row_id(),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    Column("email", Sealed, nullable=False),
    Column("email_index", LargeBinary, nullable=False, index=True),
    Column("role", Text, one_of("role", ROLES), nullable=False),
    ref("invited_by", "member", nullable=True),
    at("created_at"),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    at("accepted_at", nullable=True),
    at("revoked_at", nullable=True),
)

session = Table(
    "session",
    metadata,
    row_id(),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    ref("member_id", "member", index=True),
    Column("address", INET),
    Column("user_agent", Sealed),
    at("created_at"),
    at("last_seen_at"),
    at("revoked_at", nullable=True),
    ref("device_id", "device", nullable=True),
    Column("country", CHAR(2)),  # ISO 3166-1, where known
    Column("method", Text, one_of("method", SIGN_IN_METHODS), nullable=False, server_default="password"),
    at("stepped_up_at", nullable=True),  # when the member last proved who it is within this session
    Column("previous_hash", LargeBinary, unique=True),  # of the token before: good until `previous_until`
    at("previous_until", nullable=True),
)

device = Table(  # a browser that a member has signed in with; it keeps the random id
    "device",
    metadata,
    row_id(),
    ref("member_id", "member"),
    Column("token_hash", LargeBinary, nullable=False),
    Column("user_agent", Sealed),
    Column("country", CHAR(2)),
    at("first_seen_at"),
    at("last_seen_at"),
    UniqueConstraint("member_id", "token_hash"),
)

totp = Table(
    "totp",
    metadata,
    row_id(),
    Column("member_id", Uuid, ForeignKey(f"{SCHEMA}.member.id"), nullable=False, unique=True),
    Column("secret", Sealed, nullable=False),
    Column("last_counter", BigInteger),  # of the last accepted code: none is accepted twice (RFC 6238, 5.2)
    at("created_at"),
    at("confirmed_at", nullable=True),  # null while a code has yet to prove that the secret arrived
)

recovery_code = Table(
    "recovery_code",
    metadata,
    row_id(),
    ref("member_id", "member", index=True),
    Column("code_hash", LargeBinary, nullable=False, unique=True),
    at("created_at"),
    at("used_at", nullable=True),
)

passkey = Table(
    "passkey",
    metadata,
    row_id(),
    ref("member_id", "member", index=True),
    Column("credential_id", LargeBinary, nullable=False, unique=True),
    Column("public_key", LargeBinary, nullable=False),  # COSE
    Column("sign_count", BigInteger, nullable=False, server_default=text("0")),
    Column("transports", JSONB, nullable=False, server_default=text("'[]'")),
    Column("backed_up", Boolean, nullable=False, server_default=text("false")),
    Column("name", Sealed, nullable=False),
    at("created_at"),
    at("last_used_at", nullable=True),
)

challenge = Table(  # something asked of a browser, to be answered once and soon
    "challenge",
    metadata,
    row_id(),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    Column("purpose", Text, one_of("purpose", CHALLENGE_PURPOSES), nullable=False),
    ref("member_id", "member", nullable=True, index=True),
    Column("content", LargeBinary),  # what the browser has to sign
    Column("failures", Integer, nullable=False, server_default=text("0")),
    at("created_at"),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    at("used_at", nullable=True),
)

mail_link = Table(  # a link in a mail that works once
    "mail_link",
    metadata,
    row_id(),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    Column("purpose", Text, one_of("purpose", LINK_PURPOSES), nullable=False),
    ref("member_id", "member", index=True),
    at("created_at"),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    at("used_at", nullable=True),
)

ownership_transfer = Table(
    "ownership_transfer",
    metadata,
    row_id(),
    ref("from_id", "member"),
    ref("to_id", "member"),
    at("created_at"),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    at("accepted_at", nullable=True),
    at("cancelled_at", nullable=True),  # withdrawn, declined, or overtaken by a removal
    Column("stays_owner", Boolean, nullable=False, server_default=text("false")),  # else who gives it becomes Admin
    Index(  # one open transfer at a time
        "uq_ownership_transfer_open",
        text("(true)"),
        unique=True,
        postgresql_where=text("accepted_at IS NULL AND cancelled_at IS NULL"),
    ),
)

permission_use = Table(  # when a member last used a permission: what nobody uses need not be granted
    "permission_use",
    metadata,
    Column("member_id", Uuid, ForeignKey(f"{SCHEMA}.member.id"), primary_key=True),
    Column("permission", Text, primary_key=True),
    Column("last_used_on", Date, nullable=False),
)
