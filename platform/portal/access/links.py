"""Links in mails that work once: the workspace keeps the SHA-256 of the token only. Nothing here commits."""

import hashlib
import secrets
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import Connection

from ....tenant_schema.ids import new_uuid7
from ....tenant_schema.queries import mail_links

RESET: Final = "reset"
NOT_ME: Final = "not_me"
UNLOCK: Final = "unlock"
TOKEN_BYTES = 32


def make(conn: Connection, member_id: UUID, purpose: str, good_for: timedelta) -> str:
    """Return the token of a new link for `member_id`. `purpose` is one of `LINK_PURPOSES`."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    mail_links.insert(
        conn,
        id=new_uuid7(),
        token_hash=hash_of(token),
        purpose=purpose,
        member_id=member_id,
        expires_at=datetime.now(UTC) + good_for,
    )
    return token


def use(conn: Connection, token: str, purpose: str, now: datetime) -> UUID | None:
    """Use the link up and return its member; None where it is unknown, of another purpose, used or too old.

    Of two who try at once, one gets the member.
    """
    return mail_links.use(conn, hash_of(token), purpose, now)


def look(conn: Connection, token: str, purpose: str, now: datetime) -> UUID | None:
    """Return the member of a link that could be used now, and leave it unused; None where it could not."""
    return mail_links.look(conn, hash_of(token), purpose, now)


def hash_of(token: str) -> bytes:
    """What the database knows of a token."""
    return hashlib.sha256(token.encode()).digest()
