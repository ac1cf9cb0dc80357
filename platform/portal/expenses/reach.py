"""What a member sees of others' money, and others' names."""

from uuid import UUID

from sqlalchemy import Connection

from ....tenant_schema.queries import members
from ....tenant_schema.queries.filters import ExpenseFilter
from ....tenant_schema.tables import member as table
from ...keys.fields import FieldCipher
from ...web.member import CurrentMember
from ...web.permissions import Permission, Scope


def viewer(member: CurrentMember) -> ExpenseFilter:
    """The filter that lets through exactly what `member` may see."""
    return ExpenseFilter(member.id, member.scope(Permission.SEE).value)


def sees_others(member: CurrentMember) -> bool:
    """Whether lists show `member` more than their own, and so need a column with names."""
    return member.scope(Permission.SEE) in (Scope.ASSIGNED, Scope.ALL)


def names(conn: Connection, cipher: FieldCipher) -> dict[UUID, str]:
    """Names of all who are or were members."""
    return {one.id: cipher.open(table.c.name, one.id, one.name) for one in members.list_all(conn)}
