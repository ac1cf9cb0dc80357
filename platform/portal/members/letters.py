"""Mail of this domain: it waits in the outbox with the change that it tells of, and goes out after that."""

from uuid import UUID

from ....tenant_schema import tables
from ....tenant_schema.queries import members
from ...mail import outbox
from ...web import tenant


def write(email: str, subject: str, body: str) -> None:
    """Queue a letter to `email` in the request's transaction."""
    outbox.queue(tenant.connection(), tenant.cipher(), email, subject, body)


def link_to(path: str) -> str:
    """The address of a page of this workspace, for a letter."""
    return tenant.platform().settings.workspace_url(tenant.tenant().slug) + path


def address_of(member_id: UUID) -> tuple[str, str]:
    """Name and e-mail address of a member. Raises `NotFoundError`."""
    row, cipher, columns = members.by_id(tenant.connection(), member_id), tenant.cipher(), tables.member.c
    return cipher.open(columns.name, row.id, row.name), cipher.open(columns.email, row.id, row.email)
