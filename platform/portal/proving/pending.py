"""A sign-in that is half done: the password was right, and the second factor is still to come. There is no session yet.

What the browser holds is a token in a cookie of its own, fresh at every right password; it opens nothing but the page
that asks for the second factor, for ten minutes and five tries.
"""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from flask import Response, redirect, request, url_for
from flask.typing import ResponseReturnValue

from ....tenant_schema.queries import challenges as queries
from ....tenant_schema.queries import factors, members
from ...keys.tokens import hash_of
from ...web import challenges, tenant
from ..access.arrival import arrive

COOKIE = "__Host-second"
GOOD_FOR = timedelta(minutes=10)
PURPOSE = "second_factor"


def go_on(member_id: UUID, method: str, onward: str) -> ResponseReturnValue:
    """What follows a right password: the session, or the question for the second factor of who has one.

    `method` is what the session says of how it was begun, `onward` the page to go to.
    """
    if not factors.has_second_factor(tenant.connection(), member_id):
        arrive(member_id, method)
        return redirect(onward, 303)
    token = challenges.begin(PURPOSE, member_id, datetime.now(UTC), GOOD_FOR)
    response = Response(status=303, headers={"Location": url_for("proving.second", next=_unless_start(onward))})
    challenges.hand_out(response, COOKIE, token, GOOD_FOR)
    return response


def member_of(now: datetime) -> UUID | None:
    """Whose sign-in this browser has half done; None where it has none that can be finished."""
    found = queries.find(tenant.connection(), _token_hash(), PURPOSE, now)
    return found.member_id if found else None


def count_try(member_id: UUID, now: datetime) -> queries.Challenge | None:
    """Count one try of this browser's half-done sign-in before it is looked at; None where no try is left.

    Locks the member's row: what ends all sign-ins of the member comes before the try, or after the session has begun.
    """
    members.hold(tenant.connection(), member_id)
    return queries.count_try(tenant.connection(), _token_hash(), PURPOSE, now)


def finish(challenge: queries.Challenge, method: str, onward: str, now: datetime) -> ResponseReturnValue:
    """The second factor was right: the session begins, and the half-done sign-in is used up."""
    assert challenge.member_id, "a second factor is always somebody's"
    queries.finish(tenant.connection(), challenge.id, now)
    arrive(challenge.member_id, method)
    response = Response(status=303, headers={"Location": onward})
    challenges.take_back(response, COOKIE)
    return response


def _token_hash() -> bytes:
    return hash_of(request.cookies.get(COOKIE, ""))


def _unless_start(onward: str) -> str | None:
    return None if onward == "/" else onward
