"""SQL over sessions, found by the SHA-256 of the token that the browser holds."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection, bindparam, func, null, or_, select, update
from sqlalchemy import insert as insert_into

from ..tables import challenge, member, session


@dataclass(frozen=True, slots=True)
class LiveSession:
    """A session that still counts, with its member. `name` and `email` are sealed for the member's row.

    `stepped_up_at` is None for whoever comes with the token before: what was proved since is not proved by it.
    """

    id: UUID
    member_id: UUID
    role: str
    name: bytes
    email: bytes
    created_at: datetime
    last_seen_at: datetime
    stepped_up_at: datetime | None


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a session begins, as far as it is known: an ISO 3166-1 code, and the member's device."""

    country: str | None = None
    device_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Device:
    """A session as its member sees it in a list. `user_agent` is sealed for the session's row."""

    id: UUID
    address: str | None
    user_agent: bytes | None
    country: str | None
    method: str
    created_at: datetime
    last_seen_at: datetime


UNKNOWN = Origin()
_FOUND = (
    session.c.id,
    session.c.member_id,
    member.c.role,
    member.c.name,
    member.c.email,
    session.c.created_at,
    session.c.last_seen_at,
)
_COUNTS = (
    session.c.revoked_at.is_(None),
    session.c.last_seen_at > bindparam("seen_after"),
    session.c.created_at > bindparam("created_after"),
    member.c.state == "active",
)
_OF_ITS_MEMBER = session.c.member_id == member.c.id
_LIVE = (
    select(*_FOUND, session.c.stepped_up_at)
    .join_from(session, member, _OF_ITS_MEMBER)
    .where(session.c.token_hash == bindparam("token_hash"), *_COUNTS)
)
_REPLACED = (  # the database's clock: a token must not live longer where a web machine's clock is slow
    select(*_FOUND, null())
    .join_from(session, member, _OF_ITS_MEMBER)
    .where(
        session.c.previous_hash == bindparam("token_hash"), session.c.previous_until > func.clock_timestamp(), *_COUNTS
    )
)
_DEVICES = (
    select(
        session.c.id,
        func.host(session.c.address),
        session.c.user_agent,
        session.c.country,
        session.c.method,
        session.c.created_at,
        session.c.last_seen_at,
    )
    .where(
        session.c.member_id == bindparam("member_id"),
        session.c.revoked_at.is_(None),
        session.c.last_seen_at > bindparam("seen_after"),
        session.c.created_at > bindparam("created_after"),
    )
    .order_by(session.c.last_seen_at.desc(), session.c.id)
)
_TOUCH = (
    update(session)
    .where(session.c.id == bindparam("session_id"), session.c.last_seen_at < bindparam("now"))
    .values(last_seen_at=bindparam("now"))
)
_REPLACE = (
    update(session)
    .where(
        session.c.id == bindparam("session_id"),
        session.c.token_hash == bindparam("old_hash"),
        session.c.revoked_at.is_(None),
    )
    .values(
        token_hash=bindparam("new_hash"),
        previous_hash=bindparam("old_hash"),
        previous_until=func.clock_timestamp() + bindparam("grace"),
    )
)
_STEP_UP = update(session).where(session.c.id == bindparam("session_id")).values(stepped_up_at=bindparam("now"))
_UNREVOKED = update(session).where(session.c.revoked_at.is_(None)).values(revoked_at=func.now())
_REVOKE_TOKEN = _UNREVOKED.where(
    or_(session.c.token_hash == bindparam("the_token"), session.c.previous_hash == bindparam("the_token"))
)
_REVOKE_ONE = _UNREVOKED.where(session.c.id == bindparam("session_id"), session.c.member_id == bindparam("owner_id"))
_REVOKE_OTHERS = _UNREVOKED.where(session.c.member_id == bindparam("owner_id"), session.c.id != bindparam("kept_id"))
_END_CHALLENGES = (
    update(challenge)
    .where(challenge.c.member_id == bindparam("owner_id"), challenge.c.used_at.is_(None))
    .values(used_at=func.now())
)
_REVOKE_ALL = _UNREVOKED.where(session.c.member_id == bindparam("owner_id"))


def insert(
    conn: Connection,
    *,
    id: UUID,  # noqa: A002  # the column's name
    token_hash: bytes,
    member_id: UUID,
    method: str,
    address: str | None,
    user_agent: bytes | None,
    origin: Origin = UNKNOWN,
) -> None:
    """Begin a session. `method` is one of `SIGN_IN_METHODS`."""
    row = {
        "id": id,
        "token_hash": token_hash,
        "member_id": member_id,
        "method": method,
        "address": address,
        "user_agent": user_agent,
        "country": origin.country,
        "device_id": origin.device_id,
    }
    conn.execute(insert_into(session), row)


def live(conn: Connection, token_hash: bytes, *, seen_after: datetime, created_after: datetime) -> LiveSession | None:
    """Return the session if it is not revoked, was used and begun after these times, and its member is active.

    The token that a session had before is as good for the seconds that `replace_token` gave it.
    """
    times = {"token_hash": token_hash, "seen_after": seen_after, "created_after": created_after}
    row = conn.execute(_LIVE, times).one_or_none() or conn.execute(_REPLACED, times).one_or_none()
    return None if row is None else LiveSession(*row)


def replace_token(conn: Connection, session_id: UUID, old_hash: bytes, new_hash: bytes, grace: timedelta) -> bool:
    """Give a session another token; the old one is good for `grace` more. False if it has another one already."""
    values = {"session_id": session_id, "old_hash": old_hash, "new_hash": new_hash, "grace": grace}
    return conn.execute(_REPLACE, values).rowcount == 1


def step_up(conn: Connection, session_id: UUID, now: datetime) -> None:
    """Note that the session's member has proved anew who it is."""
    conn.execute(_STEP_UP, {"session_id": session_id, "now": now})


def touch(conn: Connection, session_id: UUID, now: datetime) -> None:
    """Note that the session was used at `now`."""
    conn.execute(_TOUCH, {"session_id": session_id, "now": now})


def of_member(conn: Connection, member_id: UUID, *, seen_after: datetime, created_after: datetime) -> list[Device]:
    """Return the live sessions of a member, the one used last first."""
    times = {"member_id": member_id, "seen_after": seen_after, "created_after": created_after}
    return [Device(*row) for row in conn.execute(_DEVICES, times)]


def revoke_token(conn: Connection, token_hash: bytes) -> None:
    """End the session with this token, if there is one."""
    conn.execute(_REVOKE_TOKEN, {"the_token": token_hash})


def revoke(conn: Connection, session_id: UUID, member_id: UUID) -> bool:
    """End one session of this member; False if the member has no such session."""
    return conn.execute(_REVOKE_ONE, {"session_id": session_id, "owner_id": member_id}).rowcount == 1


def revoke_all(conn: Connection, member_id: UUID, keep: UUID | None = None) -> int:
    """End all sessions of a member, except `keep` where given, and half-done sign-ins; return how many sessions."""
    conn.execute(_END_CHALLENGES, {"owner_id": member_id})
    if keep is None:
        return conn.execute(_REVOKE_ALL, {"owner_id": member_id}).rowcount
    return conn.execute(_REVOKE_OTHERS, {"owner_id": member_id, "kept_id": keep}).rowcount
