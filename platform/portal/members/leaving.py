"""What somebody leaves who is removed or may no longer approve, and who takes it over. Nothing here commits."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from ....config.errors import CallError
from ....tenant_schema.queries import audit, handover, members
from ....tenant_schema.queries.handover import Footprint
from ....tenant_schema.queries.members import Member
from ...web import sessions as web_sessions
from ...web import tenant
from ...web.member import CurrentMember
from ...web.permissions import Permission, Role, allowed
from . import service
from .service import Person

ANYONE = "anyone"  # the choice that any Owner or Admin decides
_GOVERNS = (Role.OWNER, Role.ADMIN)


@dataclass(frozen=True, slots=True)
class Successor:
    """Who takes over decisions. `id` of None: any Owner or Admin."""

    id: UUID | None


def footprint(target: Person, now: datetime) -> Footprint:
    """What there is of a member, in numbers."""
    return handover.footprint(tenant.connection(), target.id, now, seen_after=now - web_sessions.IDLE)


def has_decisions(found: Footprint) -> bool:
    """Whether somebody has to take something over."""
    return found.waiting > 0 or found.approves_for > 0


def candidates(target: Person, reader: CurrentMember) -> list[Person]:
    """Who may take over the target's decisions: Owners and Admins, and the target's own approver."""
    row = members.by_id(tenant.connection(), target.id)
    return [one for one in service.people(reader) if _may_succeed(one.id, one.role, row)]


def read_successor(text: str) -> Successor | None:
    """The choice of a form; None where nothing was chosen. Raises `CallError`, `NotFoundError` for a stranger's id."""
    if not text or text == ANYONE:
        return Successor(None) if text else None
    try:
        chosen = UUID(text)
    except ValueError as error:
        raise CallError("Choose who takes over.", "approver") from error
    return Successor(members.by_id(tenant.connection(), chosen).id)


def hand_over(
    actor: CurrentMember, target: Member, successor: Successor | None, rows: Mapping[UUID, Member], now: datetime
) -> int:
    """Give the target's open decisions, and the people they approve for, to the successor; return how many reports.

    `rows` are locked. Raises `CallError` where a successor is needed and missing, or may not approve.
    """
    conn = tenant.connection()
    found = handover.footprint(conn, target.id, now, seen_after=now)
    if successor is None:
        if has_decisions(found):
            raise CallError("Choose who takes over the approvals.", "approver")
        successor = Successor(None)
    if successor.id is not None:
        row = rows[successor.id]
        if row.state != "active" or not _may_succeed(row.id, Role(row.role), target):
            raise CallError("This person cannot take over the approvals; choose another.", "approver")
    to = str(successor.id) if successor.id else None
    reports = handover.hand_over(conn, target.id, successor.id)
    for report_id in reports:
        detail = {"from": str(target.id), "to": to}
        audit.record(conn, actor.id, "report.handed_over", "report", report_id, detail)
    for member_id in handover.reassign_people(conn, target.id, successor.id):
        detail = {"from": str(target.id), "to": to}
        audit.record(conn, actor.id, "member.approver_changed", "member", member_id, detail)
    return len(reports)


def id_of(successor: Successor | None) -> tuple[UUID, ...]:
    """The member to lock, if one was chosen."""
    return (successor.id,) if successor and successor.id else ()


def _may_succeed(member_id: UUID, role: Role, target: Member) -> bool:
    if member_id == target.id or not allowed(role, Permission.APPROVE):
        return False
    return role in _GOVERNS or member_id == target.approver_id
