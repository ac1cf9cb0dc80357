"""SQL over devices: browsers that a member has signed in with, found by the SHA-256 of the random id that they keep."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, bindparam, delete, exists, select, union, update
from sqlalchemy.dialects.postgresql import insert as insert_or_update

from ..tables import device, session

_KNOWN_HERE = select(exists().where(device.c.token_hash == bindparam("presented")))
_OF_MEMBER = select(device.c.id).where(
    device.c.member_id == bindparam("of_member"), device.c.token_hash == bindparam("presented")
)
_SEEN = update(device).where(device.c.id == bindparam("device_id"))
_COUNTRIES = union(
    select(session.c.country).where(session.c.member_id == bindparam("of_member"), session.c.country.is_not(None)),
    select(device.c.country).where(device.c.member_id == bindparam("of_member"), device.c.country.is_not(None)),
)


def is_known(conn: Connection, token_hash: bytes) -> bool:
    """Say whether any member of this workspace has signed in with this browser."""
    return bool(conn.execute(_KNOWN_HERE, {"presented": token_hash}).scalar_one())


def of_member(conn: Connection, member_id: UUID, token_hash: bytes) -> UUID | None:
    """Return the id of a device that this member has signed in with."""
    return conn.execute(_OF_MEMBER, {"of_member": member_id, "presented": token_hash}).scalar_one_or_none()


def put(
    conn: Connection,
    *,
    id: UUID,  # noqa: A002  # the column's name
    member_id: UUID,
    token_hash: bytes,
    user_agent: bytes,
    country: str | None,
) -> UUID:
    """Add a device and return its id, or that of the same one, added by another request meanwhile."""
    row = {"id": id, "member_id": member_id, "token_hash": token_hash, "user_agent": user_agent, "country": country}
    statement = insert_or_update(device)
    same = statement.on_conflict_do_update(
        index_elements=["member_id", "token_hash"], set_={"last_seen_at": statement.excluded.last_seen_at}
    )
    return conn.execute(same.returning(device.c.id), row).scalar_one()


def seen(conn: Connection, device_id: UUID, now: datetime, user_agent: bytes, country: str | None) -> None:
    """Note that a device was signed in with at `now`, and what it calls itself by now."""
    values = {"last_seen_at": now, "user_agent": user_agent} | ({"country": country} if country else {})
    conn.execute(_SEEN.values(values), {"device_id": device_id})


def countries(conn: Connection, member_id: UUID) -> AbstractSet[str]:
    """Return the countries that this member has signed in from, as far back as sessions are kept."""
    return set(conn.execute(_COUNTRIES, {"of_member": member_id}).scalars())


def forget(conn: Connection, member_id: UUID, session_id: UUID) -> None:
    """Forget the device of a session: who signs in with it again does so from a new one."""
    of_session = select(session.c.device_id).where(session.c.id == session_id, session.c.member_id == member_id)
    _forget(conn, member_id, conn.execute(of_session.where(session.c.device_id.is_not(None))).scalars().all())


def forget_all(conn: Connection, member_id: UUID, keep_session: UUID | None = None) -> None:
    """Forget all devices of a member, but for that of `keep_session` where given."""
    kept = select(session.c.device_id).where(session.c.id == keep_session, session.c.device_id.is_not(None))
    found = select(device.c.id).where(device.c.member_id == member_id, device.c.id.not_in(kept))
    _forget(conn, member_id, conn.execute(found).scalars().all())


def _forget(conn: Connection, member_id: UUID, ids: Sequence[UUID]) -> None:
    if not ids:
        return
    used = update(session).where(session.c.member_id == member_id, session.c.device_id.in_(ids))
    conn.execute(used.values(device_id=None))
    conn.execute(delete(device).where(device.c.member_id == member_id, device.c.id.in_(ids)))
