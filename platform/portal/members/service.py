"""Who is in the workspace, as the pages show it."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from ....config.errors import NotFoundError
from ....tenant_schema import tables
from ....tenant_schema.queries import factors, members, review
from ...web import tenant
from ...web.member import CurrentMember
from ...web.permissions import Role, may_grant, may_manage
from .rules import NOT_HERE


@dataclass(frozen=True, slots=True)
class Person:
    """A member as the list shows one. `changeable`: whether the reader may change the role or remove the person.

    `joined` is False for somebody who was only entered by an import and cannot sign in yet.
    """

    id: UUID
    name: str
    email: str
    role: Role
    created_at: datetime
    last_seen_at: datetime | None
    second_factor: bool
    joined: bool
    changeable: bool


def people(reader: CurrentMember) -> list[Person]:
    """All active members, by name."""
    conn = tenant.connection()
    seen, protected = review.last_seen(conn), factors.with_second_factor(conn)
    found = [_person(row, reader, seen.get(row.id), row.id in protected) for row in members.list_active(conn)]
    return sorted(found, key=lambda one: one.name.casefold())


def person(member_id: UUID, reader: CurrentMember) -> Person:
    """One active member. Raises `NotFoundError`."""
    row = members.by_id(tenant.connection(), member_id)
    if row.state != "active":
        raise NotFoundError(NOT_HERE)
    return next(one for one in people(reader) if one.id == member_id)


def grantable(actor: CurrentMember) -> list[Role]:
    """The roles that `actor` may give."""
    return [role for role in Role if may_grant(actor.role, role)]


def _person(row: members.Member, reader: CurrentMember, seen: datetime | None, protected: bool) -> Person:
    cipher, columns = tenant.cipher(), tables.member.c
    role = Role(row.role)
    return Person(
        id=row.id,
        name=cipher.open(columns.name, row.id, row.name),
        email=cipher.open(columns.email, row.id, row.email),
        role=role,
        created_at=row.created_at,
        last_seen_at=seen,
        second_factor=protected,
        joined=row.password_hash is not None,
        changeable=may_manage(reader.role, role),
    )
