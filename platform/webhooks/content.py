"""What a message of another's machine says, before anybody asks which message it is. Pure."""

import json
from typing import Any, cast

from ...config.errors import CallError


def read_object(body: bytes | str) -> dict[str, Any]:
    """The JSON object that `body` is. Raises `CallError`, also for one nested too deep to be read."""
    try:
        found: object = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise CallError("The body is not JSON.") from error
    if not isinstance(found, dict):
        raise CallError("The body is not a JSON object.")
    return cast(dict[str, Any], found)
