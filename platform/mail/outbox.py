"""The outbox of a workspace. A message is a sealed row until it is delivered, so that a crash loses none.

Without a mail server, delivery writes an `.eml` file into the home's outbox folder, for whoever runs the installation.
"""

import os
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from uuid import UUID

from sqlalchemy import Connection

from ...config.settings import Settings
from ...tenant_schema.ids import new_uuid7
from ...tenant_schema.queries import outbox as queries
from ...tenant_schema.tables import outbox
from ..keys.fields import FieldCipher


def queue(conn: Connection, cipher: FieldCipher, recipient: str, subject: str, body: str) -> UUID:
    """Add a message to the transaction of `conn`; it goes out when that is committed. Returns its id."""
    row_id = new_uuid7()
    queries.insert(
        conn,
        id=row_id,
        recipient=cipher.seal(outbox.c.recipient, row_id, recipient),
        subject=cipher.seal(outbox.c.subject, row_id, subject),
        body=cipher.seal(outbox.c.body, row_id, body),
    )
    return row_id


def deliver(conn: Connection, cipher: FieldCipher, settings: Settings) -> int:
    """Write every waiting message of a workspace into the outbox folder and mark it sent; return how many.

    The file is there before the mark is: after a crash between the two, a message is written again under the same name.
    """
    waiting = queries.take_waiting(conn)
    for row in waiting:
        write_message(settings.outbox_dir, f"{row.id}.eml", _message(row, cipher, settings.base_domain).as_bytes())
        queries.mark_sent(conn, row.id)
    return len(waiting)


def _message(row: queries.Message, cipher: FieldCipher, domain: str) -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    message["From"] = f"Strongroom <no-reply@{domain}>"
    message["To"] = cipher.open(outbox.c.recipient, row.id, row.recipient)
    message["Subject"] = cipher.open(outbox.c.subject, row.id, row.subject)
    message["Message-ID"] = f"<{row.id}@{domain}>"
    message.set_content(cipher.open(outbox.c.body, row.id, row.body))
    return message


def write_message(folder: Path, name: str, content: bytes) -> None:
    """Write the file of a message, whole or not at all. Mode 0600: it may carry an invitation's link."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = folder / f".{name}.part"
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    part.replace(folder / name)
