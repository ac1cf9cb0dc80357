"""SQL for the review of who may do what: since when, when last seen, and what is unused."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, func, select

from ..tables import api_token, audit_event, invitation, member, session

_ROLE_GIVEN = ("member.joined", "member.role_changed")


@dataclass(frozen=True, slots=True)
class Token:
    """An API token that works. `name` is sealed for its row."""

    id: UUID
    member_id: UUID
    name: bytes
    hint: str
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class LateInvitation:
    """An invitation that nobody accepted in time. `email` is sealed for its row."""

    id: UUID
    email: bytes
    role: str
    invited_by: UUID | None
    created_at: datetime
    expires_at: datetime


def last_seen(conn: Connection) -> dict[UUID, datetime]:
    """Return when each member was last here: the latest of their sign-ins and of the uses of their sessions."""
    used = select(session.c.member_id, func.max(session.c.last_seen_at).label("at")).group_by(session.c.member_id)
    sessions = used.subquery()
    latest = func.greatest(member.c.last_seen_at, sessions.c.at)
    statement = select(member.c.id, latest).outerjoin(sessions, sessions.c.member_id == member.c.id)
    return {row[0]: row[1] for row in conn.execute(statement.where(latest.is_not(None)))}


def role_since(conn: Connection) -> dict[UUID, datetime]:
    """Return when each member's role was last given, as far as the audit log reaches back."""
    a = audit_event.c
    given = select(a.object_id, func.max(a.at)).where(a.object_type == "member", a.action.in_(_ROLE_GIVEN))
    return {row[0]: row[1] for row in conn.execute(given.group_by(a.object_id)) if row[0]}


def working_tokens(conn: Connection, now: datetime) -> list[Token]:
    """Return the API tokens that are neither revoked nor expired, oldest first."""
    t = api_token.c
    columns = t.id, t.member_id, t.name, t.hint, t.created_at, t.last_used_at, t.expires_at
    statement = select(*columns).where(t.revoked_at.is_(None), t.expires_at > now).order_by(t.created_at, t.id)
    return [Token(*row) for row in conn.execute(statement)]


def late_invitations(conn: Connection, now: datetime) -> list[LateInvitation]:
    """Return the invitations that ended by their date, oldest first; not those that were accepted or withdrawn."""
    i = invitation.c
    columns = i.id, i.email, i.role, i.invited_by, i.created_at, i.expires_at
    statement = select(*columns).where(i.accepted_at.is_(None), i.revoked_at.is_(None), i.expires_at <= now)
    return [LateInvitation(*row) for row in conn.execute(statement.order_by(i.created_at, i.id))]
