"""Queues an alert's mail, with the link “this was not me”: for a request, or for an operator's command."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection

from ....config.settings import Settings
from ....tenant_schema import tables
from ....tenant_schema.queries import members
from ...keys import FieldCipher
from ...mail import outbox
from ...tenants.records import Tenant
from ..access import links
from .kinds import Alert
from .letter import write

GOOD_FOR = timedelta(days=7)


def post(
    conn: Connection,
    cipher: FieldCipher,
    settings: Settings,
    tenant: Tenant,
    *,
    member_id: UUID,
    kind: Alert,
    facts: dict[str, str],
    also: Alert | None = None,
) -> None:
    """Queue the mail to a member in the transaction of `conn`; it is delivered when that is committed."""
    columns, person = tables.member.c, members.by_id(conn, member_id)
    token = links.make(conn, member_id, links.NOT_ME, GOOD_FOR)
    letter = write(
        kind,
        name=cipher.open(columns.name, member_id, person.name),
        workspace=tenant.name,
        at=datetime.now(UTC),
        facts=facts,
        link=f"{settings.workspace_url(tenant.slug)}/not-me/{token}",
        good_for=GOOD_FOR,
        also=also,
    )
    outbox.queue(conn, cipher, cipher.open(columns.email, member_id, person.email), letter.subject, letter.body)
