"""One use of a workspace's database, and what goes wrong in it. A use asks: which marker do you see?"""

import json
import random
import time
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from io import BytesIO, StringIO
from typing import Any, NamedTuple

import psycopg
from flask import Flask, Response, request, stream_with_context
from offices import Office, Offices
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from strongroom.config.errors import StrongroomError
from strongroom.platform.registry.registry import Registry
from strongroom.platform.tenants.records import Tenant
from strongroom.platform.web import tenant
from strongroom.platform.web.permissions import public

WHO = (
    "SELECT current_database()::text, session_user::text, current_user::text, "
    "coalesce(current_setting('my.owner', true), ''), "
    "concat_ws(' ', current_setting('application_name'), current_setting('search_path'), current_setting('TimeZone'), "
    "current_setting('default_transaction_read_only')), (SELECT value #>> '{}' FROM app.setting WHERE key = 'marker')"
)
CLEAN = "strongroom pg_catalog UTC off"
MARKER = text(WHO)
HALF_DONE = text("INSERT INTO app.setting VALUES ('half-done', '1')")
LEFT_OVER = (
    "SET search_path = app",
    "SET application_name = 'somebody else'",
    "SET statement_timeout = '20s'",
    "SET lock_timeout = '1ms'",
    "SET default_transaction_read_only = on",
    "SET TIME ZONE 'Asia/Tokyo'",
    "CREATE TEMPORARY TABLE setting (key text, value jsonb)",
    "LISTEN somebody",
    "SELECT pg_advisory_lock_shared(1)",
)
FORBIDDEN = (
    "SET ROLE strongroom_owner",
    "SET ROLE tenant_owners",
    "SET session_replication_role = replica",
    "SET SESSION AUTHORIZATION strongroom_provisioner",
)
OWN = "own marker"  # the outcome that shows something: whoever is refused can see nothing wrong
REFUSED = "refused"  # how the outcome of a refusal begins
FAULTS = (
    "error", "raise", "cancel", "half", "left", "owner", "forbidden", "close", "terminate", "slow", "generator",
)  # fmt: skip
INJECTED = {"error", "raise", "forbidden", "close", "terminate", "left"}  # after which a request may end as broken
DISCONNECTED = (psycopg.OperationalError, psycopg.InterfaceError)


class FaultError(Exception):
    """Ends a use half-way, as a bug would."""


class CancelledRequest(BaseException):
    """Ends a use half-way, as a server that gives up on a thread would: like KeyboardInterrupt, no `Exception`."""


class BreachError(Exception):
    """Raised when something that must be impossible was possible."""


_RAISED: dict[str, type[BaseException]] = {"raise": FaultError, "cancel": CancelledRequest}
_STATEMENTS = {
    "error": ("SELECT 1/0",),
    "left": LEFT_OVER,
    "owner": ("SET my.owner = 'TENANT'",),
    "forbidden": FORBIDDEN,
    "terminate": ("SELECT pg_terminate_backend(pg_backend_pid())",),
    "slow": ("SELECT pg_sleep(0.003)",),
}


class Seen(NamedTuple):
    """What a session says of itself."""

    database: str
    session_user: str
    current_user: str
    owner: str  # of a custom parameter that an earlier use may have left
    parameters: str  # which a clean session has as it was opened
    marker: str | None


@dataclass(frozen=True)
class Answer:
    """How a use ended: `outcome` is counted; `wrong` says what must never have happened."""

    outcome: str
    wrong: str | None = None


def suffer(conn: Connection, fault: str, tenant_id: str, pick: random.Random) -> None:
    """Let `fault` happen on a connection that is in use, in the middle of its transaction."""
    if fault in {"error", "raise", "cancel", "half"}:
        conn.execute(HALF_DONE)
    if fault in _RAISED:
        raise _RAISED[fault]
    if fault == "close":
        driver: Any = conn.connection.driver_connection
        driver.close()
    elif fault in _STATEMENTS:
        statement = pick.choice(_STATEMENTS[fault])
        conn.execute(text(statement.replace("TENANT", tenant_id)))
        if fault == "forbidden":
            raise BreachError(f"{statement} was permitted")


