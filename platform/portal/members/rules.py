"""Who may change whom, checked on locked rows: roles may have changed since the page was opened."""

from collections.abc import Mapping
from uuid import UUID

from ....config.errors import ForbiddenError, NotFoundError, RefusedError, StaleVersionError
from ....tenant_schema.queries import members
from ....tenant_schema.queries.members import Member
from ...web import tenant
from ...web.member import CurrentMember
from ...web.permissions import Role, may_grant, may_manage

NOT_HERE = "There is no such member in this workspace."
STALE = "This member has changed since you opened the page; look again before you decide."


def locked(actor: CurrentMember, *ids: UUID) -> dict[UUID, Member]:
    """The members of these ids, the actor and all owners, locked until the transaction ends.

    Raises `ForbiddenError` where the actor's own role was changed or taken away a moment ago.
    """
    rows = members.lock(tenant.connection(), {actor.id, *ids})
    mine = rows.get(actor.id)
    if mine is None or mine.state != "active" or mine.role != actor.role:
        raise ForbiddenError("Your own role has changed since you opened this page; reload it.")
    return rows


def target_of(rows: Mapping[UUID, Member], actor: CurrentMember, target_id: UUID, was: str | None) -> Role:
    """The role that the target has now, if the actor may change it. `was`: the role that the page showed, if it said.

    Raises `NotFoundError`, `ForbiddenError` outside the actor's reach, `StaleVersionError` for another role than shown.
    """
    row = rows.get(target_id)
    if row is None or row.state != "active":
        raise NotFoundError(NOT_HERE)
    role = Role(row.role)
    if not may_manage(actor.role, role):
        raise ForbiddenError("Only an Owner may change or remove an Owner.")
    if was is not None and was != role:
        raise StaleVersionError(STALE)
    return role


def check_grant(actor: CurrentMember, role: Role) -> None:
    """Raise `ForbiddenError` where the actor may not give that role."""
    if not may_grant(actor.role, role):
        raise ForbiddenError(f"Only an Owner may make somebody {role.label}.")


def keep_an_owner(rows: Mapping[UUID, Member], target_id: UUID) -> None:
    """Raise `RefusedError` where the target is the only owner among the locked rows, which hold all of them."""
    owners = {row.id for row in rows.values() if row.role == Role.OWNER and row.state == "active"}
    if owners == {target_id}:
        raise RefusedError("A workspace always has an Owner: make somebody else one first.")
