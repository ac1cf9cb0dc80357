"""SQL over what a member leaves behind: decisions that wait for them, people they approve for, ways to sign in."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, ScalarSelect, Table, case, delete, func, null, select, update

from ..tables import (
    api_token,
    approval_step,
    challenge,
    expense,
    invitation,
    mail_link,
    member,
    passkey,
    recovery_code,
    report,
    session,
    totp,
)

_S, _R, _M = approval_step.c, report.c, member.c


@dataclass(frozen=True, slots=True)
class Footprint:
    """How much there is of a member, in numbers. `waiting`: reports that wait for their decision."""

    waiting: int
    approves_for: int
    drafts: int
    submitted: int
    sessions: int
    tokens: int
    invitations: int


def footprint(conn: Connection, member_id: UUID, now: datetime, *, seen_after: datetime) -> Footprint:
    """Count what a member has here. A session counts that was used after `seen_after`."""
    counts = (
        _count(approval_step, *_waits_for(member_id)),
        _count(member, *_approved_by(member_id)),
        _count(expense, expense.c.member_id == member_id, expense.c.state == "draft"),
        _count(report, _R.member_id == member_id, _R.state == "submitted"),
        _count(
            session,
            session.c.member_id == member_id,
            session.c.revoked_at.is_(None),
            session.c.last_seen_at > seen_after,
        ),
        _count(
            api_token,
            api_token.c.member_id == member_id,
            api_token.c.revoked_at.is_(None),
            api_token.c.expires_at > now,
        ),
        _count(
            invitation,
            invitation.c.invited_by == member_id,
            invitation.c.accepted_at.is_(None),
            invitation.c.revoked_at.is_(None),
            invitation.c.expires_at > now,
        ),
    )
    return Footprint(*conn.execute(select(*counts)).one())


def hand_over(conn: Connection, member_id: UUID, successor: UUID | None) -> list[UUID]:
    """Give what waits for a member's decision to `successor`, None for any Owner or Admin; return the reports' ids.

    The successor's own reports go to any Owner or Admin: nobody approves their own.
    """
    own = select(_R.id).where(_R.id == _S.report_id, _R.member_id == successor).exists()
    to: Any = null() if successor is None else case((own, null()), else_=successor)
    moved = update(approval_step).where(*_waits_for(member_id)).values(approver_id=to).returning(_S.report_id)
    return list(conn.scalars(moved))


def reassign_people(conn: Connection, member_id: UUID, successor: UUID | None) -> list[UUID]:
    """Let `successor`, None for any Owner or Admin, approve for those for whom a member did; return their ids.

    This holds for removed members, too: who comes back does not come back to an approver who is gone.
    """
    to = null() if successor is None else case((_M.id == successor, null()), else_=successor)
    moved = update(member).where(_M.approver_id == member_id).values(approver_id=to).returning(_M.id)
    return list(conn.scalars(moved))


def forget_ways_in(conn: Connection, member_id: UUID) -> None:
    """Remove a member's second factors and passkeys, and use up the links in mails to them."""
    for table in (totp, recovery_code, passkey, challenge):
        conn.execute(delete(table).where(table.c.member_id == member_id))
    links = update(mail_link).where(mail_link.c.member_id == member_id, mail_link.c.used_at.is_(None))
    conn.execute(links.values(used_at=func.now()))


def _waits_for(member_id: UUID) -> tuple[ColumnElement[bool], ...]:
    submitted = select(_R.id).where(_R.id == _S.report_id, _R.state == "submitted").exists()
    return _S.approver_id == member_id, _S.decision.is_(None), submitted


def _approved_by(member_id: UUID) -> tuple[ColumnElement[bool], ...]:
    return _M.approver_id == member_id, _M.state == "active"


def _count(table: Table, *where: ColumnElement[bool]) -> ScalarSelect[int]:
    return select(func.count()).select_from(table).where(*where).scalar_subquery()
