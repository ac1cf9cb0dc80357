"""The API as an application of its own: tokens, JSON, problem documents. No cookie is read or set."""

import importlib
from typing import Any, cast

from flask import Flask, Request, Response, jsonify, render_template
from flask.sessions import NullSession, SessionInterface

from ..control.platform import Platform
from ..web import refusals, tenant
from ..web.app import new_app
from ..web.permissions import public
from . import document, gate, idempotency, parsing, problems, throttle

BLUEPRINTS = ("expenses", "receipts", "reports", "people")
DOCUMENT_PATH = "/api/v1/openapi.json"
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
    for part in (problems, refusals, tenant, parsing, gate, idempotency):
        part.install(app)
    throttle.install(app, platform.settings.web_workers)
    app.after_request(_close)
    api = document.new_api(app)
    for name in BLUEPRINTS:
        api.register_blueprint(importlib.import_module(f".{name}", __package__).blueprint)
    _add_reference(app, api)
    gate.check_declared(app)
    return app


def _close(response: Response) -> Response:
    """Nothing in an answer may act, should a browser be led to show it; the one page keeps the portal's policy."""
    if response.mimetype != "text/html":
        response.headers.setdefault("Content-Security-Policy", INERT)
    return response


def _add_reference(app: Flask, api: document.ApiWithProblems) -> None:
    """The document, and the page that shows it. Both are the same for everybody, so they need no token."""
    written = document.finished(app, api)

    @app.get(DOCUMENT_PATH)
    @public
    def openapi() -> Response:  # pyright: ignore[reportUnusedFunction]  # Flask calls it
        return jsonify(written)

    @app.get("/api/docs")
    @public
    def reference() -> str:  # pyright: ignore[reportUnusedFunction]  # Flask calls it
        return render_template("api/docs.html", document=written, path=DOCUMENT_PATH)
