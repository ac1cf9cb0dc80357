"""Links in mails that work once: 256 random bits, of which the database knows the SHA-256 only."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection

from ....tenant_schema.ids import new_uuid7
from ....tenant_schema.queries import mail_links as queries
from ...keys.tokens import hash_of, new_token

RESET, NOT_ME, UNLOCK = "reset", "not_me", "unlock"
ONE_AT_A_TIME = (RESET, UNLOCK)  # a newer one makes the older useless
KEPT = timedelta(days=90)  # a link that ran out is known for so long, and no sign of an attack


def make(conn: Connection, member_id: UUID, purpose: str, good_for: timedelta) -> str:
    """Return the token of a new link for a member. `purpose` is one of `LINK_PURPOSES`.

    Of a reset and of an unlocking only the newest link of a member works.
    """
    now = datetime.now(UTC)
    queries.sweep(conn, member_id, now - KEPT)
    if purpose in ONE_AT_A_TIME:
        queries.end(conn, member_id, purpose)
    token = new_token()
    queries.insert(
        conn,
        id=new_uuid7(),
        token_hash=hash_of(token),
        purpose=purpose,
        member_id=member_id,
        expires_at=now + good_for,
    )
    return token


def look(conn: Connection, token: str, purpose: str, now: datetime) -> UUID | None:
    """Whose link this is, without using it up: programs that scan mail open every link in it."""
    return queries.find(conn, hash_of(token), purpose, now)


def use(conn: Connection, token: str, purpose: str, now: datetime) -> UUID | None:
    """Use a link up and return whose it is; None where it cannot be used (any more). Of many at once one succeeds."""
    return queries.use(conn, hash_of(token), purpose, now)


def end(conn: Connection, member_id: UUID, *purposes: str) -> None:
    """Make a member's open links of these purposes useless."""
    queries.end(conn, member_id, *purposes)


def was_made(conn: Connection, token: str) -> bool:
    """Whether a link with this token was ever sent from this workspace."""
    return queries.was_made(conn, hash_of(token))


def first_made(conn: Connection, member_id: UUID, token: str, purpose: str, now: datetime) -> datetime:
    """When the oldest of this link, used up or not, and the member's open links of its purpose was made."""
    return queries.first_made(conn, member_id, hash_of(token), purpose, now)


def made_since(conn: Connection, purpose: str, since: datetime) -> int:
    """How many links of a purpose were made in this workspace since then."""
    return queries.made_since(conn, purpose, since)
