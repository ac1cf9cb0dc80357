"""The outbox of a workspace. A message is a sealed row until it is delivered, so that a crash loses none.

Without a mail server, delivery writes an `.eml` file into the home's outbox folder, for whoever runs the installation.
"""

import logging
import os
from pathlib import Path
from typing import Final
from uuid import UUID

from sqlalchemy import Connection

from ...config.errors import StrongroomError
from ...config.settings import Settings
from ...tenant_schema.ids import new_uuid7
from ...tenant_schema.queries import outbox as queries
from ...tenant_schema.tables import outbox
from ..keys.fields import FieldCipher
from .letters import Letter, compose, one_line

QUEUED: Final = "strongroom mail queued"  # in the `info` of a connection whose transaction has queued a message
UNREADABLE: Final = "The message cannot be read: its seal or its recipient's address is damaged."

_logger = logging.getLogger(__name__)


def queue(conn: Connection, cipher: FieldCipher, recipient: str, subject: str, body: str) -> UUID:
    """Add a message to the transaction of `conn`; it goes out when that is committed. Returns its id.

    Its HTML is made from `body`: paragraphs between blank lines, a button for a line that is only a link to us.
    """
    row_id = new_uuid7()
    queries.insert(
        conn,
        id=row_id,
        recipient=cipher.seal(outbox.c.recipient, row_id, recipient),
        subject=cipher.seal(outbox.c.subject, row_id, one_line(subject)),
        body=cipher.seal(outbox.c.body, row_id, body),
    )
    conn.info[QUEUED] = True
    return row_id


def deliver(conn: Connection, cipher: FieldCipher, settings: Settings) -> int:
    """Write every waiting message of a workspace into the outbox folder and mark it sent; return how many.

    The file is there before the mark is: after a crash between the two, a message is written again under the same name.
    Does nothing where a mail server is configured: who asks for mail does not wait for one.
    """
    if settings.smtp_host:
        return 0
    written = 0
    for row in queries.take_waiting(conn):
        try:
            content = compose(opened(row, cipher), settings).as_bytes()
        except (StrongroomError, ValueError):
            _logger.warning("The message %s cannot be read, and is given up.", row.id)
            queries.give_up(conn, row, UNREADABLE)
            continue
        write_message(settings.outbox_dir, f"{row.id}.eml", content)
        queries.mark_sent(conn, row.id)
        written += 1
    return written


def opened(row: queries.Message, cipher: FieldCipher) -> Letter:
    """A message in clear text. Raises `VerificationError` for a seal that is not this row's."""
    columns = outbox.c
    return Letter(
        id=str(row.id),
        recipient=cipher.open(columns.recipient, row.id, row.recipient),
        subject=cipher.open(columns.subject, row.id, row.subject),
        body=cipher.open(columns.body, row.id, row.body),
        written_at=row.created_at,
    )


def write_message(folder: Path, name: str, content: bytes) -> None:
    """Write the file of a message, whole or not at all. Mode 0600: it may carry an invitation's link."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = folder / f".{name}.part"
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    part.replace(folder / name)
