"""The WSGI application: a portal for workspaces, their API, and the public site on the bare domain.

They are three Flask applications behind one door. The host's name alone chooses between portal and site, so that no
route of one can answer on the other's host. The path alone chooses the API: it knows tokens and no cookies, the other
two know cookies and no tokens, and neither can be talked into the other's way.
"""

import hashlib
import hmac
import importlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from flask import Flask, Request, request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from flask_wtf import CSRFProtect
from itsdangerous import URLSafeTimedSerializer

from ..control.platform import Platform
from ..keys import passwords
from ..registry.hosts import is_site, workspace_of
from . import (
    assets,
    compression,
    csp_reports,
    errors,
    formats,
    frame,
    guard,
    limits,
    origin,
    refusals,
    security,
    sessions,
    tenant,
    uploads,
)
from .uploads import API, SITE, MemoryRequest

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

UPLOAD_LIMIT = uploads.UPLOAD
FORM_LIMIT = 1024 * 1024  # of the fields that are not files
NOWHERE = "unknown.invalid"  # RFC 2606: a host that is none; what an unknown one is called inside
DOMAINS = (
    *("access", "recovery", "alerts", "dashboard", "expenses", "receipts", "reports", "members", "settings"),
    *("factors", "proving", "tokens", "webhooks", "cards", "cardfeed"),
)
SITE_DOMAINS = ("signup", "payments")


def create_app(platform: Platform) -> Flask:
    """The application for `platform`. Raises `LookupError` when a route declares no permission."""
    app = new_app(platform, "workspace")
    _protect_forms(app)
    guard.install_for_workspaces(app)
    refusals.install(app)
    tenant.install(app)
    sessions.install(app)
    frame.install(app)
    for domain in DOMAINS:
        app.register_blueprint(importlib.import_module(f"...portal.{domain}.routes", __name__).blueprint)
    guard.check_declared(app)
    site = create_site(platform)
    app.extensions[SITE] = site
    app.extensions[API] = importlib.import_module("...api.app", __name__).create_api(platform)
    app.wsgi_app = _door(app.wsgi_app, site.wsgi_app, app.extensions[API].wsgi_app, platform.settings.base_domain)
    return app


def create_site(platform: Platform) -> Flask:
    """The public site: it has no workspace, no member, and only public routes."""
    site = new_app(platform, "site")
    _protect_forms(site)
    for domain in SITE_DOMAINS:
        site.register_blueprint(importlib.import_module(f"...portal.{domain}.routes", __name__).blueprint)
    shows_outbox = importlib.import_module("...portal.outbox.service", __name__).is_shown(platform.settings)
    site.jinja_env.globals["shows_outbox"] = shows_outbox
    if shows_outbox:
        site.register_blueprint(importlib.import_module("...portal.outbox.routes", __name__).blueprint)
    guard.check_declared(site)
    guard.check_all_public(site)
    return site


def new_app(platform: Platform, purpose: str) -> Flask:
    """What the three applications have in common."""
    app = Flask(f"strongroom.{purpose}", root_path=str(assets.ROOT.parent), static_folder=None)
    app.extensions[tenant.EXTENSION] = platform
    app.session_interface = HostBoundSessions()
    app.request_class = MemoryRequest
    config = cast(dict[str, Any], app.config)
    config.update(
        SECRET_KEY=_derived(platform.keys.platform().signing, f"web {purpose}"),
        MAX_CONTENT_LENGTH=UPLOAD_LIMIT,
        MAX_FORM_MEMORY_SIZE=FORM_LIMIT,
        SESSION_COOKIE_NAME="__Host-form",
        SESSION_COOKIE_SECURE=True,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        WTF_CSRF_TIME_LIMIT=None,  # as long as the cookie it belongs to: a form may stay open over lunch
        PREFERRED_URL_SCHEME="https",
    )
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    passwords.room.admit(platform.settings.web_threads)
    for part in (uploads, errors, formats, security, assets, limits, compression):
        part.install(app)
    return app


def _protect_forms(app: Flask) -> None:
    """Refuse forged forms: for the applications that know somebody by a cookie, which are all but the API."""
    origin.install(app)  # before the form is read for its token
    CSRFProtect(app)
    csp_reports.install(app)


class HostBoundSessions(SecureCookieSessionInterface):
    """Flask's signed cookie (form tokens and passing messages), signed for one host: useless on another workspace's."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Flask's session; a cookie that was signed for no browser on this host is noted, and counts as none."""
        opened, cookie = super().open_session(app, request), request.cookies.get(self.get_cookie_name(app))
        serializer = self.get_signing_serializer(app)
        if cookie and not opened and serializer and not serializer.loads_unsafe(cookie)[0]:
            refusals.note(refusals.FORGED_FORM)
        return opened

    def get_signing_serializer(self, app: Flask) -> URLSafeTimedSerializer | None:
        """Flask's serializer with the request's host in the salt."""
        bound = SecureCookieSessionInterface()  # one per request: a salt on `self` would be shared by all threads
        bound.salt = f"strongroom form cookie of {request.host}"
        return bound.get_signing_serializer(app)


def _derived(key: bytes, purpose: str) -> bytes:
    return hmac.digest(key, purpose.encode(), hashlib.sha256)


def _door(workspaces: Any, site: Any, api: Any, base_domain: str) -> Any:
    def door(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        host, path = environ.get("HTTP_HOST", ""), environ.get("PATH_INFO", "")
        if workspace_of(host, base_domain) is None and not is_site(host, base_domain):
            environ["HTTP_HOST"] = NOWHERE  # Werkzeug fails at some names, such as those longer than DNS has them
        chosen: WSGIApplication = site if is_site(host, base_domain) else workspaces
        if uploads.is_api(path):
            chosen = api
        return chosen(environ, start_response)

    return door
