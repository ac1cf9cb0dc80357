"""SQL over passkeys: public keys of members' authenticators. Names are sealed for their row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, and_, bindparam, delete, or_, select, update
from sqlalchemy.dialects.postgresql import insert as insert_or_ignore

from ...config.errors import NotFoundError, RefusedError
from ..tables import member, passkey


@dataclass(frozen=True, slots=True)
class Passkey:
    """A member's passkey. `public_key` is in COSE form, `name` sealed."""

    id: UUID
    member_id: UUID
    credential_id: bytes
    public_key: bytes
    sign_count: int
    transports: Sequence[str]
    name: bytes
    created_at: datetime
    last_used_at: datetime | None


_PASSKEY = select(
    passkey.c.id,
    passkey.c.member_id,
    passkey.c.credential_id,
    passkey.c.public_key,
    passkey.c.sign_count,
    passkey.c.transports,
    passkey.c.name,
    passkey.c.created_at,
    passkey.c.last_used_at,
)
_OF_MEMBER = _PASSKEY.where(passkey.c.member_id == bindparam("the_member")).order_by(passkey.c.id)
_BY_CREDENTIAL = _PASSKEY.join(member, passkey.c.member_id == member.c.id).where(
    passkey.c.credential_id == bindparam("credential"), member.c.state == "active"
)
_USED = (
    update(passkey)
    .where(
        passkey.c.id == bindparam("the_id"),
        or_(
            passkey.c.sign_count < bindparam("new_count"),
            and_(passkey.c.sign_count == 0, bindparam("new_count") == 0),  # an authenticator that does not count
        ),
    )
    .values(sign_count=bindparam("new_count"), last_used_at=bindparam("now"))
)


def add(conn: Connection, row: Mapping[str, object]) -> None:
    """Add a passkey, the table's columns by name. Raises `RefusedError` where the credential is somebody's already."""
    statement = insert_or_ignore(passkey).on_conflict_do_nothing(index_elements=["credential_id"])
    if conn.execute(statement.returning(passkey.c.id), dict(row)).one_or_none() is None:
        raise RefusedError("This passkey is in use already.")


def of_member(conn: Connection, member_id: UUID) -> list[Passkey]:
    """Return the member's passkeys, the oldest first."""
    return [Passkey(*row) for row in conn.execute(_OF_MEMBER, {"the_member": member_id})]


def by_credential(conn: Connection, credential_id: bytes) -> Passkey | None:
    """Return the passkey of an active member by the authenticator's own id for it."""
    row = conn.execute(_BY_CREDENTIAL, {"credential": credential_id}).one_or_none()
    return None if row is None else Passkey(*row)


def used(conn: Connection, passkey_id: UUID, sign_count: int, now: datetime) -> bool:
    """Note a use with the authenticator's counter; False where that has not risen: a copy of the key, or a replay."""
    return conn.execute(_USED, {"the_id": passkey_id, "new_count": sign_count, "now": now}).rowcount == 1


def rename(conn: Connection, passkey_id: UUID, member_id: UUID, name: bytes) -> None:
    """Give one of the member's passkeys another name. Raises `NotFoundError`."""
    one = update(passkey).where(passkey.c.id == passkey_id, passkey.c.member_id == member_id).values(name=name)
    if conn.execute(one).rowcount != 1:
        raise NotFoundError("There is no such passkey.")


def remove(conn: Connection, passkey_id: UUID, member_id: UUID) -> None:
    """Take one of the member's passkeys away. Raises `NotFoundError`."""
    one = delete(passkey).where(passkey.c.id == passkey_id, passkey.c.member_id == member_id)
    if conn.execute(one).rowcount != 1:
        raise NotFoundError("There is no such passkey.")
