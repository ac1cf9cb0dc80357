"""Who is in the workspace, who is invited, and the rules of changing that. Nothing here commits."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from ....config.errors import CallError, ForbiddenError, NotFoundError, RefusedError
from ....tenant_schema import tables
from ....tenant_schema.ids import new_uuid7
from ....tenant_schema.queries import audit, invitations, members, sessions
from ...keys.emails import normalise_email
from ...mail import outbox
from ...web import tenant
from ...web.member import CurrentMember
from ...web.permissions import Role, may_grant, may_manage
from ..access.service import email_index, token_hash

GOOD_FOR = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Person:
    """A member as the list shows one. `changeable`: whether the reader may change the role or remove the person."""

    id: UUID
    name: str
    email: str
    role: Role
    created_at: datetime
    last_seen_at: datetime | None
    changeable: bool


@dataclass(frozen=True, slots=True)
class Pending:
    """An invitation that nobody has accepted yet."""

    id: UUID
    email: str
    role: Role
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class NewInvitation:
    """A fresh invitation. The link is known only now: the database keeps its hash."""

    email: str
    link: str
    expires_at: datetime


def people(reader: CurrentMember) -> list[Person]:
    """All active members, by name."""
    found = [_person(row, reader) for row in members.list_active(tenant.connection())]
    return sorted(found, key=lambda one: one.name.casefold())


def person(member_id: UUID, reader: CurrentMember) -> Person:
    """One active member. Raises `NotFoundError`."""
    row = members.by_id(tenant.connection(), member_id)
    if row.state != "active":
        raise NotFoundError("There is no such member in this workspace.")
    return _person(row, reader)


def pending(now: datetime) -> list[Pending]:
    """Open invitations, oldest first."""
    return [
        Pending(row.id, _invited_email(row), Role(row.role), row.created_at, row.expires_at)
        for row in invitations.list_open(tenant.connection(), now)
    ]


def grantable(actor: CurrentMember) -> list[Role]:
    """The roles that `actor` may give."""
    return [role for role in Role if may_grant(actor.role, role)]


def invite(actor: CurrentMember, email: str, role: Role, now: datetime) -> NewInvitation:
    """Invite a person; earlier invitations of the address end. The message goes to the outbox with the transaction.

    Raises `CallError` for a bad address, `ForbiddenError` for a role above the actor's reach, `RefusedError` where the
    address is a member's already.
    """
    _check_grant(actor, role)
    email = normalise_email(email)
    conn, index = tenant.connection(), email_index(email)
    known = members.by_email(conn, index)
    if known is not None and known.state == "active" and known.password_hash is not None:  # else: only ever imported
        raise CallError("This person is a member already.", "email")
    token, row_id = secrets.token_urlsafe(32), new_uuid7()
    invited_index = tenant.cipher().blind(tables.invitation.c.email_index, email)
    for row in invitations.list_open(conn, now):
        if row.email_index == invited_index:
            _check_grant(actor, Role(row.role))  # ending it takes away what it grants
    invitations.revoke_for(conn, invited_index)
    invitations.insert(
        conn,
        id=row_id,
        token_hash=token_hash(token),
        email=tenant.cipher().seal(tables.invitation.c.email, row_id, email),
        email_index=invited_index,
        role=role,
        invited_by=actor.id,
        expires_at=now + GOOD_FOR,
    )
    audit.record(conn, actor.id, "member.invited", "invitation", row_id, {"role": role})
    link = f"{tenant.platform().settings.workspace_url(tenant.tenant().slug)}/invitation/{token}"
    _write(actor, email, role, link)
    return NewInvitation(email, link, now + GOOD_FOR)


def withdraw(actor: CurrentMember, invitation_id: UUID, now: datetime) -> None:
    """End an open invitation. Raises `NotFoundError`, `ForbiddenError` for one to a role above the actor's reach."""
    for row in invitations.list_open(tenant.connection(), now):
        if row.id == invitation_id:
            _check_grant(actor, Role(row.role))
    if not invitations.revoke(tenant.connection(), invitation_id):
        raise NotFoundError("This invitation is no longer open.")
    audit.record(tenant.connection(), actor.id, "member.invitation_withdrawn", "invitation", invitation_id)


def change_role(actor: CurrentMember, target: Person, role: Role) -> None:
    """Give `target` another role and end the sessions that began with the old one.

    Raises `ForbiddenError` outside the actor's reach, `RefusedError` where the workspace would lose its last owner.
    """
    _check_reach(actor, target)
    _check_grant(actor, role)
    if role is target.role:
        return
    _keep_an_owner(target)
    conn = tenant.connection()
    members.set_role(conn, target.id, role)
    if role is not Role.OWNER:  # the links that they were shown could grant more than they now may
        invitations.revoke_by(conn, target.id)
    if target.id != actor.id:
        sessions.revoke_all(conn, target.id)
    audit.record(conn, actor.id, "member.role_changed", "member", target.id, {"from": target.role, "to": role})


def remove(actor: CurrentMember, target: Person) -> None:
    """Take `target` out of the workspace and end every session. Raises as `change_role` does."""
    _check_reach(actor, target)
    _keep_an_owner(target)
    conn = tenant.connection()
    members.set_state(conn, target.id, "removed")
    invitations.revoke_by(conn, target.id)  # or they would come back by a link that they were shown
    sessions.revoke_all(conn, target.id)
    audit.record(conn, actor.id, "member.removed", "member", target.id, {"role": target.role})


def _check_grant(actor: CurrentMember, role: Role) -> None:
    if not may_grant(actor.role, role):
        raise ForbiddenError(f"Only an Owner may make somebody {role.label}.")


def _check_reach(actor: CurrentMember, target: Person) -> None:
    if not may_manage(actor.role, target.role):
        raise ForbiddenError("Only an Owner may change or remove an Owner.")


def _keep_an_owner(target: Person) -> None:
    if target.role is Role.OWNER and list(members.active_owners(tenant.connection())) == [target.id]:
        raise RefusedError("A workspace always has an Owner: make somebody else one first.")


def _person(row: members.Member, reader: CurrentMember) -> Person:
    cipher, columns = tenant.cipher(), tables.member.c
    role = Role(row.role)
    return Person(
        id=row.id,
        name=cipher.open(columns.name, row.id, row.name),
        email=cipher.open(columns.email, row.id, row.email),
        role=role,
        created_at=row.created_at,
        last_seen_at=row.last_seen_at,
        changeable=may_manage(reader.role, role),
    )


def _invited_email(row: invitations.Invitation) -> str:
    return tenant.cipher().open(tables.invitation.c.email, row.id, row.email)


def _write(actor: CurrentMember, email: str, role: Role, link: str) -> None:
    workspace = tenant.tenant().name
    body = (
        f"{actor.name} invites you to the workspace “{workspace}”, as {role.label}.\n\n"
        f"Open this link to choose a password and join:\n\n{link}\n\n"
        f"The link can be used once, within {GOOD_FOR.days} days. If you expected nothing like this, ignore it.\n"
    )
    outbox.queue(tenant.connection(), tenant.cipher(), email, f"Join {workspace}", body)