def ask_registry(
    offices: Offices, registry: Registry, office: Office, fault: str, pick: random.Random, old: dict[str, Tenant]
) -> Answer:
    """Ask through the registry. `old`: records that this thread found earlier and sometimes uses again."""
    slug, began = office.slug, time.monotonic()
    try:
        found = registry.resolve(f"{slug}.localhost")
        earlier = old.get(found.id)
        if earlier and pick.random() < 0.1:
            used = earlier
        else:
            used = old[found.id] = found
        seen = _USES.get(fault, _in_transaction)(registry, used, fault, pick)
    except Exception as error:  # noqa: BLE001  # every kind of end is judged
        return _refusal(error, fault)
    except CancelledRequest:
        return Answer("cancelled")
    return judge(offices, slug, began, used.id, used.database, seen, late=used is found)


def judge(
    offices: Offices, slug: str, began: float, tenant_id: str, database: str, seen: Seen, *, late: bool = True
) -> Answer:
    """Compare what a session said with whose request it was, and whether that tenant could answer at the time."""
    ended = time.monotonic()
    if seen[:3] != (database,) * 3 or seen.marker != tenant_id or seen.owner not in {"", tenant_id}:
        return Answer("wrong marker", f"{tenant_id} in {database} saw {seen}")
    if seen.parameters != CLEAN:
        return Answer("wrong session", f"{tenant_id} met what an earlier use had left: {seen.parameters}")
    if not offices.may_answer(slug, tenant_id, began):
        return Answer("wrong address", f"{tenant_id} answered at {slug}")
    if late and offices.was_closed(tenant_id, began, ended):
        return Answer("too late", f"{tenant_id} answered {offices.stale} seconds after it was closed")
    return Answer(OWN)


def _in_transaction(registry: Registry, used: Tenant, fault: str, pick: random.Random) -> Seen:
    with registry.connect(used) as conn:
        seen = Seen(*conn.execute(MARKER).one())
        suffer(conn, fault, used.id, pick)
        if fault in {"left", "owner"}:
            conn.commit()
        return seen


def _borrowed(registry: Registry, used: Tenant, fault: str, pick: random.Random) -> Seen:
    with registry.borrow(used) as raw:
        row = raw.execute(WHO).fetchone()
        assert row
        return Seen(*row)


def _abandoned(registry: Registry, used: Tenant, fault: str, pick: random.Random) -> Seen:
    def rows() -> Generator[Seen]:
        with registry.connect(used) as conn:
            conn.execute(HALF_DONE)
            yield Seen(*conn.execute(MARKER).one())
            raise BreachError("a closed generator went on")

    generator = rows()
    seen = next(generator)
    generator.close()
    return seen


_USES: dict[str, Callable[[Registry, Tenant, str, random.Random], Seen]] = {
    "borrow": _borrowed,
    "generator": _abandoned,
}


def _refusal(error: Exception, fault: str) -> Answer:
    if isinstance(error, StrongroomError):
        return Answer(f"{REFUSED}: {type(error).__name__}")
    original = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(original, DISCONNECTED):  # a saboteur ended or cancelled the session
        return Answer("disconnected")
    if isinstance(error, FaultError) or (fault in INJECTED and isinstance(original, psycopg.Error)):
        return Answer(f"injected: {fault}")
    if isinstance(original, (psycopg.errors.ReadOnlySqlTransaction, psycopg.errors.UndefinedTable)):
        return Answer("wrong session", f"a use met what an earlier one had left: {original}")
    return Answer("broken", f"{fault}: {type(error).__name__}: {error}")


# Over the whole application.


