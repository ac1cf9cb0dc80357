"""The owner's invitation: written into the new database as the tenant's own role, with what a workspace starts with."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection

from ..platform.control.platform import Platform
from ..platform.keys.fields import FieldCipher
from ..platform.mail import outbox
from ..platform.tenants import requests
from ..platform.tenants.records import Tenant
from ..platform.tenants.states import TenantState
from ..tenant_schema.ids import new_uuid7
from ..tenant_schema.queries import invitations
from ..tenant_schema.seeds import seed_categories
from ..tenant_schema.tables import invitation

GOOD_FOR = timedelta(days=30)


def invite_owner(own: Connection, platform: Platform, tenant: Tenant) -> None:
    """Write invitation, letter and starting categories in one transaction. Does nothing where they are already."""
    with platform.control.connect() as conn:
        email = requests.owner_email(conn, platform.keys, tenant.id)
    with own.begin():
        seed_categories(own)
        write_invitation(own, platform, tenant, email)


def open_link(platform: Platform, tenant: Tenant) -> str | None:
    """Return the link of the owner's invitation while it can be used, or will be once the workspace is made."""
    settings, keys = platform.settings, platform.keys
    if tenant.state is TenantState.PENDING:
        return requests.invitation_link(settings, keys, tenant)
    if tenant.state is not TenantState.ACTIVE:
        return None
    with platform.registry.connect(tenant) as conn, conn.begin():
        now = datetime.now(UTC)
        owners = [row.id for row in invitations.list_open(conn, now) if row.role == "owner"]
        for again in (None, *owners):
            if invitations.by_token(conn, requests.invitation_token_hash(keys, tenant.id, again), now):
                return requests.invitation_link(settings, keys, tenant, again)
    return None


def write_invitation(
    conn: Connection, platform: Platform, tenant: Tenant, email: str, *, again: bool = False
) -> UUID | None:
    """Invite `email` as the owner, with a letter, in the caller's transaction in the tenant's database.

    Idempotent, unless `again`, which makes another invitation with a link of its own. Returns the id of a new one.
    """
    cipher, row_id = FieldCipher(platform.keys.tenant(tenant.id)), new_uuid7()
    other = row_id if again else None
    new = invitations.insert(
        conn,
        id=row_id,
        token_hash=requests.invitation_token_hash(platform.keys, tenant.id, other),
        email=cipher.seal(invitation.c.email, row_id, email),
        email_index=cipher.blind(invitation.c.email_index, email),
        role="owner",
        invited_by=None,
        expires_at=datetime.now(UTC) + GOOD_FOR,
    )
    if not new:
        return None
    outbox.queue(conn, cipher, email, f"Your workspace {tenant.name} is ready", _letter(platform, tenant, other))
    return row_id


def _letter(platform: Platform, tenant: Tenant, again: UUID | None) -> str:
    link = requests.invitation_link(platform.settings, platform.keys, tenant, again)
    return (
        f"Your workspace {tenant.name} is ready.\n\n"
        f"Choose your password here, within {GOOD_FOR.days} days:\n{link}\n\n"
        f"Afterwards you sign in at {platform.settings.workspace_url(tenant.slug)}\n"
    )
