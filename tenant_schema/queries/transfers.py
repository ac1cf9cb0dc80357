"""SQL over the transfer of ownership: at most one is open in a workspace."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert as insert_or_ignore

from ..ids import new_uuid7
from ..tables import ownership_transfer

_T = ownership_transfer.c
_UNDECIDED = (_T.accepted_at.is_(None), _T.cancelled_at.is_(None))
_COLUMNS = (_T.id, _T.from_id, _T.to_id, _T.created_at, _T.expires_at, _T.stays_owner)


@dataclass(frozen=True, slots=True)
class Transfer:
    """An owner's offer of the workspace to another member. `stays_owner`: whether the giver remains one."""

    id: UUID
    from_id: UUID
    to_id: UUID
    created_at: datetime
    expires_at: datetime
    stays_owner: bool


def start(conn: Connection, *, from_id: UUID, to_id: UUID, stays_owner: bool, expires_at: datetime) -> UUID | None:
    """Open a transfer; None, and nothing changes, while another is open. Returns its id."""
    row = {
        "id": new_uuid7(),
        "from_id": from_id,
        "to_id": to_id,
        "stays_owner": stays_owner,
        "expires_at": expires_at,
    }
    statement = insert_or_ignore(ownership_transfer).on_conflict_do_nothing()  # the index lets one be open
    return conn.scalar(statement.returning(_T.id), row)


def open_one(conn: Connection, now: datetime) -> Transfer | None:
    """Return the transfer that can still be accepted, if there is one."""
    row = conn.execute(select(*_COLUMNS).where(*_UNDECIDED, _T.expires_at > now)).one_or_none()
    return None if row is None else Transfer(*row)


def accept(conn: Connection, transfer_id: UUID, to_id: UUID, now: datetime) -> Transfer | None:
    """Use the transfer up and return it; None if it is not this member's, or not open (any more)."""
    theirs = update(ownership_transfer).where(_T.id == transfer_id, _T.to_id == to_id, *_UNDECIDED, _T.expires_at > now)
    row = conn.execute(theirs.values(accepted_at=now).returning(*_COLUMNS)).one_or_none()
    return None if row is None else Transfer(*row)


def cancel(conn: Connection, transfer_id: UUID) -> Transfer | None:
    """End an open transfer and return it; None if it is not open (any more)."""
    mine = update(ownership_transfer).where(_T.id == transfer_id, *_UNDECIDED)
    row = conn.execute(mine.values(cancelled_at=func.now()).returning(*_COLUMNS)).one_or_none()
    return None if row is None else Transfer(*row)


def cancel_expired(conn: Connection, now: datetime) -> None:
    """End what nobody accepted in time."""
    conn.execute(update(ownership_transfer).where(*_UNDECIDED, _T.expires_at <= now).values(cancelled_at=now))


def cancel_of(conn: Connection, member_id: UUID) -> list[UUID]:
    """End the open transfer that a member gives or is to take; return its id, in a list."""
    theirs = or_(_T.from_id == member_id, _T.to_id == member_id)
    ended = update(ownership_transfer).where(*_UNDECIDED, theirs).values(cancelled_at=func.now()).returning(_T.id)
    return list(conn.scalars(ended))
