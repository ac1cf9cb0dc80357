"""A new invitation for the owner who has not signed up: the first one was lost, or its time is over."""

from sqlalchemy import Connection

from ..config.errors import RefusedError
from ..platform.audit import queries as operators_audit
from ..platform.control.platform import Platform
from ..platform.keys import FieldCipher
from ..platform.mail.delivery import send_soon
from ..platform.tenants import queries as tenants
from ..platform.tenants.records import Tenant
from ..platform.tenants.requests import invitation_link
from ..platform.tenants.states import TenantState
from ..tenant_schema.queries import audit, invitations, members
from ..tenant_schema.tables import invitation, member
from .create import tenant_lock
from .invitation import write_invitation


def invite_again(platform: Platform, slug: str, operator: str) -> tuple[Tenant, str]:
    """Invite the owner of a workspace once more, with a letter; return the workspace and the link. Older links end.

    Raises `NotFoundError`, `RefusedError` unless the workspace is active and its owner has yet to sign up.
    """
    with platform.control.connect() as conn:
        tenant_id = tenants.by_slug(conn, slug).id
    with tenant_lock(platform, tenant_id):
        tenant = platform.registry.tenant_by_id(tenant_id)
        if tenant.state is not TenantState.ACTIVE:
            raise RefusedError(
                f"The workspace “{tenant.slug}” is {tenant.state}; its owner can be invited once it is active."
            )
        link = _invite(platform, tenant, operator)
    with platform.registry.connect(tenant) as own:
        send_soon(own, platform, tenant)
    return tenant, link


def _invite(platform: Platform, tenant: Tenant, operator: str) -> str:
    """Both audit logs say so, or nothing has happened."""
    cipher = FieldCipher(platform.keys.tenant(tenant.id))
    with platform.registry.connect(tenant) as own, own.begin():
        email = _owner_to_be(own, cipher, tenant)
        invitations.revoke_for(own, cipher.blind(invitation.c.email_index, email))
        made = write_invitation(own, platform, tenant, email, again=True)
        audit.record(own, None, "member.invited", "invitation", made, {"role": "owner"})
        with platform.control.begin() as conn:
            operators_audit.record(conn, operator, "tenant.owner_invited", tenant.id)
    return invitation_link(platform.settings, platform.keys, tenant, made)


def _owner_to_be(conn: Connection, cipher: FieldCipher, tenant: Tenant) -> str:
    """The address of the owner who has not signed up."""
    invited = invitations.of_owner(conn)
    if invited is None:
        raise RefusedError(f"Nobody was ever invited to own “{tenant.slug}”; its members invite others.")
    row, accepted = invited
    email = cipher.open(invitation.c.email, row.id, row.email)
    known = members.by_email(conn, cipher.blind(member.c.email_index, email))
    # A member without a password was only entered by an import.
    if accepted or (known is not None and known.password_hash is not None):
        raise RefusedError(
            f"The owner of “{tenant.slug}” has signed up; further members are invited from its members page."
        )
    return email
