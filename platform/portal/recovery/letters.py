"""The mails with links that lead back in, and who gets them: active members who have a password."""

from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from ....config.settings import Settings
from ....tenant_schema import tables
from ....tenant_schema.queries import members
from ...keys.fields import FieldCipher
from ...mail import outbox
from ...tenants.records import Tenant
from ..access import links

SEND: Final = "send_recovery_link"  # the task's name
GOOD_FOR = timedelta(minutes=30)
MOST, WITHIN = 100, timedelta(hours=1)  # links of a purpose that a workspace sends; asking in vain uses up none

_SUBJECTS = {links.RESET: "Choose a new password for {}", links.UNLOCK: "Sign in to {}"}
_BODIES = {
    links.RESET: """\
Hello {name},

somebody, probably you, has asked for a new password for your account in “{workspace}”. Choose it here:

{link}

The link works once, within {minutes} minutes. You are asked for your second factor afterwards, if you have one. If \
you did not ask, there is nothing to do: your password stays as it is.
""",
    links.UNLOCK: """\
Hello {name},

there were too many tries to sign in to your account in “{workspace}”, so everybody has to wait. You need not: in the \
browser that opens this link you can sign in at once.

{link}

The link works once, within {minutes} minutes. You are asked for your password as ever. If you did not ask for this, \
somebody else has tried your account, and has not got in.
""",
}


def send(
    conn: Connection, cipher: FieldCipher, settings: Settings, here: Tenant, email_index: bytes, purpose: str
) -> bool:
    """Queue the mail in the transaction of `conn` (the workspace's); False where nobody is to get it."""
    member = members.by_email(conn, email_index)
    if member is None or member.state != "active" or member.password_hash is None:
        return False
    if links.made_since(conn, purpose, datetime.now(UTC) - WITHIN) >= MOST:
        return False
    token = links.make(conn, member.id, purpose, GOOD_FOR)
    body = _BODIES[purpose].format(
        name=cipher.open(tables.member.c.name, member.id, member.name),
        workspace=here.name,
        link=f"{settings.workspace_url(here.slug)}/{purpose}/{token}",
        minutes=GOOD_FOR.seconds // 60,
    )
    recipient = cipher.open(tables.member.c.email, member.id, member.email)
    outbox.queue(conn, cipher, recipient, _SUBJECTS[purpose].format(here.name), body)
    return True
