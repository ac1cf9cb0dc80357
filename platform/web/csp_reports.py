"""Where browsers tell that a page did what its content security policy forbids (CSP 3, 5.3; Reporting API).

Anybody can send such a report. So of its text nothing is kept that is not one of our own words: which directive, what
kind of thing was blocked, on which of our routes. It goes to the log and to a counter, so many a minute and no more.
"""

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, cast
from urllib.parse import urlsplit

from flask import Blueprint, Flask, Response, current_app, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from . import limits, tenant, web_events
from .permissions import public
from .security import REPORT_PATH
from .uploads import KIB, accepts

PER_ADDRESS: Final = "10 per minute"
ALTOGETHER: Final = "120 per minute"
MOST: Final = 16 * KIB
MOST_OF_ONE: Final = 5  # reports of one request
DIRECTIVES: Final = frozenset(
    {
        *("default-src", "script-src", "script-src-elem", "script-src-attr", "style-src", "style-src-elem"),
        *("style-src-attr", "img-src", "font-src", "connect-src", "manifest-src", "object-src", "base-uri"),
        *("form-action", "frame-ancestors", "frame-src", "child-src", "worker-src", "media-src"),
        *("require-trusted-types-for", "trusted-types"),
    }
)
_KINDS = frozenset(
    {"inline", "eval", "wasm-eval", "trusted-types-policy", "trusted-types-sink", "data", "blob", "self"}
)
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Violation:
    """What a report says, in words of ours."""

    directive: str
    blocked: str
    route: str


def read(body: bytes) -> list[Violation]:
    """The first violations of a report in either format; none where it is no report."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return []
    return [_violation(one) for one in list(_reports(found))[:MOST_OF_ONE]]


def _reports(found: object) -> Iterable[dict[str, Any]]:
    """The bodies of a list of the Reporting API's, or of the older format's one object."""
    entries = cast("list[object]", found) if isinstance(found, list) else [found]
    for entry in entries:
        if isinstance(entry, dict):
            report = cast("dict[str, Any]", entry)
            body = report.get("csp-report", report.get("body"))
            if isinstance(body, dict):
                yield cast("dict[str, Any]", body)


def _violation(body: dict[str, Any]) -> Violation:
    directive = _text(body, "effective-directive", "effectiveDirective", "violated-directive").split(" ", 1)[0]
    return Violation(
        directive if directive in DIRECTIVES else "other",
        _kind(_text(body, "blocked-uri", "blockedURL")),
        _route(_text(body, "document-uri", "documentURL")),
    )


def _text(body: dict[str, Any], *names: str) -> str:
    return next((value for name in names if isinstance(value := body.get(name), str)), "")


def _kind(blocked: str) -> str:
    """What was blocked, without its address: a word of the standard, this host, or another one."""
    if blocked in _KINDS:
        return blocked
    try:
        parts = urlsplit(blocked)
    except ValueError:
        return "other"
    if parts.scheme in {"data", "blob"}:
        return parts.scheme
    if parts.scheme not in {"http", "https"}:
        return "other"
    return "self" if parts.netloc.lower() == request.host.lower() else "another host"


def _route(document: str) -> str:
    """The name of our route that the page belongs to: its address may hold somebody's link."""
    try:
        endpoint, _ = current_app.url_map.bind("").match(urlsplit(document).path, "GET")
    except (HTTPException, ValueError):
        return "unknown"
    return str(endpoint)


def install(app: Flask) -> None:
    """Give `app` the address that its policies name."""
    blueprint = Blueprint("csp_reports", __name__)

    @blueprint.post(REPORT_PATH)
    @public
    @accepts(MOST)
    def take() -> ResponseReturnValue:  # pyright: ignore[reportUnusedFunction]  # Flask calls it
        limits.hit(PER_ADDRESS, "csp report", limits.address())
        limits.hit(ALTOGETHER, "csp report")
        violations = read(request.get_data(cache=False))
        for one in violations:
            log.warning("csp violation: %s blocked %s on %s", one.directive, one.blocked, one.route)
        if violations:
            _count(len(violations))
        return Response(status=204)

    guard: Any = app.extensions["csrf"]  # its types are partly unknown
    guard.exempt(blueprint)
    app.register_blueprint(blueprint)


def _count(number: int) -> None:
    with tenant.platform().control.begin() as conn:
        web_events.add(conn, "csp_violation", datetime.now(UTC).date(), number)
