"""Every error under /api as `application/problem+json` (RFC 9457), never as a page.

Status and sentence are those of the portal's one table (`web/errors.py`), except where that speaks of pages and forms.
"""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, cast

from flask import Flask, Response, g, make_response
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import HTTPException, InternalServerError, MethodNotAllowed

from ...config import errors
from ..portal.expenses.form import FormError
from ..web import errors as pages
from .gate import REALM, ScopeError

MEDIA_TYPE: Final = "application/problem+json"
SENTENCES: Final[dict[int, str]] = {
    400: "The request is not well-formed.",
    404: "There is nothing here; check the address.",
    405: "This address does not answer to that method; the header “Allow” lists those that it does.",
    413: "That is too large: a receipt may have up to 20 MB, other requests up to 256 kB.",
    415: "Send the body as the reference says: JSON as “application/json”, files as “multipart/form-data”.",
    422: "Some values are not right; “errors” says which.",
    429: "Too many calls; wait as long as the header “Retry-After” says.",
}
MOST_ERRORS: Final = 50  # told of one request
FORM_NAMES: Final = {"category": "category_id", "form": ""}  # what a form's field is called here


def install(app: Flask) -> None:
    """Answer every error of `app` with a problem document."""
    app.register_error_handler(Exception, respond)


def respond(error: Exception) -> Response:
    """The problem document for `error`."""
    if isinstance(error, InternalServerError) and isinstance(error.original_exception, Exception):
        error = error.original_exception  # raised after the view, such as by the commit
    g.error = error  # `refusals` reads it
    page = pages.page_for(error)
    status = _status(error, page.status)
    content: dict[str, Any] = {"type": "about:blank", "title": _title(status), "status": status}
    content["detail"] = _sentence(error, page, status)
    wrong = _wrong_fields(error)
    if wrong:
        content["errors"] = wrong[:MOST_ERRORS]
    if status >= 500:
        content["reference"] = pages.record(error)
    response = make_response(json.dumps(content, ensure_ascii=False), status)
    response.mimetype = MEDIA_TYPE
    _add_headers(error, response)
    return response


def _status(error: Exception, shown: int) -> int:
    return 412 if isinstance(error, errors.StaleVersionError) else shown


def _title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def _sentence(error: Exception, page: pages.Page, status: int) -> str:
    if isinstance(error, HTTPException):
        own = type(error).description
        said = error.description if error.description != own and not getattr(error, "data", None) else None
        return said or SENTENCES.get(status, _title(status) + ".")
    return page.sentence or str(error)


def _wrong_fields(error: Exception) -> list[dict[str, str]]:
    """One line for each wrong field: `field` as a path of names and places, and what is wrong."""
    if isinstance(error, FormError):
        return [{"field": FORM_NAMES.get(name, name), "message": text} for name, text in error.errors.items()]
    if isinstance(error, errors.CallError) and error.field:
        return [{"field": FORM_NAMES.get(error.field, error.field), "message": str(error)}]
    data = cast(dict[str, Any], getattr(error, "data", None) or {})
    found: list[dict[str, str]] = []
    for by_field in cast(Mapping[str, Any], data.get("messages") or {}).values():
        _flatten("", by_field, found)
    return found


def _flatten(path: str, messages: Any, found: list[dict[str, str]]) -> None:
    if isinstance(messages, Mapping):
        for name, inner in cast(Mapping[Any, Any], messages).items():
            _flatten(f"{path}.{name}" if path else str(name), inner, found)
        return
    lines = cast(list[Any], messages) if isinstance(messages, list) else [messages]
    found.extend({"field": path.removesuffix("._schema"), "message": str(line)} for line in lines)


def _add_headers(error: Exception, response: Response) -> None:
    pages.say_when_to_retry(error, response)
    if isinstance(error, HTTPException):
        retry_after = getattr(error, "retry_after", None)
        if retry_after:
            response.headers["Retry-After"] = str(retry_after)
        for challenge in getattr(error, "www_authenticate", None) or ():
            response.headers.add("WWW-Authenticate", challenge.to_header())
    if isinstance(error, MethodNotAllowed):
        response.headers["Allow"] = ", ".join(sorted(error.valid_methods or ()))
    if isinstance(error, ScopeError):
        values: dict[str, str | None] = {"realm": REALM, "error": "insufficient_scope", "scope": error.scope.value}
        response.headers["WWW-Authenticate"] = WWWAuthenticate("bearer", values).to_header()
