"""Who may do what: the one table, pure, deny by default. The words are those of the product's description.

A route states what it needs with `@requires(Permission.X)`, or that it needs no sign-in with `@public`. A route that
states nothing keeps the application from starting (`guard.py`).
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Any, TypeVar


class Role(StrEnum):
    """A member has exactly one."""

    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"
    CONTRIBUTOR = "contributor"
    READ_ONLY = "read_only"

    @property
    def label(self) -> str:
        """How the role is called on screen."""
        return "Read-only" if self is Role.READ_ONLY else self.value.capitalize()


class Permission(StrEnum):
    """What can be permitted. One row of the table each."""

    USE = "use the workspace"  # the frame, one's own profile and sessions, the list of members
    SPEND = "create, edit own draft, upload, submit, withdraw"
    SEE = "see expenses and receipts"
    APPROVE = "approve or return"
    REASSIGN = "reassign or bypass an approver"
    EDIT_SUBMITTED = "edit others' submitted lines"
    PAY = "mark paid, accounting export"
    ANALYSE = "analytics, CSV"
    CONFIGURE = "change categories, policies, workflows, workspace settings"
    VIEW_CONFIGURATION = "view categories, policies, workflows, workspace settings"
    MANAGE_MEMBERS = "invite, remove, change roles"
    AUDIT_LOG = "audit log"
    INTEGRATE = "API tokens, webhooks"
    GOVERN = "billing, transfer, full export, delete the workspace"


class Scope(StrEnum):
    """Over which rows a permission reaches."""

    NONE = "none"
    OWN = "own"
    ASSIGNED = "assigned"  # one's own, and where one is the approver
    ALL = "all"


_N, _O, _S, _A = Scope.NONE, Scope.OWN, Scope.ASSIGNED, Scope.ALL
_ORDER = (Role.OWNER, Role.ADMIN, Role.MEMBER, Role.CONTRIBUTOR, Role.READ_ONLY)
_ROWS: dict[Permission, tuple[Scope, Scope, Scope, Scope, Scope]] = {
    #                               owner admin member contributor read-only
    Permission.USE: (_A, _A, _A, _A, _A),
    Permission.SPEND: (_O, _O, _O, _O, _N),
    Permission.SEE: (_A, _A, _S, _O, _A),
    Permission.APPROVE: (_A, _A, _S, _N, _N),
    Permission.REASSIGN: (_A, _A, _N, _N, _N),
    Permission.EDIT_SUBMITTED: (_A, _A, _S, _N, _N),
    Permission.PAY: (_A, _A, _N, _N, _N),
    Permission.ANALYSE: (_A, _A, _S, _O, _A),
    Permission.CONFIGURE: (_A, _A, _N, _N, _N),
    Permission.VIEW_CONFIGURATION: (_A, _A, _N, _N, _A),
    Permission.MANAGE_MEMBERS: (_A, _A, _N, _N, _N),
    Permission.AUDIT_LOG: (_A, _A, _N, _N, _N),
    Permission.INTEGRATE: (_A, _A, _N, _N, _N),
    Permission.GOVERN: (_A, _N, _N, _N, _N),
}
ALLOWED: dict[Permission, dict[Role, Scope]] = {
    permission: dict(zip(_ORDER, scopes, strict=True)) for permission, scopes in _ROWS.items()
}


def scope(role: Role, permission: Permission) -> Scope:
    """Over which rows `role` has `permission`; `Scope.NONE` where the table says nothing."""
    return ALLOWED.get(permission, {}).get(role, Scope.NONE)


def allowed(role: Role, permission: Permission) -> bool:
    """Whether `role` has `permission` over anything at all; which rows, `scope` says."""
    return scope(role, permission) is not Scope.NONE


View = TypeVar("View", bound=Callable[..., Any])
NEEDS = "strongroom_needs"  # attribute of a view function: a Permission, or None for a public one


def requires(permission: Permission) -> Callable[[View], View]:
    """Decorate a route: it answers only to members whose role has `permission`. Goes beneath `@blueprint.get(…)`."""

    def mark(view: View) -> View:
        setattr(view, NEEDS, permission)
        return view

    return mark


def public(view: View) -> View:
    """Decorate a route that answers without sign-in. Goes beneath `@blueprint.get(…)`."""
    setattr(view, NEEDS, None)
    return view


def may_grant(actor: Role, role: Role) -> bool:
    """Whether `actor` may invite as `role` or change somebody to it. An Admin makes neither Owners nor Admins."""
    if actor is Role.OWNER:
        return True
    return actor is Role.ADMIN and role not in (Role.OWNER, Role.ADMIN)


def may_manage(actor: Role, target: Role) -> bool:
    """Whether `actor` may change the role of, or remove, a member who is `target`. An Admin never touches an Owner."""
    return allowed(actor, Permission.MANAGE_MEMBERS) and (actor is Role.OWNER or target is not Role.OWNER)
