"""What stands before every view: the workspace exists, somebody is signed in, the role permits it, and a
second factor is there where the plan requires one.

Deny by default: an endpoint whose view declares nothing keeps the application from starting.
"""

from flask import Flask, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from ...config.errors import ForbiddenError
from . import enrolment, sessions, tenant, uses
from .member import signed_in
from .permissions import NEEDS, Permission

STATIC = "assets.send"  # answers on any host: the page that says "not here" needs its style too


def need_of(app: Flask, endpoint: str) -> Permission | None:
    """The permission that `endpoint` declares; None for a public one. Raises `LookupError` where it declares none."""
    view = app.view_functions[endpoint]
    if not hasattr(view, NEEDS):
        raise LookupError(f"The route “{endpoint}” declares neither @requires nor @public.")
    return getattr(view, NEEDS)


def check_declared(app: Flask) -> None:
    """Raise `LookupError` for the first route without a declaration."""
    for endpoint in app.view_functions:
        need_of(app, endpoint)


def check_all_public(app: Flask) -> None:
    """Raise `LookupError` for the first route of `app` that wants a member: the public site has none."""
    for endpoint in app.view_functions:
        if need_of(app, endpoint) is not None:
            raise LookupError(f"The route “{endpoint}” is on the public site and cannot ask for a permission.")


def install_for_workspaces(app: Flask) -> None:
    """Let every request of `app` through the gates, in this order: host, sign-in, permission, second factor."""
    uses.install(app)

    @app.before_request
    def gate() -> ResponseReturnValue | None:  # pyright: ignore[reportUnusedFunction]  # Flask calls it
        if request.endpoint == STATIC:
            return None
        tenant.resolve()
        if isinstance(request.routing_exception, HTTPException) or request.endpoint is None:
            return None  # Flask raises it next: not found, method not allowed, redirect
        need = need_of(app, request.endpoint)
        if need is None:
            if sessions.COOKIE in request.cookies:
                signed_in()  # a session that is not of this workspace is noted on every page
            return None
        member = signed_in()
        if member is None:
            return sessions.ask_to_sign_in()
        if not member.may(need):
            raise ForbiddenError(f"Your role in this workspace ({member.role.label}) does not permit this.")
        if enrolment.must_enrol(member, app, request.endpoint):
            return enrolment.ask_to_enrol()
        uses.note(member.id, need)
        return None
