"""What changes something is asked for by a page of the same origin: refused otherwise, before anything looks at it.

A form of another workspace's page, on a sister host, is “same-site” to a browser: it brings the cookies along, and
SameSite does not help. The browser says where a request comes from (Fetch Metadata, w3.org/TR/fetch-metadata); one that
does not say so sends Origin or Referer (OWASP, Cross-Site Request Forgery Prevention). A client that sends none of the
three is no browser with somebody's cookies; it still needs the form's token, or one of the API.
"""

from urllib.parse import urlsplit

from flask import Flask, request
from flask_wtf.csrf import CSRFError

SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


def is_foreign(method: str, own: str, *, fetch_site: str | None, origin: str | None, referrer: str | None) -> bool:
    """Whether another origin than `own` (scheme, host, port) has caused a request that may change something."""
    if method in SAFE:
        return False
    if fetch_site is not None:
        return fetch_site != "same-origin"
    source = origin if origin is not None else referrer
    return source is not None and _origin_of(source) != own.lower()


def _origin_of(address: str) -> str:
    try:
        parts = urlsplit(address)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc}".lower()


def install(app: Flask) -> None:
    """Refuse such requests. To be installed before whatever reads forms."""

    @app.before_request
    def refuse_foreign() -> None:  # pyright: ignore[reportUnusedFunction]  # Flask calls it
        if is_foreign(
            request.method,
            f"{request.scheme}://{request.host}",
            fetch_site=request.headers.get("Sec-Fetch-Site"),
            origin=request.headers.get("Origin"),
            referrer=request.headers.get("Referer"),
        ):
            raise CSRFError("The request comes from a page of another site.")
