"""The member who makes the request."""

from dataclasses import dataclass
from datetime import datetime
from typing import cast
from uuid import UUID

from flask_login import current_user  # pyright: ignore[reportMissingTypeStubs]

from .permissions import Permission, Role, Scope, allowed, scope


@dataclass(frozen=True, slots=True)
class CurrentMember:
    """A member who is signed in. `is_*` and `get_id` are what flask-login asks of a user.

    `stepped_up_at`: when they last proved who they are within this session, after signing in.
    """

    id: UUID
    role: Role
    name: str
    email: str
    session_id: UUID
    signed_in_at: datetime
    stepped_up_at: datetime | None
    is_authenticated: bool = True
    is_active: bool = True
    is_anonymous: bool = False

    @property
    def proved_at(self) -> datetime:
        """When the member last proved who it is within this session: by signing in or by a step-up."""
        return self.stepped_up_at or self.signed_in_at

    def get_id(self) -> str:
        """The member's id as text."""
        return str(self.id)

    def may(self, permission: Permission) -> bool:
        """Whether the member's role has `permission` at all."""
        return allowed(self.role, permission)

    def scope(self, permission: Permission) -> Scope:
        """Over which rows the member's role has `permission`."""
        return scope(self.role, permission)


def current() -> CurrentMember:
    """The member of this request. Raises `RuntimeError` on a page that needs no sign-in and has none."""
    member = signed_in()
    if member is None:
        raise RuntimeError("Nobody is signed in.")
    return member


def signed_in() -> CurrentMember | None:
    """The member of this request, or None."""
    member = cast(CurrentMember, current_user)
    return member if member.is_authenticated else None
