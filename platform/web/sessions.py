"""Sessions of members: rows in the workspace's own database, a random token in a `__Host-` cookie.

Only the SHA-256 of the token is stored. A session of one workspace therefore means nothing on another's host: its hash
is not in that database. The token is new at every sign-in, and there is no other way of staying signed in.
"""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from flask import Flask, Response, g, make_response, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import LoginManager  # pyright: ignore[reportMissingTypeStubs]

from ...tenant_schema import tables
from ...tenant_schema.ids import new_uuid7
from ...tenant_schema.queries import sessions as queries
from ...tenant_schema.queries import tokens
from ..keys.tokens import hash_of, new_token
from . import refusals, tenant
from .devices import LONGEST_AGENT
from .member import CurrentMember, current
from .permissions import Role

COOKIE = "__Host-session"
IDLE = timedelta(days=30)
LONGEST = timedelta(days=90)
SEEN_EVERY = timedelta(minutes=1)  # a page writes that the session is in use at most this often
GRACE = timedelta(seconds=10)  # for requests that a page had sent before its session got another token
LEFT_BEHIND = '"cache"'  # pages that “back” would show; storage holds nothing but the choice of light or dark


def start(member_id: UUID, method: str = "password", origin: queries.Origin = queries.UNKNOWN) -> None:
    """Begin a new session for `member_id`: a row now, the cookie with the response. Ends the browser's earlier one.

    `method`: how the member proved who it is, one of `SIGN_IN_METHODS`. Ways to sign in call `arrive`, not this.
    """
    end()
    token = new_token()
    row_id = new_uuid7()
    agent = (request.user_agent.string or "unknown")[:LONGEST_AGENT]
    queries.insert(
        tenant.connection(),
        id=row_id,
        token_hash=hash_of(token),
        member_id=member_id,
        method=method,
        address=request.remote_addr,
        user_agent=tenant.cipher().seal(tables.session.c.user_agent, row_id, agent),
        origin=origin,
    )
    session.clear()  # a token against forged forms that was known before sign-in is worth nothing after it
    g.session_token = token


def rotate(*, end_others: bool = False) -> None:
    """Give the request's session a new token: after a step-up, a change of factors, password or role.

    Requests that the browser has under way with the old token are answered for ten more seconds, without what was
    proved since. With `end_others` the member's other sessions end now, and the old token with them.
    """
    old, member, conn = request.cookies.get(COOKIE), current(), tenant.connection()
    if end_others:
        queries.revoke_all(conn, member.id, keep=member.session_id)
    token = new_token()
    grace = timedelta(0) if end_others else GRACE
    if old and queries.replace_token(conn, member.session_id, hash_of(old), hash_of(token), grace):
        g.session_token = token


def step_up() -> None:
    """Note that the member of this request has just proved anew who it is, and give the session a new token."""
    queries.step_up(tenant.connection(), current().session_id, datetime.now(UTC))
    rotate()


def end() -> None:
    """Revoke the browser's session, if it has one, and take its cookie away."""
    token = request.cookies.get(COOKIE)
    if token:
        queries.revoke_token(tenant.connection(), hash_of(token))
    g.session_token = None


def find(token: str, now: datetime) -> CurrentMember | None:
    """The member whose session `token` is, if it is not revoked, used within 30 days and at most 90 days old."""
    conn = tenant.connection()
    row = queries.live(conn, hash_of(token), seen_after=now - IDLE, created_after=now - LONGEST)
    if row is None:
        if not tokens.was_a_session(conn, hash_of(token)):
            refusals.note(refusals.UNKNOWN_SESSION)
        return None
    if now - row.last_seen_at >= SEEN_EVERY:
        queries.touch(conn, row.id, now)
    cipher = tenant.cipher()
    return CurrentMember(
        id=row.member_id,
        role=Role(row.role),
        name=cipher.open(tables.member.c.name, row.member_id, row.name),
        email=cipher.open(tables.member.c.email, row.member_id, row.email),
        session_id=row.id,
        signed_in_at=row.created_at,
        stepped_up_at=row.stepped_up_at,
    )


def ask_to_sign_in() -> ResponseReturnValue:
    """The answer to a page that needs a member: to the sign-in form, and back after it.

    Somebody who presents a session that has ended is told so, with status 401.
    """
    here = request.full_path.rstrip("?") if request.method == "GET" else "/"
    sign_in = url_for("access.sign_in", next=None if here == "/" else here)
    if request.headers.get("HX-Request") == "true":
        return Response(status=401, headers={"HX-Redirect": sign_in})
    if request.method == "GET" and COOKIE not in request.cookies:
        return redirect(sign_in, 303)
    response = make_response(render_template("errors/signed_out.html", sign_in=sign_in), 401)
    if request.headers.get("Sec-Fetch-Mode", "navigate") == "navigate":
        # Not in answer to a picture of the page before: the browser may have a new session by now.
        response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="Lax")
    return response


def install(app: Flask) -> None:
    """Let flask-login find the member of a request by the cookie, and send the cookie when a session begins or ends."""
    manager: Any = LoginManager()  # it has no types
    manager.session_protection = None  # flask-login's own session is not used
    manager.init_app(app, add_context_processor=False)

    @manager.request_loader
    def load(_request: object) -> CurrentMember | None:  # pyright: ignore[reportUnusedFunction]  # flask-login calls it
        token = request.cookies.get(COOKIE)
        return find(token, datetime.now(UTC)) if token and tenant.has_tenant() else None

    @app.after_request
    def send_cookie(response: Response) -> Response:  # pyright: ignore[reportUnusedFunction]  # Flask calls it
        if "session_token" not in g or response.status_code >= 400:
            return response
        if g.session_token:
            age = int(LONGEST.total_seconds())
            response.set_cookie(
                COOKIE, g.session_token, max_age=age, path="/", secure=True, httponly=True, samesite="Lax"
            )
        else:
            response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="Lax")
            response.headers["Clear-Site-Data"] = LEFT_BEHIND
        return response
