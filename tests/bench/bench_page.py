"""A page for a member against the bare routed query: what session, member, permission and headers cost.

Each request is made by itself and timed by itself, in turn with its baseline, so that p99 means something. Without TLS
and sockets: what is compared is what happens between the server's call and its answer.
"""

import gc
import hashlib
import secrets
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from uuid import UUID

from flask import Flask, request
from measuring import Row, installation, new_tenant, ratio
from sqlalchemy import Connection, bindparam, insert, select

from strongroom.platform.control.platform import Platform
from strongroom.platform.keys import FieldCipher
from strongroom.platform.tenants.records import Tenant
from strongroom.platform.web import tenant as web
from strongroom.platform.web.app import create_app
from strongroom.platform.web.permissions import Permission, Role, requires
from strongroom.platform.web.sessions import COOKIE
from strongroom.tenant_schema.ids import new_uuid7
from strongroom.tenant_schema.queries import members, sessions
from strongroom.tenant_schema.tables import category, member, session

STATEMENT = select(category.c.id, category.c.name).where(category.c.name == bindparam("name"))
NAME = {"name": "Travel"}
ROUNDS, WARM = 4_000, 300
OLD = 5_000  # sessions that have ended
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0"


def measure() -> list[Row]:
    with installation() as platform:
        tenant = new_tenant(platform, "bench-page")
        bare, app = bare_app(platform), portal_app(platform)
        cookie = f"{COOKIE}={begin_session(platform, tenant)}"
        base = caller(bare, tenant, "/routed", "")
        rows: list[Row] = []
        for what, path, target in (
            ("a member's request that makes the same query: session, permission, headers", "/bench", None),
            ("a whole page, with a list and its template: where one is signed in", "/settings/sessions", 4.0),
        ):
            rows += compared(what, caller(app, tenant, path, cookie), base, target)
        return rows


def bare_app(platform: Platform) -> Flask:
    """One query over the registry in a Flask handler: no session, no permission, no headers."""
    app, registry = Flask("bench"), platform.registry

    @app.get("/routed")
    def routed() -> str:
        with registry.connect(registry.resolve(request.host)) as conn, conn.begin():
            return str(conn.execute(STATEMENT, NAME).one())

    return app


def portal_app(platform: Platform) -> Flask:
    """The portal, with a route that makes the same query behind everything that stands before a view."""
    app = create_app(platform)

    def view() -> str:
        return str(web.connection().execute(STATEMENT, NAME).one())

    app.add_url_rule("/bench", "bench", requires(Permission.USE)(view))
    return app


def begin_session(platform: Platform, tenant: Tenant) -> str:
    """A signed-in member; returns the cookie's value."""
    cipher, member_id, session_id = FieldCipher(platform.keys.tenant(tenant.id)), new_uuid7(), new_uuid7()
    token = secrets.token_urlsafe(32)
    with platform.registry.connect(tenant) as conn, conn.begin():
        members.insert(
            conn,
            id=member_id,
            email=cipher.seal(member.c.email, member_id, "ada@people.example"),
            email_index=cipher.blind(member.c.email_index, "ada@people.example"),
            name=cipher.seal(member.c.name, member_id, "Ada Lovelace"),
            password_hash=None,
            role=Role.MEMBER,
        )
        sessions.insert(
            conn,
            id=session_id,
            token_hash=hashlib.sha256(token.encode()).digest(),
            member_id=member_id,
            method="password",
            address="127.0.0.1",
            user_agent=cipher.seal(session.c.user_agent, session_id, AGENT),
        )
        add_others(conn, member_id)
    return token


def add_others(conn: Connection, member_id: UUID) -> None:
    """What a year leaves behind: the look-up must not depend on how many sessions there have been."""
    ended = datetime.now(UTC)
    row = {"member_id": member_id, "method": "password", "revoked_at": ended}
    conn.execute(
        insert(session), [row | {"id": new_uuid7(), "token_hash": secrets.token_bytes(32)} for _ in range(OLD)]
    )


def caller(app: Flask, tenant: Tenant, path: str, cookie: str) -> Callable[[], None]:
    """Calls `path` as the server does, and fails if it is not answered."""
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": path,
        "HTTP_HOST": f"{tenant.slug}.localhost:8443",
        "HTTP_COOKIE": cookie,
        "HTTP_USER_AGENT": AGENT,
        "REMOTE_ADDR": "127.0.0.1",
        "SERVER_NAME": "bench",
        "SERVER_PORT": "8443",
        "wsgi.url_scheme": "https",
    }
    answers: list[str] = []

    def start(status: str, _headers: object, _error: object = None) -> None:
        answers.append(status)

    def call() -> None:
        answer = app(dict(environ), start)
        b"".join(answer)
        if answers.pop() != "200 OK":
            raise AssertionError(path)

    return call


def compared(what: str, ours: Callable[[], None], base: Callable[[], None], target: float | None) -> list[Row]:
    """p50 and p99 of both, from single requests that alternate; `target` is for p50."""
    times = alternated(ours, base)
    mine, bare = (quantiles(one) for one in times)
    return [
        ratio(f"{what}, {name}", mine[at], f"the bare routed query, {name}", bare[at], target if at == 0 else None)
        for at, name in enumerate(("p50", "p99"))
    ]


def alternated(ours: Callable[[], None], base: Callable[[], None]) -> tuple[list[float], list[float]]:
    for call in (ours, base):
        for _ in range(WARM):
            call()
    times = list[float](), list[float]()
    gc.collect()
    for turn in range(ROUNDS * 2):
        which = (turn + turn // 2) % 2  # first, second, second, first …
        began = time.perf_counter()
        (ours, base)[which]()
        times[which].append((time.perf_counter() - began) * 1000)
    return times


def quantiles(times: Sequence[float]) -> tuple[float, float]:
    cuts = statistics.quantiles(times, n=100)
    return cuts[49], cuts[98]
