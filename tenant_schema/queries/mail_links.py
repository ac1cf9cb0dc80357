"""SQL over links in mails that work once, found by the SHA-256 of their token."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, and_, bindparam, delete, exists, func, or_, select, update
from sqlalchemy import insert as insert_into

from ..tables import mail_link, member

_GOOD = (
    mail_link.c.token_hash == bindparam("presented"),
    mail_link.c.purpose == bindparam("for_what"),
    mail_link.c.used_at.is_(None),
    mail_link.c.expires_at > bindparam("now"),
    exists().where(member.c.id == mail_link.c.member_id, member.c.state == "active"),
)
_FIND = select(mail_link.c.member_id).where(*_GOOD)
_USE = update(mail_link).where(*_GOOD).values(used_at=bindparam("now")).returning(mail_link.c.member_id)
_END = (
    update(mail_link)
    .where(
        mail_link.c.member_id == bindparam("owner_id"),
        mail_link.c.purpose.in_(bindparam("purposes", expanding=True)),
        mail_link.c.used_at.is_(None),
    )
    .values(used_at=func.now())
)
_SWEEP = delete(mail_link).where(
    mail_link.c.member_id == bindparam("owner_id"), mail_link.c.expires_at < bindparam("before")
)
_KNOWN = select(exists().where(mail_link.c.token_hash == bindparam("presented")))
_FIRST_OPEN = select(func.min(mail_link.c.created_at)).where(
    mail_link.c.member_id == bindparam("owner_id"),
    mail_link.c.purpose == bindparam("for_what"),
    or_(
        mail_link.c.token_hash == bindparam("presented"),
        and_(mail_link.c.used_at.is_(None), mail_link.c.expires_at > bindparam("now")),
    ),
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


def find(conn: Connection, token_hash: bytes, purpose: str, now: datetime) -> UUID | None:
    """Return whose link this is, if it can still be used and its member is active."""
    return conn.execute(_FIND, {"presented": token_hash, "for_what": purpose, "now": now}).scalar_one_or_none()


def use(conn: Connection, token_hash: bytes, purpose: str, now: datetime) -> UUID | None:
    """Use a link up and return whose it is; None where it cannot be used (any more). One of many at once succeeds."""
    return conn.execute(_USE, {"presented": token_hash, "for_what": purpose, "now": now}).scalar_one_or_none()


def end(conn: Connection, member_id: UUID, *purposes: str) -> None:
    """Make a member's links of these purposes useless."""
    conn.execute(_END, {"owner_id": member_id, "purposes": purposes})


def sweep(conn: Connection, member_id: UUID, before: datetime) -> None:
    """Delete a member's links that ran out before this time."""
    conn.execute(_SWEEP, {"owner_id": member_id, "before": before})


def was_made(conn: Connection, token_hash: bytes) -> bool:
    """Say whether a link with this token was sent from here, used up or not."""
    return bool(conn.execute(_KNOWN, {"presented": token_hash}).scalar_one())


def first_made(conn: Connection, member_id: UUID, token_hash: bytes, purpose: str, now: datetime) -> datetime:
    """Return when the oldest of a link, used up or not, and its member's open links of this purpose was made."""
    values = {"owner_id": member_id, "presented": token_hash, "for_what": purpose, "now": now}
    return conn.execute(_FIRST_OPEN, values).scalar_one()


def made_since(conn: Connection, purpose: str, since: datetime) -> int:
    """Return how many links of a purpose were made since then, used up or not."""
    made = mail_link.c.purpose == purpose, mail_link.c.created_at >= since
    return conn.execute(select(func.count()).select_from(mail_link).where(*made)).scalar_one()
