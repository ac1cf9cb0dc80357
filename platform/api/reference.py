"""The page that explains the API and lets one try it: made from the document, without a script of anybody else's."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, cast

from flask import Blueprint, Response, current_app, jsonify, render_template
from markupsafe import Markup

from ..web.permissions import public
from .kinds import AN_ID

blueprint = Blueprint("reference", __name__, template_folder="templates")

EXTENSION: Final = "strongroom_api_document"
PATH: Final = "/api/v1/openapi.json"
JSON: Final = "application/json"
_KINDS: Final = {"uuid": "UUID", "date": "date", "date-time": "time", "binary": "file"}


@dataclass(frozen=True, slots=True)
class Value:
    """A parameter, or a field of a body. `example` is what a form begins with."""

    name: str
    where: str
    kind: str
    required: bool
    about: str
    example: str


@dataclass(frozen=True)
class Operation:
    """One operation as the page shows it."""

    document: Mapping[str, Any]
    method: str
    path: str
    facts: Mapping[str, Any]
    shared: tuple[Mapping[str, Any], ...]

    @property
    def id(self) -> str:
        """What an address on the page names it by."""
        return str(self.facts["operationId"]).replace("_", "-")

    @property
    def scope(self) -> str | None:
        """The scope that a token needs."""
        return next((scope for one in self.facts["security"] for scopes in one.values() for scope in scopes), None)

    @cached_property
    def parameters(self) -> list[Value]:
        """What goes into the address and the headers."""
        return [
            _value(one["name"], one["schema"], one["in"], required=one.get("required", False), about=one)
            for one in (*self.shared, *self.facts["parameters"])
        ]

    @cached_property
    def body_type(self) -> str | None:
        """The media type of the body; None where there is none."""
        return next(iter(self.facts.get("requestBody", {}).get("content", {})), None)

    @cached_property
    def body(self) -> list[Value]:
        """The fields of the body."""
        if self.body_type is None:
            return []
        return self._fields(self.facts["requestBody"]["content"][self.body_type]["schema"])

    @property
    def example(self) -> str:
        """A body to begin with."""
        if self.body_type != JSON:
            return ""
        schema = self._resolved(self.facts["requestBody"]["content"][JSON]["schema"])
        given = {name: one["example"] for name, one in schema["properties"].items() if _is_first(name, schema)}
        return json.dumps(given, indent=2, ensure_ascii=False)

    @cached_property
    def answer(self) -> list[Value]:
        """The fields of the answer to a request that succeeded."""
        for status, response in self.facts["responses"].items():
            schema = response.get("content", {}).get(JSON, {}).get("schema")
            if status.startswith("2") and schema:
                return self._fields(schema)
        return []

    @property
    def is_page(self) -> bool:
        """Whether the answer is one page of a list."""
        return [one.name for one in self.answer] == ["data", "next"]

    @property
    def statuses(self) -> list[tuple[str, str]]:
        """What may be answered: status and meaning."""
        return [(status, self._resolved(one)["description"]) for status, one in self.facts["responses"].items()]

    @property
    def curl(self) -> str:
        """The call on a command line."""
        lines = [f'curl -H "Authorization: Bearer $TOKEN" {{base}}{self.path}']
        if self.method != "get":
            lines[0] = lines[0].replace("curl ", f"curl -X {self.method.upper()} ")
        if any(one.name == "If-Match" for one in self.parameters):
            lines.append("-H 'If-Match: \"1\"'")
        if self.method == "post":
            lines.append('-H "Idempotency-Key: $(uuidgen)"')
        if self.body_type == JSON:
            lines += [f'-H "Content-Type: {JSON}"', f"-d '{json.dumps(json.loads(self.example), ensure_ascii=False)}'"]
        elif self.body_type:
            lines.append("-F file=@receipt.jpg")
        return re.sub(r"\{(?!base\})[a-z_]+\}", AN_ID, " \\\n  ".join(lines))

    def _fields(self, schema: Mapping[str, Any]) -> list[Value]:
        found = self._resolved(schema)
        needed = found.get("required", [])
        return [
            _value(name, self._inner(one), "body", required=name in needed, about=one)
            for name, one in found.get("properties", {}).items()
        ]

    def _inner(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """The schema with what it refers to in its place, one level deep."""
        return {**self._resolved(schema), **{name: value for name, value in schema.items() if name != "$ref"}}

    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        found: Any = schema
        if "$ref" in schema:
            found = self.document
            for part in str(schema["$ref"]).removeprefix("#/").split("/"):
                found = found[part]
        return cast(Mapping[str, Any], found)


@blueprint.app_template_filter("api_words")
def words(text: str) -> Markup:
    """A description of the document's as HTML: what stands in backticks as code, and typographic apostrophes."""
    parts = text.replace("'", "’").split("`")
    code = Markup("<code>{}</code>")
    return Markup("").join(code.format(part) if place % 2 else part for place, part in enumerate(parts))


@blueprint.get(PATH)
@public
def document() -> Response:
    """The OpenAPI document."""
    return jsonify(_document())


@blueprint.get("/api/docs")
@public
def page() -> str:
    """The reference. It is the same for everybody, so it needs no token."""
    found = _document()
    return render_template("api/docs.html", document=found, groups=groups_of(found), path=PATH)


def groups_of(found: Mapping[str, Any]) -> list[tuple[str, str, list[Operation]]]:
    """Name, description and operations of each group, in the document's order."""
    operations = [
        Operation(found, method, path, facts, tuple(of_path.get("parameters", ())))
        for path, of_path in found["paths"].items()
        for method, facts in of_path.items()
        if method != "parameters"
    ]
    return [
        (tag["name"].capitalize(), tag["description"], [one for one in operations if tag["name"] in one.facts["tags"]])
        for tag in found["tags"]
    ]


def _document() -> dict[str, Any]:
    return cast(dict[str, Any], current_app.extensions[EXTENSION])


def _is_first(name: str, schema: Mapping[str, Any]) -> bool:
    """Whether the field is in an example: what is needed, or else the first few."""
    needed: list[str] = schema.get("required", [])
    return name in needed or name == "currency" if needed else name in ("amount", "note")


def _value(name: str, schema: Mapping[str, Any], where: str, *, required: bool, about: Mapping[str, Any]) -> Value:
    example = schema.get("example", "")
    shown = example if isinstance(example, str) else json.dumps(example)
    return Value(name, where, _kind(schema), required, str(about.get("description") or ""), shown)


def _kind(schema: Mapping[str, Any]) -> str:
    """The type in words: `text`, `UUID or null`, `list of UUID`, `draft · submitted · …`."""
    types = schema.get("type", "object")
    names = cast(list[str], types if isinstance(types, list) else [types])
    found: list[str] = []
    for name in names:
        if name == "array":
            inner = cast(Mapping[str, Any], schema.get("items", {}))
            found.append("list" if "$ref" in inner else f"list of {_kind(inner)}")
        elif name == "string":
            found.append(
                " · ".join(schema["enum"]) if "enum" in schema else _KINDS.get(schema.get("format", ""), "text")
            )
        else:
            found.append(name)
    return " or ".join(found)
