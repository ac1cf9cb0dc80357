"""What each role may do, in the words of the screen."""

from ....config.errors import CallError
from ...web.permissions import Role

ROLE_TEXTS: tuple[tuple[Role, str], ...] = (
    (Role.OWNER, "Everything, including billing and deleting the workspace."),
    (Role.ADMIN, "Runs the workspace: members, categories, payments and every expense."),
    (Role.MEMBER, "Enters expenses, and approves those that are assigned to them."),
    (Role.CONTRIBUTOR, "Enters and submits expenses of their own; sees no one else’s."),
    (Role.READ_ONLY, "For accountants and auditors: sees everything, changes nothing."),
)


def role_from(text: str) -> Role:
    """The role that a form names. Raises `CallError`."""
    try:
        return Role(text)
    except ValueError as error:
        raise CallError("Choose a role.", "role") from error