def install_views(app: Flask) -> None:
    """Add two pages that say which marker they see, behind the same doors as the others."""
    picks = random.Random(7)  # only chooses among statements

    def marker() -> Response:
        fault, conn, here = request.args.get("fault", ""), tenant.connection(), tenant.tenant()
        seen = Seen(*conn.execute(MARKER).one())
        suffer(conn, fault, here.id, picks)
        return Response(json.dumps([here.id, here.database, *seen]), 409 if fault == "half" else 200)

    def stream() -> Response:
        def rows() -> Generator[str]:
            here = tenant.tenant()
            yield json.dumps([here.id, here.database, *tenant.connection().execute(MARKER).one()])
            yield "the rest, which nobody reads"

        return Response(stream_with_context(rows()))

    app.add_url_rule("/torture/marker", "torture.marker", public(marker))
    app.add_url_rule("/torture/stream", "torture.stream", public(stream))


def ask_web(offices: Offices, app: Flask, office: Office, fault: str) -> Answer:
    """Ask over the whole WSGI application: the marker, a stream that is cut, the sign-in page, a member's own page."""
    slug, began = office.slug, time.monotonic()
    path, cookie = _PAGES.get(fault, "/torture/marker"), office.token if fault == "profile" else ""
    try:
        status, body = _call(app, slug, path, fault, cookie, whole=fault != "generator")
    except CancelledRequest:
        return Answer("cancelled")
    except Exception as error:  # noqa: BLE001  # nothing may escape from the application
        escaped = Answer("broken", f"{fault}: {type(error).__name__}: {error}")
        # But from a body that has begun: there is no status left to say it with.
        return _refusal(error, fault) if fault == "generator" else escaped
    if status == 500:
        return Answer(f"injected: {fault}") if fault in INJECTED else Answer("broken", f"{fault}: 500")
    if status not in {200, 409} or (status == 409 and fault != "half"):
        expected = {401, 403, 404, 503} | ({303} if fault == "profile" else set())
        return Answer(f"{REFUSED}: {status}", None if status in expected else f"{path}: {status}")
    if fault in {"sign-in", "profile"}:
        return _judge_page(offices, slug, began, body, fault)
    tenant_id, database, *seen = json.loads(body)
    return judge(offices, slug, began, tenant_id, database, Seen(*seen))


_PAGES = {"generator": "/torture/stream", "sign-in": "/sign-in", "profile": "/settings/profile"}


def _judge_page(offices: Offices, slug: str, began: float, body: str, page: str) -> Answer:
    """A real page shows its own workspace's name (or its member's) and nobody else's."""
    with offices.lock:
        everybody = {one.id: one.person if page == "profile" else one.name for one in offices.open.values()}
    shown = [tenant_id for tenant_id, name in everybody.items() if name in body]
    if all(offices.may_answer(slug, tenant_id, began) for tenant_id in shown):
        return Answer(OWN if len(shown) == 1 else "own page", None if len(shown) <= 1 else f"{shown} on one")
    return Answer("wrong marker", f"{page} of {slug} shows {shown}")


def _call(app: Flask, slug: str, path: str, fault: str, token: str, *, whole: bool) -> tuple[int, str]:
    said: list[str] = []
    body: Any = app.wsgi_app(_environ(f"{slug}.localhost", path, f"fault={fault}", token), _starter(said))
    chunks: Iterable[bytes] = body
    try:
        content = b"".join(chunks) if whole else next(iter(chunks), b"")
    finally:
        if hasattr(body, "close"):
            body.close()
    return int(said[0][:3]), content.decode()


def _starter(said: list[str]) -> Callable[..., Callable[[bytes], object]]:
    def start(status: str, _headers: object, _error: object = None) -> Callable[[bytes], object]:
        said.append(status)
        return lambda _content: None

    return start


def _environ(host: str, path: str, query: str, token: str) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "443",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "192.0.2.7",
        "HTTP_HOST": host,
        "HTTP_COOKIE": f"__Host-session={token}" if token else "",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "https",
        "wsgi.input": BytesIO(),
        "wsgi.errors": StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
