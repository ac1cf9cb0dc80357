"""Keyset pages: a place in a list instead of a number, so that what comes in meanwhile shifts nothing.

A cursor is the key of the last row that was shown, signed for the workspace and for the list with its filter: it cannot
be made up, and means nothing elsewhere. What it names is looked up within the caller's reach, like everything.
"""

import hashlib
import json
from collections.abc import Callable
from datetime import date
from typing import Any, Final, TypeVar, cast
from urllib.parse import urlencode
from uuid import UUID

from flask import Response, current_app, jsonify, request
from itsdangerous import BadData, URLSafeSerializer

from ...config.errors import CallError
from ..web import tenant

MOST: Final = 100
USUAL: Final = 50
CURSOR: Final = "cursor"

T = TypeVar("T")


def read_cursor(text: str | None, parse: Callable[[str], T]) -> tuple[T, UUID] | None:
    """The key that `respond` put into the cursor, its first part read by `parse`; None for the first page.

    Raises `CallError` for a cursor of another list.
    """
    if not text:
        return None
    try:
        first, row_id = cast(list[str], _signer().loads(text))
        return parse(first), UUID(row_id)
    except (BadData, ValueError) as error:
        raise CallError("This cursor is not of this list; begin again without one.", CURSOR) from error


def respond(rows: list[Any], last: tuple[date, UUID] | None) -> Response:
    """A page of `rows`; `last` is the key of the last row where there are more after it."""
    following = None
    if last is not None:
        kept = [(name, value) for name, value in request.args.items(multi=True) if name != CURSOR]
        following = (
            f"{request.path}?{urlencode([*kept, (CURSOR, _signer().dumps([last[0].isoformat(), str(last[1])]))])}"
        )
    response = jsonify({"data": rows, "next": following})
    if following:
        response.headers["Link"] = f'<{following}>; rel="next"'  # RFC 8288
    return response


def _signer() -> URLSafeSerializer:
    """Signs for this workspace, this list and this filter; how many rows a page has does not matter."""
    same = sorted((name, value) for name, value in request.args.items(multi=True) if name not in (CURSOR, "limit"))
    filtered = hashlib.sha256(json.dumps(same).encode()).hexdigest()
    salt = f"cursor {tenant.tenant().id} {request.path} {filtered}"
    return URLSafeSerializer(cast(str | bytes, current_app.secret_key), salt, signer_kwargs={"key_derivation": "hmac"})
