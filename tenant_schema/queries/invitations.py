"""SQL over invitations: single use, and only for whoever holds the token whose SHA-256 is stored."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, bindparam, func, select, update
from sqlalchemy.dialects.postgresql import insert as insert_or_ignore

from ..tables import invitation


@dataclass(frozen=True, slots=True)
class Invitation:
    """An invitation that can still be accepted, or has just been. `email` is sealed for this row."""

    id: UUID
    email: bytes
    email_index: bytes
    role: str
    invited_by: UUID | None
    created_at: datetime
    expires_at: datetime


_COLUMNS = (
    invitation.c.id,
    invitation.c.email,
    invitation.c.email_index,
    invitation.c.role,
    invitation.c.invited_by,
    invitation.c.created_at,
    invitation.c.expires_at,
)
_OPEN = (
    invitation.c.accepted_at.is_(None),
    invitation.c.revoked_at.is_(None),
    invitation.c.expires_at > bindparam("now"),
)
_BY_TOKEN = select(*_COLUMNS).where(invitation.c.token_hash == bindparam("token_hash"), *_OPEN)
_LIST = select(*_COLUMNS).where(*_OPEN).order_by(invitation.c.created_at, invitation.c.id)
_OF_OWNER = (
    select(*_COLUMNS, invitation.c.accepted_at.is_not(None).label("accepted"))
    .where(invitation.c.role == "owner", invitation.c.invited_by.is_(None))
    .order_by(invitation.c.created_at.desc(), invitation.c.id.desc())
    .limit(1)
)
_ACCEPT = (
    update(invitation)
    .where(invitation.c.token_hash == bindparam("the_token"), *_OPEN)
    .values(accepted_at=bindparam("now"))
    .returning(*_COLUMNS)
)


def insert(
    conn: Connection,
    *,
    id: UUID,  # noqa: A002  # the column's name
    token_hash: bytes,
    email: bytes,
    email_index: bytes,
    role: str,
    invited_by: UUID | None,
    expires_at: datetime,
) -> bool:
    """Add an invitation; return False, and change nothing, if one with this token is there already."""
    row = {
        "id": id,
        "token_hash": token_hash,
        "email": email,
        "email_index": email_index,
        "role": role,
        "invited_by": invited_by,
        "expires_at": expires_at,
    }
    statement = insert_or_ignore(invitation).on_conflict_do_nothing(index_elements=["token_hash"])
    return conn.execute(statement.returning(invitation.c.id), row).one_or_none() is not None


def ever_sent(conn: Connection, email_index: bytes, role: str) -> bool:
    """Say whether this address was ever invited to that role, whatever became of it."""
    sent = select(invitation.c.id).where(invitation.c.email_index == email_index, invitation.c.role == role)
    return conn.execute(sent.limit(1)).first() is not None


def of_owner(conn: Connection) -> tuple[Invitation, bool] | None:
    """Return the newest invitation by which the platform, no member, invited an owner, and whether it was accepted."""
    row = conn.execute(_OF_OWNER).one_or_none()
    return None if row is None else (Invitation(*row[:-1]), row.accepted)


def by_token(conn: Connection, token_hash: bytes, now: datetime) -> Invitation | None:
    """Return the invitation if it is neither accepted nor revoked nor expired."""
    row = conn.execute(_BY_TOKEN, {"token_hash": token_hash, "now": now}).one_or_none()
    return None if row is None else Invitation(*row)


def unaccepted(conn: Connection, invitation_id: UUID) -> Invitation | None:
    """Return one that was neither accepted nor withdrawn, expired or not, and lock it: it is to be sent again."""
    one = select(*_COLUMNS).where(invitation.c.id == invitation_id, *_OPEN[:2]).with_for_update()
    row = conn.execute(one).one_or_none()
    return None if row is None else Invitation(*row)


def lock_for(conn: Connection, email_index: bytes) -> None:
    """Lock the untouched invitations of one address, in one order for everybody who is about to use one of them."""
    untouched = select(invitation.c.id).where(invitation.c.email_index == email_index, *_OPEN[:2])
    conn.execute(untouched.order_by(invitation.c.id).with_for_update())


def accept(conn: Connection, token_hash: bytes, now: datetime) -> Invitation | None:
    """Use the invitation up and return it; None if it cannot be used (any more). Of two at once, one gets it."""
    row = conn.execute(_ACCEPT, {"the_token": token_hash, "now": now}).one_or_none()
    return None if row is None else Invitation(*row)


def list_open(conn: Connection, now: datetime) -> list[Invitation]:
    """Return the invitations that can be accepted, oldest first."""
    return [Invitation(*row) for row in conn.execute(_LIST, {"now": now})]


def revoke(conn: Connection, invitation_id: UUID) -> bool:
    """Withdraw an invitation; False if there is none of that id that is still open."""
    return _revoke(conn, id=invitation_id) == 1


def revoke_for(conn: Connection, email_index: bytes) -> int:
    """Withdraw all invitations of one address, so that a newer one is the only one; return how many."""
    return _revoke(conn, email_index=email_index)


def revoke_by(conn: Connection, member_id: UUID) -> int:
    """Withdraw all invitations that a member has sent; return how many."""
    return _revoke(conn, invited_by=member_id)


def _revoke(conn: Connection, **where: object) -> int:
    untouched = invitation.c.accepted_at.is_(None), invitation.c.revoked_at.is_(None)
    statement = update(invitation).where(*untouched).filter_by(**where).values(revoked_at=func.now())
    return conn.execute(statement).rowcount
