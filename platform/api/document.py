"""The OpenAPI 3.1 document of the API: made from the routes themselves, and what they all share added."""

from typing import Any, Final, cast

from flask import Flask
from flask_smorest import Api

from ..web import guard
from . import gate, problems, schemas
from .idempotency import HEADER, LONGEST, REPLAYED

TITLE: Final = "Strongroom API"
VERSION: Final = "1"
ABOUT: Final = """\
Expenses, receipts, reports and members of one workspace. Every call needs a token of that workspace; it acts in the
name of the member who made it, with that person's role, and within its scopes.

Amounts are texts with the currency beside them, dates are ISO 8601, ids are UUIDs. Unknown fields are refused. Lists
come in pages: follow `next` until it is null. Errors are problem documents (RFC 9457).
"""
SCHEME: Final = "token"
# What any route may answer; its own answers come first.
COMMON: Final = (
    (400, "The request is not well-formed"),
    (401, "No token, or one that does not count here"),
    (403, "The role or the scopes do not permit this, or the workspace is suspended"),
    (422, "Some values are not right"),
    (429, "Too many calls"),
    (503, "Busy right now"),
)
KEY: Final[dict[str, Any]] = {
    "in": "header",
    "name": HEADER,
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST, "pattern": "^[!-~]+$"},
    "description": "Anything unique, such as a UUID: the request is carried out once, however often it comes in a day.",
}


class ApiWithProblems(Api):
    """flask-smorest's `Api`, whose errors are ours."""

    ERROR_SCHEMA = schemas.Problem
    DEFAULT_ERROR_RESPONSE_NAME = None

    def _register_error_handlers(self) -> None:
        """Nothing: `problems` answers every error."""


def new_api(app: Flask) -> ApiWithProblems:
    """The collector of the document, to register blueprints with."""
    cast(dict[str, Any], app.config).update(API_TITLE=TITLE, API_VERSION=VERSION, OPENAPI_VERSION="3.1.0")
    return ApiWithProblems(app, spec_kwargs={"info": {"description": ABOUT, "license": LICENCE}})


def finished(app: Flask, api: ApiWithProblems) -> dict[str, Any]:
    """The document, with security, errors and headers of every route."""
    document = api.spec.to_dict()
    document["servers"] = [{"url": "/", "description": "The workspace's own address"}]
    parts = cast(dict[str, Any], document.setdefault("components", {}))
    parts["securitySchemes"] = {SCHEME: _SCHEME}
    parts["schemas"].pop("PaginationMetadata", None)  # flask-smorest's own, which nothing here uses
    parts["responses"] = {f"Problem{status}": _problem(text) for status, text in COMMON_AND_MORE.items()}
    scopes = _scopes_by_operation(app)
    for path, operations in cast(dict[str, dict[str, Any]], document["paths"]).items():
        for method, operation in operations.items():
            if method in METHODS:
                _finish(operation, path, method, scopes[path, method.upper()])
    return document


METHODS: Final = ("get", "post", "put", "patch", "delete")
LICENCE: Final = {"name": "Apache-2.0", "identifier": "Apache-2.0"}
COMMON_AND_MORE: Final = dict(COMMON) | {
    404: "There is no such thing here",
    409: "It cannot be done in this state, or is being done already",
    412: "It was changed since you looked at it",
    413: "Too large",
    415: "A body of another type than the route takes",
    428: "The header If-Match is missing",
}
_SCHEME: Final = {
    "type": "http",
    "scheme": "bearer",
    "description": "A token from Settings → API tokens, in the header: `Authorization: Bearer srt_…`.",
}


def _finish(operation: dict[str, Any], path: str, method: str, scope: str | None) -> None:
    parameters = cast(list[dict[str, Any]], operation.setdefault("parameters", []))
    operation["security"] = [{SCHEME: [scope] if scope else []}]
    operation["summary"] = operation["summary"].removesuffix(".")
    operation["operationId"] = _operation_id(path, method)
    statuses = [status for status, _ in COMMON]
    if "{" in path:
        statuses.append(404)
    if method == "post":
        parameters.append(KEY)
        for status in ("200", "201"):
            if status in operation["responses"]:
                operation["responses"][status].setdefault("headers", {})[REPLAYED] = _REPLAYED
    if method != "get":
        statuses += [404, 409, 413]
    if "requestBody" in operation:
        operation["requestBody"]["required"] = True
        statuses.append(415)
    if any(one.get("name") == "If-Match" for one in parameters):
        statuses += [412, 428]
    for status in sorted(set(statuses)):
        operation["responses"][str(status)] = {"$ref": f"#/components/responses/Problem{status}"}
    operation["responses"] = dict(sorted(operation["responses"].items()))


_REPLAYED: Final = {
    "description": "The answer of the first request with this idempotency key.",
    "schema": {"type": "string", "const": "true"},
}


def _operation_id(path: str, method: str) -> str:
    words = [part for part in path.removeprefix("/api/v1/").replace("-", "_").split("/") if not part.startswith("{")]
    return "_".join([method, *words, *(["one"] if path.endswith("}") else [])])


def _scopes_by_operation(app: Flask) -> dict[tuple[str, str], str | None]:
    found: dict[tuple[str, str], str | None] = {}
    for rule in app.url_map.iter_rules():
        if guard.need_of(app, rule.endpoint) is not None:
            path = rule.rule.replace("<uuid:", "{").replace(">", "}")
            found |= {(path, method): gate.scope_of(app, rule.endpoint) for method in rule.methods or ()}
    return found


def _problem(text: str) -> dict[str, Any]:
    return {
        "description": text,
        "content": {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
