"""SQL over links in mails: single use, and only for whoever holds the token whose SHA-256 is stored."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, bindparam, func, select, update
from sqlalchemy import insert as insert_into

from ..tables import mail_link, member

_ACTIVE = select(member.c.id).where(member.c.id == mail_link.c.member_id, member.c.state == "active").exists()
_GOOD = (
    mail_link.c.token_hash == bindparam("presented"),
    mail_link.c.purpose == bindparam("wanted"),
    mail_link.c.used_at.is_(None),
    mail_link.c.expires_at > bindparam("now"),
    _ACTIVE,
)
_LOOK = select(mail_link.c.member_id).where(*_GOOD)
_USE = update(mail_link).where(*_GOOD).values(used_at=bindparam("now")).returning(mail_link.c.member_id)
_MADE = select(mail_link.c.created_at).where(mail_link.c.token_hash == bindparam("presented"))
_UNUSED = (
    update(mail_link)
    .where(mail_link.c.member_id == bindparam("of_member"), mail_link.c.used_at.is_(None))
    .values(used_at=func.now())
)


def insert(
    conn: Connection,
    *,
    id: UUID,  # noqa: A002  # the column's name
    token_hash: bytes,
    purpose: str,
    member_id: UUID,
    expires_at: datetime,
) -> None:
    """Add a link. `purpose` is one of `LINK_PURPOSES`."""
    row = {
        "id": id,
        "token_hash": token_hash,
        "purpose": purpose,
        "member_id": member_id,
        "expires_at": expires_at,
    }
    conn.execute(insert_into(mail_link), row)


def look(conn: Connection, token_hash: bytes, purpose: str, now: datetime) -> UUID | None:
    """Return the active member whom an unused link was sent to, and leave it unused."""
    return conn.execute(_LOOK, {"presented": token_hash, "wanted": purpose, "now": now}).scalar_one_or_none()


def use(conn: Connection, token_hash: bytes, purpose: str, now: datetime) -> UUID | None:
    """Use a link up and return its member; of two who try at once one gets None."""
    return conn.execute(_USE, {"presented": token_hash, "wanted": purpose, "now": now}).scalar_one_or_none()


def made_at(conn: Connection, token_hash: bytes) -> datetime | None:
    """Return when a link was made, used up or not; None for one that this workspace never sent."""
    return conn.execute(_MADE, {"presented": token_hash}).scalar_one_or_none()


def use_up_all(conn: Connection, member_id: UUID, purpose: str | None = None) -> None:
    """Make all unused links of a member useless, or those of one purpose."""
    statement = _UNUSED if purpose is None else _UNUSED.where(mail_link.c.purpose == purpose)
    conn.execute(statement, {"of_member": member_id})
