"""SQL over API tokens, found by the SHA-256 of what the program sends."""

from uuid import UUID

from sqlalchemy import Connection, func, update

from ..tables import api_token


def revoke_all(conn: Connection, member_id: UUID) -> int:
    """End all tokens of a member; return how many were not ended yet."""
    theirs = update(api_token).where(api_token.c.member_id == member_id, api_token.c.revoked_at.is_(None))
    return conn.execute(theirs.values(revoked_at=func.now())).rowcount
