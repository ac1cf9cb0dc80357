"""Changing a member's role, and removing a member. Nothing here commits."""

from datetime import datetime

from ....config.errors import RefusedError
from ....tenant_schema.queries import (
    api_tokens,
    audit,
    devices,
    handover,
    invitations,
    members,
    sessions,
    takeovers,
    transfers,
)
from ...web import sessions as web_sessions
from ...web import tenant
from ...web.member import CurrentMember
from ...web.permissions import Permission, Role, allowed
from ...webhooks.prompt import announce
from .leaving import Successor, hand_over, id_of
from .rules import check_grant, keep_an_owner, locked, target_of
from .service import Person


def change_role(
    actor: CurrentMember, target: Person, role: Role, successor: Successor | None, was: str | None, now: datetime
) -> None:
    """Give the target another role and end the sessions that began with the old one.

    `was`: the role that the page showed. Open decisions go to the successor where the new role may not approve. Raises
    as `remove` does.
    """
    rows = locked(actor, target.id, *id_of(successor))
    before = target_of(rows, actor, target.id, was)
    check_grant(actor, role)
    if role is before:
        return
    keep_an_owner(rows, target.id)
    if _loses(before, role, Permission.APPROVE):
        hand_over(actor, rows[target.id], successor, rows, now)
    conn = tenant.connection()
    members.set_role(conn, target.id, role)
    if role is not Role.OWNER:  # the links that they were shown could grant more than they now may
        invitations.revoke_by(conn, target.id)
    if Role.OWNER in (before, role):  # who gives it is no owner any more, or who was to take it has it
        transfers.cancel_of(conn, target.id)
    if _loses(before, role, Permission.INTEGRATE):
        api_tokens.revoke_all(conn, target.id)
    if target.id == actor.id:
        web_sessions.rotate(end_others=True)
    else:
        sessions.revoke_all(conn, target.id)
    audit.record(conn, actor.id, "member.role_changed", "member", target.id, {"from": before, "to": role})
    announce("member.role_changed", {"member_id": str(target.id), "from": before, "to": role, "by": str(actor.id)})


def remove(actor: CurrentMember, target: Person, successor: Successor | None, was: str | None, now: datetime) -> int:
    """Take the target out of the workspace; return how many reports were handed over.

    Sessions end, API tokens and invitations they sent no longer work, second factors and passkeys are forgotten. What
    they spent and decided stays. Raises `NotFoundError`, `ForbiddenError` outside the actor's reach,
    `StaleVersionError`, `RefusedError` for the last owner, `CallError` without a successor where one is needed.
    """
    rows = locked(actor, target.id, *id_of(successor))
    role = target_of(rows, actor, target.id, was)
    keep_an_owner(rows, target.id)
    moved = hand_over(actor, rows[target.id], successor, rows, now)
    conn = tenant.connection()
    members.set_state(conn, target.id, "removed")
    api_tokens.revoke_all(conn, target.id)
    invitations.revoke_by(conn, target.id)  # or they would come back by a link that they were shown
    transfers.cancel_of(conn, target.id)
    handover.forget_ways_in(conn, target.id)
    sessions.revoke_all(conn, target.id)
    audit.record(conn, actor.id, "member.removed", "member", target.id, {"role": role, "handed_over": moved})
    announce("member.removed", {"member_id": str(target.id), "role": role, "by": str(actor.id)})
    return moved


def end_sessions(actor: CurrentMember, target: Person) -> int:
    """Sign the target out everywhere, half-done sign-ins too, and forget their devices; return how many sessions ended.

    Raises `NotFoundError`, `ForbiddenError` outside the actor's reach, `RefusedError` for the actor themselves.
    """
    if target.id == actor.id:
        raise RefusedError("Your own sessions are listed in your settings; end them there.")
    target_of(locked(actor, target.id), actor, target.id, None)
    conn = tenant.connection()
    ended = sessions.revoke_all(conn, target.id)
    takeovers.end_challenges(conn, target.id)
    devices.forget_all(conn, target.id)
    audit.record(conn, actor.id, "member.sessions_ended", "member", target.id, {"count": ended})
    return ended


def _loses(before: Role, after: Role, permission: Permission) -> bool:
    return allowed(before, permission) and not allowed(after, permission)
