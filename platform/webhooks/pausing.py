"""An endpoint that is paused by us, and the mail that says so to those who can do something about it."""

from typing import Final

from sqlalchemy import Connection

from ...tenant_schema.queries import audit, members, webhooks
from ...tenant_schema.queries.webhooks import Endpoint
from ...tenant_schema.tables import member, webhook_endpoint
from ..control.platform import Platform
from ..keys.fields import FieldCipher
from ..mail import outbox
from ..tenants.records import Tenant

REASONS: Final[dict[str, str]] = {
    "gone": "It answered 410 Gone, which says that it wants nothing any more.",
    "failing": "It has taken nothing for five days.",
    "copied": "This workspace is a copy; the original's endpoints hear nothing of it until you say so.",
}
_TOLD: Final = ("owner", "admin")


def pause_for(
    conn: Connection, cipher: FieldCipher, platform: Platform, tenant: Tenant, endpoint: Endpoint, reason: str
) -> bool:
    """Pause an endpoint for one of `REASONS` and write to the owners and admins, once; False where it was paused.

    The mail waits in the outbox until whoever has committed the transaction sees to it (`send_soon`).
    """
    if not webhooks.pause(conn, endpoint.id, reason):
        return False
    audit.record(conn, None, "webhook.paused", "webhook_endpoint", endpoint.id, {"reason": reason})
    url = cipher.open(webhook_endpoint.c.url, endpoint.id, endpoint.url)
    page = f"{platform.settings.workspace_url(tenant.slug)}/settings/webhooks/{endpoint.id}"
    body = (
        f"The webhook of the workspace “{tenant.name}” to\n\n{url}\n\nis paused. {REASONS[reason]}\n\n"
        f"What happens meanwhile is kept for 30 days, and is sent when you resume it:\n\n{page}\n"
    )
    for person in members.list_active(conn):
        if person.role in _TOLD:
            address = cipher.open(member.c.email, person.id, person.email)
            outbox.queue(conn, cipher, address, "A webhook is paused", body)
    return True
