"""The review of access: every member with what their role permits and what they use of it, and what stands out."""

import csv
import io
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from ....tenant_schema import tables
from ....tenant_schema.queries import permission_use, review
from ...web import tenant
from ...web.formats import day
from ...web.member import CurrentMember
from ...web.permissions import Permission
from ..imports.rows import neutralised
from . import service
from .advice import Account, Finding, findings, first_day, is_idle, permissions_of, unused
from .invitations import Pending, pending
from .service import Person

COLUMNS = ("kind", "who", "email", "role", "last seen", "second factor", "unused permissions", "findings")


@dataclass(frozen=True, slots=True)
class Line:
    """One member in the review."""

    person: Person
    permitted: int
    unused: list[Permission]
    findings: list[Finding]


@dataclass(frozen=True, slots=True)
class IdleToken:
    """An API token that works and was not used for 90 days."""

    id: UUID
    owner: str
    name: str
    hint: str
    created_at: datetime
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class Review:
    """All of it. `recorded_since`: the first day of which uses of permissions are known."""

    lines: list[Line]
    tokens: list[IdleToken]
    expired: list[Pending]
    recorded_since: date | None

    @property
    def count(self) -> int:
        """How many things stand out."""
        return sum(len(line.findings) for line in self.lines) + len(self.tokens) + len(self.expired)


def report(reader: CurrentMember, now: datetime) -> Review:
    """The review as of `now`; whoever has something that stands out comes first."""
    conn = tenant.connection()
    since, roles = permission_use.recorded_since(conn), review.role_since(conn)
    used = permission_use.used_since(conn, first_day(now))
    lines: list[Line] = []
    for one in service.people(reader):
        account = Account(
            one.id, one.role, one.created_at, roles.get(one.id), one.last_seen_at, used.get(one.id, ()), one.joined
        )
        lines.append(Line(one, len(permissions_of(one.role)), unused(account), findings(account, since, now)))
    lines.sort(key=lambda line: not line.findings)
    expired = [one for one in pending(now) if one.expired]
    return Review(lines, _idle_tokens(lines, now), expired, since)


def as_csv(found: Review) -> str:
    """The review as CSV, one row for each member, idle token and expired invitation (RFC 4180)."""
    rows: list[list[str]] = [list(COLUMNS), *map(_member_row, found.lines)]
    for token in found.tokens:
        used = day(token.last_used_at)
        rows.append(["API token", token.owner, "", "", used, "", "", f"{token.name}: not used for 90 days"])
    rows += [
        ["invitation", "", one.email, one.role, "", "", "", f"expired {day(one.expires_at)}"] for one in found.expired
    ]
    out = io.StringIO()
    csv.writer(out).writerows([neutralised(cell) for cell in row] for row in rows)
    return out.getvalue()


def _member_row(line: Line) -> list[str]:
    one = line.person
    seen = one.last_seen_at.isoformat(timespec="seconds") if one.last_seen_at else "never"
    factor = "yes" if one.second_factor else "no"
    permissions = "; ".join(permission.value for permission in line.unused)
    said = "; ".join(f"{finding.reason}: {finding.suggestion}" for finding in line.findings)
    return ["member", one.name, one.email, one.role, seen, factor, permissions, said]


def _idle_tokens(lines: list[Line], now: datetime) -> list[IdleToken]:
    names, cipher = {line.person.id: line.person.name for line in lines}, tenant.cipher()
    return [
        IdleToken(
            row.id,
            names.get(row.member_id, "a former member"),
            cipher.open(tables.api_token.c.name, row.id, row.name),
            row.hint,
            row.created_at,
            row.last_used_at,
        )
        for row in review.working_tokens(tenant.connection(), now)
        if is_idle(row.created_at, row.last_used_at, now)
    ]
