"""Invitations: sent to one address, good for seven days and for one use, withdrawn or sent again. Nothing commits."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from ....config.errors import CallError, NotFoundError
from ....tenant_schema import tables
from ....tenant_schema.ids import new_uuid7
from ....tenant_schema.queries import audit, members, review
from ....tenant_schema.queries import invitations as queries
from ...keys.emails import normalise_email
from ...keys.tokens import hash_of, new_token
from ...web import tenant
from ...web.member import CurrentMember
from ...web.permissions import Role
from ...webhooks.prompt import announce
from ..access.service import email_index
from . import letters
from .rules import check_grant

GOOD_FOR = timedelta(days=7)
NOT_OPEN = "This invitation is no longer open."


@dataclass(frozen=True, slots=True)
class Pending:
    """An invitation that nobody has accepted yet. `invited_by`: the name of who sent it, None for the platform."""

    id: UUID
    email: str
    role: Role
    invited_by: str | None
    created_at: datetime
    expires_at: datetime
    expired: bool


@dataclass(frozen=True, slots=True)
class NewInvitation:
    """A fresh invitation. The link is known only now: the database keeps its hash."""

    email: str
    link: str
    expires_at: datetime


def pending(now: datetime) -> list[Pending]:
    """Invitations that were neither accepted nor withdrawn, oldest first: the open ones, then the expired."""
    conn, names = tenant.connection(), _names()
    rows = [(row, False) for row in queries.list_open(conn, now)]
    rows += [(row, True) for row in review.late_invitations(conn, now)]
    return [
        Pending(
            row.id,
            _email_of(row.id, row.email),
            Role(row.role),
            names.get(row.invited_by, "a former member") if row.invited_by else None,
            row.created_at,
            row.expires_at,
            expired,
        )
        for row, expired in rows
    ]


def invite(actor: CurrentMember, email: str, role: Role, now: datetime) -> NewInvitation:
    """Invite a person; earlier invitations of the address end. The message goes to the outbox with the transaction.

    Raises `CallError` for a bad address or one that is a member's already, `ForbiddenError` for a role above the
    actor's reach.
    """
    check_grant(actor, role)
    email = normalise_email(email)
    conn = tenant.connection()
    known = members.by_email(conn, email_index(email))
    if known is not None and known.state == "active" and known.password_hash is not None:  # else: only ever imported
        raise CallError("This person is a member already.", "email")
    invited_index = tenant.cipher().blind(tables.invitation.c.email_index, email)
    for row in queries.list_open(conn, now):
        if row.email_index == invited_index:
            check_grant(actor, Role(row.role))  # ending it takes away what it grants
    queries.revoke_for(conn, invited_index)
    return _send(actor, email, invited_index, role, now)


def resend(actor: CurrentMember, invitation_id: UUID, now: datetime) -> NewInvitation:
    """Send a new link in place of the old one, good for seven days from now.

    Raises `NotFoundError`, and as `invite` does.
    """
    row = queries.unaccepted(tenant.connection(), invitation_id)
    if row is None:
        raise NotFoundError(NOT_OPEN)
    return invite(actor, _email_of(row.id, row.email), Role(row.role), now)


def withdraw(actor: CurrentMember, invitation_id: UUID) -> None:
    """End an invitation, also an expired one. Raises `NotFoundError`, `ForbiddenError` above the actor's reach."""
    conn = tenant.connection()
    row = queries.unaccepted(conn, invitation_id)
    if row is None:
        raise NotFoundError(NOT_OPEN)
    check_grant(actor, Role(row.role))
    queries.revoke(conn, invitation_id)
    audit.record(conn, actor.id, "member.invitation_withdrawn", "invitation", invitation_id)


def _send(actor: CurrentMember, email: str, index: bytes, role: Role, now: datetime) -> NewInvitation:
    token, row_id, conn = new_token(), new_uuid7(), tenant.connection()
    queries.insert(
        conn,
        id=row_id,
        token_hash=hash_of(token),
        email=tenant.cipher().seal(tables.invitation.c.email, row_id, email),
        email_index=index,
        role=role,
        invited_by=actor.id,
        expires_at=now + GOOD_FOR,
    )
    audit.record(conn, actor.id, "member.invited", "invitation", row_id, {"role": role})
    announce("member.invited", {"invitation_id": str(row_id), "role": role, "by": str(actor.id)})
    link = letters.link_to(f"/invitation/{token}")
    _write(actor, email, role, link)
    return NewInvitation(email, link, now + GOOD_FOR)


def _write(actor: CurrentMember, email: str, role: Role, link: str) -> None:
    workspace = tenant.tenant().name
    body = (
        f"{actor.name} invites you to the workspace “{workspace}”, as {role.label}.\n\n"
        f"Open this link to choose a password and join:\n\n{link}\n\n"
        f"The link can be used once, within {GOOD_FOR.days} days. If you expected nothing like this, ignore it.\n"
    )
    letters.write(email, f"Join {workspace}", body)


def _email_of(row_id: UUID, sealed: bytes) -> str:
    return tenant.cipher().open(tables.invitation.c.email, row_id, sealed)


def _names() -> dict[UUID, str]:
    cipher = tenant.cipher()
    rows = members.list_all(tenant.connection())
    return {row.id: cipher.open(tables.member.c.name, row.id, row.name) for row in rows}
