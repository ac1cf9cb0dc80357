"""SQL that shuts whoever took over a member's account out of it, beside that over sessions, devices and links."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Table, delete, exists, func, or_, select, update

from ..tables import api_token, challenge, ownership_transfer, passkey, recovery_code, totp

_FACTORS = (passkey, totp, recovery_code)
_WHEN: dict[Table, ColumnElement[datetime]] = {
    passkey: passkey.c.created_at,
    totp: func.coalesce(totp.c.confirmed_at, totp.c.created_at),  # the secret may have lain unconfirmed
    recovery_code: recovery_code.c.created_at,
}


def revoke_tokens(conn: Connection, member_id: UUID) -> int:
    """End all API tokens of a member; return how many."""
    mine = api_token.c.member_id == member_id, api_token.c.revoked_at.is_(None)
    return conn.execute(update(api_token).where(*mine).values(revoked_at=func.now())).rowcount


def end_challenges(conn: Connection, member_id: UUID) -> None:
    """Make useless what a member's browsers were asked and have not answered: sign-ins that are half done."""
    pending = challenge.c.member_id == member_id, challenge.c.used_at.is_(None)
    conn.execute(update(challenge).where(*pending).values(used_at=func.now()))


def cancel_transfers(conn: Connection, member_id: UUID) -> None:
    """Cancel what would hand the workspace over to somebody else."""
    table = ownership_transfer.c
    open_ones = table.from_id == member_id, table.accepted_at.is_(None), table.cancelled_at.is_(None)
    conn.execute(update(ownership_transfer).where(*open_ones).values(cancelled_at=func.now()))


def has_factor_before(conn: Connection, member_id: UUID, since: datetime) -> bool:
    """Say whether the member has a second factor from before `since`."""
    by_code = exists().where(totp.c.member_id == member_id, totp.c.confirmed_at.is_not(None), _WHEN[totp] < since)
    by_key = exists().where(passkey.c.member_id == member_id, passkey.c.created_at < since)
    return bool(conn.execute(select(or_(by_code, by_key))).scalar_one())


def remove_factors(conn: Connection, member_id: UUID, since: datetime) -> int:
    """Remove the second factors and recovery codes that were added at `since` or later; return how many."""
    return sum(conn.execute(delete(table).where(*_added(table, member_id, since))).rowcount for table in _FACTORS)


def spoil_passkeys(conn: Connection, member_id: UUID, since: datetime) -> int:
    """Make of passkeys added at `since` or later a second factor that nobody has; return how many."""
    nobodys = {"credential_id": func.uuid_send(passkey.c.id), "public_key": b""}
    return conn.execute(update(passkey).where(*_added(passkey, member_id, since)).values(nobodys)).rowcount


def _added(table: Table, member_id: UUID, since: datetime) -> tuple[Any, Any]:
    return table.c.member_id == member_id, _WHEN[table] >= since
