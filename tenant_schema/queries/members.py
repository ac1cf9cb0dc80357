"""SQL over members. Names and e-mails come and go sealed; e-mails are found by their blind index."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, Row, and_, bindparam, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert as insert_or_ignore

from ...config.errors import NotFoundError, RefusedError
from ..tables import member


@dataclass(frozen=True, slots=True)
class Member:
    """A person in the workspace. `email` and `name` are sealed; without `password_hash` nobody signs in."""

    id: UUID
    email: bytes
    name: bytes
    password_hash: str | None = field(repr=False)
    role: str
    state: str
    approver_id: UUID | None
    created_at: datetime
    last_seen_at: datetime | None
    email_index: bytes


_MEMBER = select(
    member.c.id,
    member.c.email,
    member.c.name,
    member.c.password_hash,
    member.c.role,
    member.c.state,
    member.c.approver_id,
    member.c.created_at,
    member.c.last_seen_at,
    member.c.email_index,
)
_BY_ID = _MEMBER.where(member.c.id == bindparam("id"))
_BY_EMAIL = _MEMBER.where(member.c.email_index == bindparam("email_index"))
_ACTIVE = _MEMBER.where(member.c.state == "active").order_by(member.c.created_at, member.c.id)
_ALL = _MEMBER.order_by(member.c.created_at, member.c.id)
_OWNERS = (
    select(member.c.id).where(member.c.role == "owner", member.c.state == "active").order_by(member.c.id)
).with_for_update()
_LOCK = (
    _MEMBER.where(
        or_(
            member.c.id.in_(bindparam("ids", expanding=True)),
            and_(member.c.role == "owner", member.c.state == "active"),
        )
    )
    .order_by(member.c.id)
    .with_for_update(key_share=True)
)
_SEEN = update(member).where(member.c.id == bindparam("member_id")).values(last_seen_at=bindparam("now"))

_RENEW = (
    update(member)
    .where(member.c.id == bindparam("member_id"), member.c.password_hash == bindparam("old"))
    .values(password_hash=bindparam("new"))
)
_LOCK_ONE = _BY_ID.with_for_update(key_share=True)


def by_id(conn: Connection, member_id: UUID) -> Member:
    """Return one member, removed or not. Raises `NotFoundError`."""
    row = conn.execute(_BY_ID, {"id": member_id}).one_or_none()
    if row is None:
        raise NotFoundError("There is no such member in this workspace.")
    return _member(row)


def by_email(conn: Connection, email_index: bytes) -> Member | None:
    """Return the member with this blind index of the normalised address, removed or not."""
    row = conn.execute(_BY_EMAIL, {"email_index": email_index}).one_or_none()
    return None if row is None else _member(row)


def list_active(conn: Connection) -> list[Member]:
    """Return everybody who may sign in, oldest member first."""
    return [_member(row) for row in conn.execute(_ACTIVE)]


def list_all(conn: Connection) -> list[Member]:
    """Return everybody who is or was a member, oldest first."""
    return [_member(row) for row in conn.execute(_ALL)]


def active_owners(conn: Connection) -> Sequence[UUID]:
    """Return the owners' ids and lock their rows, so that of two who step down at once one stays."""
    return conn.execute(_OWNERS).scalars().all()


def lock(conn: Connection, ids: Collection[UUID]) -> dict[UUID, Member]:
    """Return the members of these ids and all active owners, and lock their rows, in one order for everybody.

    Whoever changes who may do what goes through here: of two owners who demote each other at once, one stays, and
    nobody acts by a role that was taken away a moment before. Other rows may still refer to a locked one meanwhile.
    """
    return {row.id: _member(row) for row in conn.execute(_LOCK, {"ids": list(ids)})}


def insert(
    conn: Connection,
    *,
    id: UUID,  # noqa: A002  # the column's name
    email: bytes,
    email_index: bytes,
    name: bytes,
    password_hash: str | None,
    role: str,
    approver_id: UUID | None = None,
) -> None:
    """Add a member. Raises `RefusedError` if the address is a member's already, whether active or removed."""
    row = {
        "id": id,
        "email": email,
        "email_index": email_index,
        "name": name,
        "password_hash": password_hash,
        "role": role,
        "approver_id": approver_id,
    }
    statement = insert_or_ignore(member).on_conflict_do_nothing(index_elements=["email_index"]).returning(member.c.id)
    if conn.execute(statement, row).one_or_none() is None:
        raise RefusedError("There is already a member with this e-mail address.")


def set_role(conn: Connection, member_id: UUID, role: str) -> None:
    """Give a member another role. Raises `NotFoundError`."""
    _set(conn, member_id, role=role)


def set_state(conn: Connection, member_id: UUID, state: str) -> None:
    """Make a member `active` or `removed`. Raises `NotFoundError`."""
    _set(conn, member_id, state=state)


def set_approver(conn: Connection, member_id: UUID, approver_id: UUID | None) -> None:
    """Say who approves this member's reports. Raises `NotFoundError`."""
    _set(conn, member_id, approver_id=approver_id)


def set_name(conn: Connection, member_id: UUID, name: bytes) -> None:
    """Replace a member's sealed name. Raises `NotFoundError`."""
    _set(conn, member_id, name=name)


def set_password_hash(conn: Connection, member_id: UUID, password_hash: str) -> None:
    """Replace a member's password hash. Raises `NotFoundError`."""
    _set(conn, member_id, password_hash=password_hash)


def replace_password_hash(conn: Connection, member_id: UUID, old: str, new: str) -> bool:
    """Replace a hash unless another password was set meanwhile; say whether it was replaced."""
    return conn.execute(_RENEW, {"member_id": member_id, "old": old, "new": new}).rowcount == 1


def has_still(conn: Connection, member_id: UUID, password_hash: str) -> bool:
    """Say whether an active member has this very hash, and lock the row, so that it stays so until the commit."""
    row = conn.execute(_LOCK_ONE, {"id": member_id}).one_or_none()
    found = None if row is None else _member(row)
    return found is not None and found.state == "active" and found.password_hash == password_hash


def hold(conn: Connection, member_id: UUID) -> bool:
    """Lock a member's row until the commit; say whether they may sign in.

    Every way to sign in does so before it looks at a proof, as does whoever ends all sessions: one after the other.
    """
    row = conn.execute(_LOCK_ONE, {"id": member_id}).one_or_none()
    return row is not None and _member(row).state == "active"


def count_hashes(conn: Connection, prefix: str) -> int:
    """Return how many who may sign in have a password hash that begins with `prefix`."""
    mine = select(func.count()).where(
        member.c.state == "active", member.c.password_hash.startswith(prefix, autoescape=True)
    )
    return conn.execute(mine).scalar_one()


def seen(conn: Connection, member_id: UUID, now: datetime) -> None:
    """Note that the member was here at `now`."""
    conn.execute(_SEEN, {"member_id": member_id, "now": now})


def count_active(conn: Connection) -> int:
    """Return how many members may sign in."""
    return conn.execute(select(func.count()).where(member.c.state == "active")).scalar_one()


def _set(conn: Connection, member_id: UUID, **values: object) -> None:
    if conn.execute(update(member).where(member.c.id == member_id).values(values)).rowcount != 1:
        raise NotFoundError("There is no such member in this workspace.")


def _member(
    row: Row[UUID, bytes, bytes, str | None, str, str, UUID | None, datetime, datetime | None, bytes],
) -> Member:
    return Member(*row)
