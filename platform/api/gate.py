"""What stands before every route of the API: the workspace, a live token, its member's role, the token's scope.

The token comes in `Authorization: Bearer …` (RFC 6750, 2.1) and nowhere else: one in the address would end in logs. A
cookie is not looked at, so that no page of a stranger can call the API in the name of who looks at it. Deny by default:
a route that declares no permission or no scope keeps the application from starting.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NoReturn, TypeVar
from uuid import UUID

from flask import Flask, g, request
from flask_login import LoginManager  # pyright: ignore[reportMissingTypeStubs]
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import HTTPException, Unauthorized

from ...config.errors import ForbiddenError
from ...tenant_schema import tables
from ...tenant_schema.queries import api_tokens
from ..keys.tokens import hash_of
from ..web import enrolment, guard, limits, refusals, tenant, uses
from ..web.member import CurrentMember, signed_in
from ..web.permissions import Permission, Role, requires
from . import throttle, tokens
from .scopes import ApiScope

REALM: Final = "Strongroom API"
USED_EVERY: Final = timedelta(minutes=1)  # a request writes that its token is in use at most this often
BAD_TOKENS: Final = "30 per minute"  # of one address, in one workspace
NOT_ENROLLED: Final = "This workspace asks for a second factor, which this token’s member has yet to set up."
SCOPE: Final = "strongroom_scope"  # attribute of a view: an ApiScope, or None where any token will do
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)  # a program proves nothing that a step-up would ask for

View = TypeVar("View", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class PresentedToken:
    """The live token of this request."""

    id: UUID
    scopes: frozenset[str]
    expires_at: datetime


class ScopeError(ForbiddenError):
    """Raised when a token lacks the scope that a route asks for."""

    def __init__(self, scope: ApiScope) -> None:
        """`scope` is the missing one."""
        super().__init__(f"This token lacks the scope “{scope}”; make one that has it.")
        self.scope = scope


def asks(permission: Permission, scope: ApiScope | None) -> Callable[[View], View]:
    """Decorate a route: the member's role must have `permission`, and the token `scope`. Goes beneath all others."""

    def mark(view: View) -> View:
        setattr(view, SCOPE, scope)
        return requires(permission)(view)

    return mark


def scope_of(app: Flask, endpoint: str) -> ApiScope | None:
    """The scope that `endpoint` declares. Raises `LookupError` where it declares none."""
    view = app.view_functions[endpoint]
    if not hasattr(view, SCOPE):
        raise LookupError(f"The route “{endpoint}” of the API declares no scope: use @asks.")
    return getattr(view, SCOPE)


def check_declared(app: Flask) -> None:
    """Raise `LookupError` for the first route that declares no permission, or one without a scope."""
    guard.check_declared(app)
    for endpoint in app.view_functions:
        if guard.need_of(app, endpoint) is not None:
            scope_of(app, endpoint)


def token() -> PresentedToken:
    """The token of this request. Raises `RuntimeError` on a route that needs none."""
    if "api_token" not in g:
        raise RuntimeError("This request has no token.")
    return g.api_token


def install(app: Flask) -> None:
    """Let every request of `app` through the gates, in order: host, token, rate, permission, scope, second factor."""
    uses.install(app)
    manager: Any = LoginManager()  # it has no types
    manager.session_protection = None
    manager.init_app(app, add_context_processor=False)

    @manager.request_loader
    def load(_request: object) -> CurrentMember | None:  # pyright: ignore[reportUnusedFunction]  # flask-login calls it
        return _member_of(_presented(), datetime.now(UTC)) if tenant.has_tenant() else None

    @app.before_request
    def gate() -> None:  # pyright: ignore[reportUnusedFunction]  # Flask calls it
        tenant.resolve()
        if isinstance(request.routing_exception, HTTPException) or request.endpoint is None:
            return  # Flask raises it next: not found, method not allowed
        need = guard.need_of(app, request.endpoint)
        if need is not None:
            member = signed_in() or _refuse()
            _check(member, need, scope_of(app, request.endpoint))
            if enrolment.must_enrol(member, app, request.endpoint):
                raise ForbiddenError(NOT_ENROLLED)
            uses.note(member.id, need)


def _check(member: CurrentMember, need: Permission, scope: ApiScope | None) -> None:
    throttle.hit(str(token().id))
    if not member.may(need):
        raise ForbiddenError("The role of this token’s member does not permit this.")
    if scope is not None and scope not in token().scopes:
        raise ScopeError(scope)


def _presented() -> str | None:
    """The token in the request's header, whatever it is worth; None where there is none."""
    given = request.authorization
    return given.token if given is not None and given.type == "bearer" else None


def _member_of(presented: str | None, now: datetime) -> CurrentMember | None:
    """The member whose live token it is. One that was never made here is noted."""
    if presented is None or not tokens.is_well_formed(presented):
        return None
    conn, cipher, hashed = tenant.connection(), tenant.cipher(), hash_of(presented)
    row = api_tokens.live(conn, hashed, now)
    if row is None:
        if not api_tokens.was_a_token(conn, hashed):
            refusals.note(refusals.UNKNOWN_TOKEN)
        return None
    g.api_token = PresentedToken(row.id, frozenset(row.scopes), row.expires_at)
    if row.last_used_at is None or now - row.last_used_at >= USED_EVERY or row.last_address != request.remote_addr:
        api_tokens.touch(conn, row.id, now, request.remote_addr)
    return CurrentMember(
        id=row.member_id,
        role=Role(row.role),
        name=cipher.open(tables.member.c.name, row.member_id, row.name),
        email=cipher.open(tables.member.c.email, row.member_id, row.email),
        session_id=row.id,  # what the member is here by
        signed_in_at=_LONG_AGO,
        stepped_up_at=None,
    )


def _refuse() -> NoReturn:
    presented = "Authorization" in request.headers
    if presented:
        limits.hit(BAD_TOKENS, "api token", tenant.tenant().id, limits.address())
        sentence = "This token does not count here: it has expired, was revoked, or was made for another workspace."
        challenge = WWWAuthenticate("bearer", {"realm": REALM, "error": "invalid_token"})
    else:
        sentence = "Send a token of this workspace in the header: “Authorization: Bearer srt_…”."
        challenge = WWWAuthenticate("bearer", {"realm": REALM})
    raise Unauthorized(sentence, www_authenticate=challenge)
