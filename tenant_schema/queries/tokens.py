"""Whether this workspace ever gave out a token, whatever became of it since."""

from sqlalchemy import Connection, bindparam, exists, or_, select

from ..tables import invitation, session

_SESSION = select(
    exists().where(
        or_(session.c.token_hash == bindparam("presented"), session.c.previous_hash == bindparam("presented"))
    )
)
_INVITATION = select(exists().where(invitation.c.token_hash == bindparam("presented")))


def was_a_session(conn: Connection, token_hash: bytes) -> bool:
    """Say whether a session with this token was begun here, ended or not."""
    return bool(conn.execute(_SESSION, {"presented": token_hash}).scalar_one())


def was_an_invitation(conn: Connection, token_hash: bytes) -> bool:
    """Say whether an invitation with this token was sent from here, used up or not."""
    return bool(conn.execute(_INVITATION, {"presented": token_hash}).scalar_one())
