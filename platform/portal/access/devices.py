"""The browser that somebody signs in with: known by a random id that it keeps in a cookie, for one workspace.

The cookie proves nothing and lets nobody in. Without it, a sign-in is told to the member as one from a new device.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from flask import Response, after_this_request, request

from ....tenant_schema.ids import new_uuid7
from ....tenant_schema.queries import devices
from ....tenant_schema.tables import device
from ...keys.tokens import hash_of, new_token
from ...web import tenant
from ...web.devices import LONGEST_AGENT

COOKIE: Final = "__Host-device"
KEPT = timedelta(days=400)  # the longest that browsers keep a cookie (RFC 6265bis, 5.5)


@dataclass(frozen=True, slots=True)
class Recognised:
    """The device of a sign-in. `new`: this member has not signed in with it before."""

    id: UUID
    new: bool


def recognise(member_id: UUID, country: str | None, now: datetime) -> Recognised:
    """Find or add the request's device among those of the member, and let the browser keep its id."""
    conn, token = tenant.connection(), _presented() or new_token()
    _keep(token)
    known = devices.of_member(conn, member_id, hash_of(token))
    if known is not None:
        devices.seen(conn, known, now, _sealed_agent(known), country)
        return Recognised(known, new=False)
    row_id = new_uuid7()
    added = devices.put(
        conn,
        id=row_id,
        member_id=member_id,
        token_hash=hash_of(token),
        user_agent=_sealed_agent(row_id),
        country=country,
    )
    return Recognised(added, new=True)


def _presented() -> str | None:
    """The id in the request's cookie, if it was given out here: one that somebody chose is not taken over."""
    token = request.cookies.get(COOKIE)
    return token if token and devices.is_known(tenant.connection(), hash_of(token)) else None


def _keep(token: str) -> None:
    @after_this_request
    def send(response: Response) -> Response:  # pyright: ignore[reportUnusedFunction]  # Flask calls it
        if response.status_code < 400:
            age = int(KEPT.total_seconds())
            response.set_cookie(COOKIE, token, max_age=age, path="/", secure=True, httponly=True, samesite="Lax")
        return response


def _sealed_agent(row_id: UUID) -> bytes:
    agent = (request.user_agent.string or "unknown")[:LONGEST_AGENT]
    return tenant.cipher().seal(device.c.user_agent, row_id, agent)
