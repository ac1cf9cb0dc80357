"""How much a route takes, and where uploads stay: in memory, so that no photograph reaches a disk before it is sealed.

A route takes 64 KiB unless `@accepts` says otherwise. The gateway asks before it reads a body, and the application
checks again before anything parses it: a request that reached it in another way is bounded just the same.
"""

from collections.abc import Callable
from io import BytesIO
from typing import IO, Any, TypeVar, cast

from flask import Flask, Request, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from ..registry.hosts import is_site
from .cards import MaskingParser

KIB = 1024
FORM = 64 * KIB
LIST = 256 * KIB  # a form in which many rows can be chosen
CALL = 256 * KIB  # of the API
UPLOAD = 25 * 1024 * KIB
MOST_PARTS = 100  # of a form with files
SITE, API = "strongroom_site", "strongroom_api"  # the applications beside the portal, by their extension's name
_ACCEPTS = "strongroom_accepts"  # attribute of a view function: bytes

View = TypeVar("View", bound=Callable[..., Any])


def accepts(most: int) -> Callable[[View], View]:
    """Decorate a route: it takes bodies of at most `most` bytes. Goes beneath `@blueprint.post(…)`."""

    def mark(view: View) -> View:
        setattr(view, _ACCEPTS, most)
        return view

    return mark


def is_api(path: str) -> bool:
    """Whether the API answers there, on any host."""
    return path == "/api" or path.startswith("/api/")


def most_bytes(app: Flask, method: str, host: str, path: str) -> int:
    """How many bytes the route takes that answers there; those of a small form where none does."""
    app = _behind(app, host, path)
    try:
        endpoint, _ = app.url_map.bind("").match(path.encode("latin-1").decode("utf-8", "replace"), method)
    except HTTPException:
        endpoint = None
    return _of(app, endpoint, path)


def _behind(app: Flask, host: str, path: str) -> Flask:
    """The application that answers there, chosen as the door does (app.py)."""
    if API in app.extensions and is_api(path):
        return cast(Flask, app.extensions[API])
    if SITE in app.extensions and is_site(host, app.extensions["strongroom"].settings.base_domain):
        return cast(Flask, app.extensions[SITE])
    return app


def _of(app: Flask, endpoint: str | None, path: str) -> int:
    view = app.view_functions.get(endpoint or "")
    return int(getattr(view, _ACCEPTS, CALL if is_api(path) else FORM))


def install(app: Flask) -> None:
    """Refuse what is too large, before anything reads it. To be installed before whatever reads forms."""

    @app.before_request
    def bound() -> None:  # pyright: ignore[reportUnusedFunction]  # Flask calls it
        most = _of(app, request.endpoint, request.path)
        request.max_content_length = most
        request.max_form_parts = MOST_PARTS
        if request.content_length is not None and request.content_length > most:
            raise RequestEntityTooLarge


class MemoryRequest(Request):
    """A request whose files are never spooled to temporary files, as Werkzeug does above 500 KiB.

    What the route accepts bounds the memory that this takes.
    """

    form_data_parser_class = MaskingParser

    def _get_file_stream(
        self,
        total_content_length: int | None,  # noqa: ARG002  # the overridden signature
        content_type: str | None,  # noqa: ARG002
        filename: str | None = None,  # noqa: ARG002
        content_length: int | None = None,  # noqa: ARG002
    ) -> IO[bytes]:
        return BytesIO()
