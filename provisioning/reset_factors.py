"""The operators' way back in for somebody who has lost app, passkeys and recovery codes, and whom nobody else can help.

It takes the second factors away and ends the sessions, no more: the password stays, and the member is told by mail.
"""

from uuid import UUID

from sqlalchemy import Connection

from ..config.errors import CallError, NotFoundError, RefusedError
from ..platform.audit import queries as operators_audit
from ..platform.cards.masking import mask
from ..platform.control.platform import Platform
from ..platform.keys import FieldCipher, normalise_email
from ..platform.mail.delivery import send_soon
from ..platform.portal.alerts.kinds import Alert
from ..platform.portal.alerts.posting import post
from ..platform.tenants import queries as tenants
from ..platform.tenants.records import Tenant
from ..platform.tenants.states import TenantState
from ..tenant_schema.queries import audit, factors, members, sessions
from ..tenant_schema.tables import member
from .create import tenant_lock

LONGEST_REASON = 200
BY = "the operators of this service, who were asked to"


def reset_factors(platform: Platform, slug: str, email: str, reason: str, operator: str) -> UUID:
    """Take all second factors of a member away and end their sessions; return whose. The member is told by mail.

    Raises `NotFoundError`, `CallError` for an address or a reason that will not do, `RefusedError` where there is no
    second factor, or the workspace or the member is not active.
    """
    address, said = normalise_email(email), check_reason(reason)
    with platform.control.connect() as conn:
        tenant_id = tenants.by_slug(conn, slug).id
    with tenant_lock(platform, tenant_id):
        tenant = platform.registry.tenant_by_id(tenant_id)
        if tenant.state is not TenantState.ACTIVE:
            raise RefusedError(f"The workspace “{slug}” is {tenant.state}; factors can be reset while it is active.")
        with platform.registry.connect(tenant) as own:
            with own.begin():
                whose = _reset(platform, own, tenant, address, {"reason": said}, operator)
            send_soon(own, platform, tenant)
    return whose.id


def check_reason(reason: str) -> str:
    """The reason as one line. Raises `CallError` for none, a long one, or one with an e-mail address in it."""
    said = mask(" ".join(reason.split()))
    if not said or len(said) > LONGEST_REASON or not said.isprintable():
        raise CallError(f"Say why in up to {LONGEST_REASON} characters, such as with the number of the request.")
    if "@" in said:  # both logs are in the clear, and stay when a person is erased
        raise CallError("Leave e-mail addresses out of the reason; both audit logs keep it.")
    return said


def _reset(
    platform: Platform, conn: Connection, tenant: Tenant, address: str, detail: dict[str, object], operator: str
) -> members.Member:
    """Both audit logs say so, or nothing has happened."""
    cipher = FieldCipher(platform.keys.tenant(tenant.id))
    found = members.by_email(conn, cipher.blind(member.c.email_index, address))
    if found is None:
        raise NotFoundError(f"Nobody in “{tenant.slug}” has the address “{address}”.")
    found = members.lock(conn, [found.id])[found.id]
    if found.state != "active":
        raise RefusedError("This member was removed from the workspace; somebody in it can invite them again.")
    if not factors.has_second_factor(conn, found.id):
        raise RefusedError("This member has no second factor.")
    factors.remove_every(conn, found.id)
    sessions.revoke_all(conn, found.id)
    audit.record(conn, None, "member.factors_reset", "member", found.id, {"by": "operator", **detail})
    facts = {"by": BY}
    post(conn, cipher, platform.settings, tenant, member_id=found.id, kind=Alert.FACTORS_RESET, facts=facts)
    with platform.control.begin() as control:
        operators_audit.record(
            control, operator, "member.factors_reset", tenant.id, {"member": str(found.id), **detail}
        )
    return found
