"""What a browser is asked and has to answer once and soon: it holds a random token, the database its SHA-256."""

from datetime import datetime, timedelta
from uuid import UUID

from flask import Response

from ...tenant_schema.ids import new_uuid7
from ...tenant_schema.queries import challenges as queries
from ..keys.tokens import hash_of, new_token
from . import tenant


def begin(
    purpose: str,
    member_id: UUID | None,
    now: datetime,
    good_for: timedelta,
    *,
    row_id: UUID | None = None,
    content: bytes | None = None,
) -> str:
    """Ask something new; return the token. `purpose` is one of `CHALLENGE_PURPOSES`."""
    conn, token = tenant.connection(), new_token()
    queries.prune(conn, now)
    queries.insert(
        conn,
        id=row_id or new_uuid7(),
        token_hash=hash_of(token),
        purpose=purpose,
        member_id=member_id,
        content=content,
        expires_at=now + good_for,
    )
    return token


def hand_out(response: Response, cookie: str, token: str, good_for: timedelta) -> None:
    """Put the token into a `__Host-` cookie that no script reads and no other site's page sends."""
    age = int(good_for.total_seconds())
    response.set_cookie(cookie, token, max_age=age, path="/", secure=True, httponly=True, samesite="Strict")


def take_back(response: Response, cookie: str) -> None:
    """Delete the cookie."""
    response.delete_cookie(cookie, path="/", secure=True, httponly=True, samesite="Strict")
