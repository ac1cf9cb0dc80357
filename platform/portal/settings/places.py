"""Where the member is signed in, and ending that. Nothing here commits."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from ....config.errors import NotFoundError
from ....tenant_schema import tables
from ....tenant_schema.queries import audit, devices, sessions
from ...web import tenant
from ...web.devices import device_of, symbol_of
from ...web.member import CurrentMember
from ...web.places import country_name
from ...web.sessions import IDLE, LONGEST

METHODS = {  # of `SIGN_IN_METHODS`, as the list calls them
    "password": "Password",
    "totp": "Password and authenticator app",
    "recovery_code": "Password and recovery code",
    "passkey": "Passkey",
    "passkey_second": "Password and passkey",
    "invitation": "Invitation",
}


@dataclass(frozen=True, slots=True)
class SessionLine:
    """A session as the list shows it."""

    id: UUID
    device: str
    symbol: str
    method: str
    address: str | None
    country: str | None
    created_at: datetime
    last_seen_at: datetime
    here: bool


def sessions_of(member: CurrentMember, now: datetime) -> list[SessionLine]:
    """The member's live sessions: the one that asks first, then the one used last."""
    rows = sessions.of_member(tenant.connection(), member.id, seen_after=now - IDLE, created_after=now - LONGEST)
    return sorted((_line(row, member) for row in rows), key=lambda one: not one.here)


def end_session(member: CurrentMember, session_id: UUID) -> None:
    """End one of the member's own sessions, and forget its device unless it is this one. Raises `NotFoundError`."""
    conn = tenant.connection()
    if not sessions.revoke(conn, session_id, member.id):
        raise NotFoundError("This session has ended already.")
    if session_id != member.session_id:
        devices.forget(conn, member.id, session_id)
    audit.record(conn, member.id, "session.ended", "session", session_id)


def end_others(member: CurrentMember) -> int:
    """End all of the member's sessions but this one, and forget their devices; return how many."""
    conn = tenant.connection()
    ended = sessions.revoke_all(conn, member.id, keep=member.session_id)
    devices.forget_all(conn, member.id, keep_session=member.session_id)
    if ended:
        audit.record(conn, member.id, "session.others_ended", "session", member.session_id, {"count": ended})
    return ended


def _line(row: sessions.Device, member: CurrentMember) -> SessionLine:
    agent = tenant.cipher().open(tables.session.c.user_agent, row.id, row.user_agent) if row.user_agent else ""
    return SessionLine(
        id=row.id,
        device=device_of(agent),
        symbol=symbol_of(agent),
        method=METHODS.get(row.method, row.method),
        address=row.address,
        country=country_name(row.country),
        created_at=row.created_at,
        last_seen_at=row.last_seen_at,
        here=row.id == member.session_id,
    )
