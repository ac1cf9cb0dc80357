"""How requests are read: strictly. What a route does not know is refused."""

from typing import Any, Final

import flask
import marshmallow
from flask_smorest import Blueprint
from webargs import core
from webargs.flaskparser import FlaskParser, abort
from werkzeug.exceptions import BadRequest, UnsupportedMediaType

JSON: Final = "application/json"
UPLOAD: Final = "multipart/form-data"


class StrictParser(FlaskParser):
    """Refuses unknown fields wherever they stand, bodies of another type, and JSON that cannot be read."""

    DEFAULT_UNKNOWN_BY_LOCATION: dict[str, str | None] = dict.fromkeys(
        ("json", "query", "querystring", "form", "files", "view_args", "path"), marshmallow.RAISE
    )

    def _raw_load_json(self, req: flask.Request) -> Any:
        if req.mimetype != JSON:
            raise UnsupportedMediaType
        try:
            return core.parse_json(req.get_data(cache=True))
        except (ValueError, RecursionError) as error:  # not JSON, numbers of thousands of digits, brackets without end
            raise BadRequest("The body is not JSON that can be read.") from error

    def load_files(self, req: flask.Request, schema: marshmallow.Schema) -> Any:
        """The files of a form. Raises `UnsupportedMediaType` for another body."""
        if req.mimetype != UPLOAD:
            raise UnsupportedMediaType
        if req.form:
            abort(422, messages={"form": {name: ["Unknown field."] for name in req.form}})
        return super().load_files(req, schema)


class ApiBlueprint(Blueprint):
    """A blueprint of flask-smorest's whose arguments are read strictly."""

    ARGUMENTS_PARSER = StrictParser()


class Nothing(marshmallow.Schema):
    """The query of a route that has no parameters: each is refused."""
