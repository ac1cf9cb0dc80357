"""SQL over second factors: the authenticator app of a member, recovery codes, and whether there is any factor."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, bindparam, delete, exists, func, insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as insert_or_replace

from ...config.errors import RefusedError
from ..tables import passkey, recovery_code, totp


@dataclass(frozen=True, slots=True)
class Totp:
    """An authenticator app. `secret` is sealed for its row; it counts once it is confirmed."""

    id: UUID
    secret: bytes
    last_counter: int | None
    created_at: datetime
    confirmed_at: datetime | None


_TOTP = select(totp.c.id, totp.c.secret, totp.c.last_counter, totp.c.created_at, totp.c.confirmed_at).where(
    totp.c.member_id == bindparam("the_member")
)
_CONFIRM = (
    update(totp)
    .where(totp.c.id == bindparam("the_id"), totp.c.confirmed_at.is_(None))
    .values(confirmed_at=bindparam("now"), last_counter=bindparam("counter"))
)
_ACCEPT = (
    update(totp)
    .where(
        totp.c.id == bindparam("the_id"),
        totp.c.confirmed_at.is_not(None),
        or_(totp.c.last_counter.is_(None), totp.c.last_counter < bindparam("counter")),
    )
    .values(last_counter=bindparam("counter"))
)
_USE_CODE = (
    update(recovery_code)
    .where(
        recovery_code.c.member_id == bindparam("the_member"),
        recovery_code.c.code_hash == bindparam("the_code"),
        recovery_code.c.used_at.is_(None),
    )
    .values(used_at=bindparam("now"))
)
_LEFT = select(func.count()).where(
    recovery_code.c.member_id == bindparam("the_member"), recovery_code.c.used_at.is_(None)
)
_HAS = select(
    or_(
        exists().where(totp.c.member_id == bindparam("the_member"), totp.c.confirmed_at.is_not(None)),
        exists().where(passkey.c.member_id == bindparam("the_member")),
    )
)
_WHO = select(totp.c.member_id).where(totp.c.confirmed_at.is_not(None)).union(select(passkey.c.member_id))


def has_second_factor(conn: Connection, member_id: UUID) -> bool:
    """Whether a password alone is not enough for this member: there is a confirmed app or a passkey."""
    return bool(conn.execute(_HAS, {"the_member": member_id}).scalar_one())


def with_second_factor(conn: Connection) -> set[UUID]:
    """Return the ids of all members, removed ones too, who have a second factor."""
    return set(conn.execute(_WHO).scalars())


def totp_of(conn: Connection, member_id: UUID) -> Totp | None:
    """Return the member's authenticator app, confirmed or not."""
    row = conn.execute(_TOTP, {"the_member": member_id}).one_or_none()
    return None if row is None else Totp(*row)


def begin_totp(conn: Connection, *, totp_id: UUID, member_id: UUID, secret: bytes) -> None:
    """Keep a secret that is yet to be confirmed, instead of an earlier such one.

    Raises `RefusedError` where the member has a confirmed app.
    """
    new = {"id": totp_id, "secret": secret, "created_at": func.now(), "last_counter": None}
    statement = (
        insert_or_replace(totp)
        .values(id=totp_id, member_id=member_id, secret=secret)
        .on_conflict_do_update(index_elements=["member_id"], set_=new, where=totp.c.confirmed_at.is_(None))
        .returning(totp.c.id)
    )
    if conn.execute(statement).one_or_none() is None:
        raise RefusedError("You have an authenticator app already; remove it first to set up another.")


def confirm_totp(conn: Connection, totp_id: UUID, counter: int, now: datetime) -> bool:
    """Let the app count from now on, the code of `counter` being used; False if it was confirmed already."""
    return conn.execute(_CONFIRM, {"the_id": totp_id, "counter": counter, "now": now}).rowcount == 1


def accept_counter(conn: Connection, totp_id: UUID, counter: int) -> bool:
    """Use up the code of `counter` and all before it; of parallel callers one gets True. Source: RFC 6238, 5.2."""
    return conn.execute(_ACCEPT, {"the_id": totp_id, "counter": counter}).rowcount == 1


def remove_totp(conn: Connection, member_id: UUID) -> bool:
    """Take the member's app away, confirmed or not; False if there was none."""
    return conn.execute(delete(totp).where(totp.c.member_id == member_id)).rowcount == 1


def replace_codes(conn: Connection, member_id: UUID, codes: Iterable[tuple[UUID, bytes]]) -> None:
    """Put these recovery codes (row id, hash) in the place of all earlier ones."""
    remove_codes(conn, member_id)
    rows = [{"id": row_id, "member_id": member_id, "code_hash": code_hash} for row_id, code_hash in codes]
    conn.execute(insert(recovery_code), rows)


def remove_codes(conn: Connection, member_id: UUID) -> None:
    """Take the member's recovery codes away."""
    conn.execute(delete(recovery_code).where(recovery_code.c.member_id == member_id))


def remove_every(conn: Connection, member_id: UUID) -> None:
    """Take app, passkeys and recovery codes of a member away."""
    for table in (totp, passkey, recovery_code):
        conn.execute(delete(table).where(table.c.member_id == member_id))


def use_code(conn: Connection, member_id: UUID, code_hash: bytes, now: datetime) -> bool:
    """Use up a recovery code; False where the member has no such unused one. Of parallel callers one gets True."""
    values = {"the_member": member_id, "the_code": code_hash, "now": now}
    return conn.execute(_USE_CODE, values).rowcount == 1


def codes_left(conn: Connection, member_id: UUID) -> int:
    """Return how many recovery codes the member has not used."""
    return conn.execute(_LEFT, {"the_member": member_id}).scalar_one()
