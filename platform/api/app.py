"""The API as an application of its own: tokens, JSON, problem documents. No cookie is read or set."""

import importlib
from typing import Any, cast

from flask import Flask, Request, Response
from flask.sessions import NullSession, SessionInterface

from ..control.platform import Platform
from ..web import refusals, tenant, uses
from ..web.app import new_app
from . import document, gate, idempotency, problems, reference, throttle

BLUEPRINTS = ("expenses", "receipts", "reports", "people")
INERT = "default-src 'none'; frame-ancestors 'none'"


class NoSessions(SessionInterface):
    """Cookies mean nothing here."""

    def open_session(self, app: Flask, request: Request) -> NullSession:  # noqa: ARG002  # the overridden signature
        """An empty session that cannot be written."""
        return NullSession()

    def save_session(self, app: Flask, session: Any, response: Response) -> None:
        """Nothing is kept."""


def create_api(platform: Platform) -> Flask:
    """The API for `platform`. Raises `LookupError` when a route declares no permission or no scope."""
    app = new_app(platform, "api")
    app.session_interface = NoSessions()
    cast(dict[str, Any], app.config)["PROVIDE_AUTOMATIC_OPTIONS"] = False  # only browsers on foreign pages would ask
    app.json.sort_keys = False  # pyright: ignore[reportAttributeAccessIssue]  # of Flask's own provider
    for part in (problems, refusals, tenant, uses, gate, idempotency):
        part.install(app)
    throttle.install(app, platform.settings.web_workers)
    app.after_request(_close)
    api = document.new_api(app)
    for name in BLUEPRINTS:
        api.register_blueprint(importlib.import_module(f".{name}", __package__).blueprint)
    app.register_blueprint(reference.blueprint)
    app.extensions[reference.EXTENSION] = document.finished(app, api)
    gate.check_declared(app)
    return app


def _close(response: Response) -> Response:
    """Nothing in an answer may act, should a browser be led to show it; the one page keeps the portal's policy."""
    if response.mimetype != "text/html":
        response.headers.setdefault("Content-Security-Policy", INERT)
    return response
