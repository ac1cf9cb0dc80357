"""The plain-HTTP listener: sends pages to HTTPS, refuses the API, and answers nothing else.

An API client that speaks plain HTTP has already sent its token in the clear. Redirecting it would hide the mistake, so
it is refused (promise 3 in the security design).
"""

import posixpath
import re
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote

from ...config.settings import Settings

Wsgi = Callable[[dict[str, Any], Callable[[str, list[tuple[str, str]]], Any]], Iterable[bytes]]

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"({_LABEL}(?:\.{_LABEL})*|127\.0\.0\.1|\[::1\])(?::\d{{1,5}})?", re.IGNORECASE)
# What RFC 3986 lets stand in a path; everything else is percent-encoded again.
_PATH_SAFE = "/:@!$&'()*+,;=~-._"


def redirect_app(settings: Settings) -> Wsgi:
    """WSGI application: 308 to the same page over HTTPS for hosts of ours, 403 for the API, 400 for other hosts."""

    def answer(environ: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], Any]) -> Iterable[bytes]:
        status, headers, sentence = _decide(settings, environ)
        body = sentence.encode()
        start_response(
            status,
            [
                *headers,
                ("Content-Type", "text/plain; charset=utf-8"),
                ("Content-Length", str(len(body))),
                ("Cache-Control", "no-store"),
                ("X-Content-Type-Options", "nosniff"),
            ],
        )
        return [b"" if environ.get("REQUEST_METHOD") == "HEAD" else body]

    return answer


def _decide(settings: Settings, environ: dict[str, Any]) -> tuple[str, list[tuple[str, str]], str]:
    host = our_host(settings, str(environ.get("HTTP_HOST", "")))
    if host is None:
        return "400 Bad Request", [], "This host name is not served here.\n"
    path = str(environ.get("PATH_INFO", "")) or "/"
    if is_api(path):
        return "403 Forbidden", [], "The API answers over HTTPS only. Replace any token that was sent here.\n"
    # WSGI hands the path over as bytes in Latin-1 clothes (PEP 3333).
    target = settings.site_url(host) + "/" + quote(path.encode("latin-1", "replace"), safe=_PATH_SAFE).lstrip("/")
    query = quote(str(environ.get("QUERY_STRING", "")), safe=_PATH_SAFE + "?%")
    return "308 Permanent Redirect", [("Location", f"{target}?{query}" if query else target)], "Use HTTPS.\n"


def our_host(settings: Settings, header: str) -> str | None:
    """Host name of a `Host` header without its port, lower case; `None` unless it is the base domain or beneath it."""
    match = _HOST.fullmatch(header)
    if match is None:
        return None
    host = match[1].lower()
    ours = host in (settings.base_domain, "127.0.0.1", "[::1]") or host.endswith(f".{settings.base_domain}")
    return host if ours else None


def is_api(path: str) -> bool:
    """Whether the path, however it is spelled, belongs to the API."""
    return posixpath.normpath("/" + path.lower().lstrip("/")).split("/")[1] == "api"
