"""Signatures of what the API uses of flask-smorest 0.47, which ships no types."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import apispec
import marshmallow
from flask import Blueprint as FlaskBlueprint
from flask import Flask
from webargs.flaskparser import FlaskParser

_V = TypeVar("_V", bound=Callable[..., Any])
_Schema = marshmallow.Schema | type[marshmallow.Schema] | Mapping[str, Any] | str

class Api:
    ERROR_SCHEMA: type[marshmallow.Schema]
    DEFAULT_ERROR_RESPONSE_NAME: str | None
    spec: apispec.APISpec
    def __init__(
        self, app: Flask | None = None, *, spec_kwargs: Mapping[str, Any] | None = None, config_prefix: str = ""
    ) -> None: ...
    def register_blueprint(
        self, blp: Blueprint, *, parameters: list[Mapping[str, Any]] | None = None, **options: Any
    ) -> None: ...
    def _register_error_handlers(self) -> None: ...

class Blueprint(FlaskBlueprint):
    ARGUMENTS_PARSER: FlaskParser
    def __init__(self, name: str, import_name: str, *, description: str = "", url_prefix: str | None = None) -> None: ...
    def arguments(
        self,
        schema: _Schema,
        *,
        location: str = "json",
        content_type: str | None = None,
        required: bool = True,
        description: str | None = None,
        example: Mapping[str, Any] | None = None,
        examples: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> Callable[[_V], _V]: ...
    def response(
        self,
        status_code: int,
        schema: _Schema | None = None,
        *,
        content_type: str | None = None,
        description: str | None = None,
        example: Mapping[str, Any] | None = None,
        examples: Mapping[str, Any] | None = None,
        headers: Mapping[str, Any] | None = None,
    ) -> Callable[[_V], _V]: ...
    def alt_response(
        self,
        status_code: int,
        response: str | None = None,
        *,
        schema: _Schema | None = None,
        content_type: str | None = None,
        description: str | None = None,
        headers: Mapping[str, Any] | None = None,
        success: bool = False,
    ) -> Callable[[_V], _V]: ...
    @staticmethod
    def doc(**kwargs: Any) -> Callable[[_V], _V]: ...
