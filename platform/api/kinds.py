"""Kinds of fields that what goes in and out is made of."""

import re
from collections.abc import Mapping
from typing import Any, Final

from marshmallow import RAISE, Schema, ValidationError, fields
from marshmallow.validate import Length, Regexp

AN_ID: Final = "0192f5c4-7d3b-7c1a-9a55-3f0f6a1d2b11"
ABOUT_AMOUNTS: Final = "Negative for a refund; with at most the digits that the currency has."
ABOUT_RATES: Final = "What one unit of the currency is worth in the workspace's; needed where the two differ."
MOST_FILTERS: Final = 100
DECIMAL: Final = r"-?[0-9]{1,13}(\.[0-9]{1,4})?"
RATE: Final = r"[0-9]{1,8}(\.[0-9]{1,10})?"


class Words(fields.String):
    """Text that can be stored: no NUL and no half of a surrogate pair, which JSON can spell."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)  # pyright: ignore[reportUnknownMemberType]
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValidationError("Not a valid text.") from error
        if "\0" in text:
            raise ValidationError("Not a valid text.")
        return text


def number(pattern: str, example: str, about: str, **more: Any) -> Words:
    """A decimal number as text. Python's `$` lets a line end stand after it, so it is not asked."""
    shape = Regexp(re.compile(rf"{pattern}\Z", re.ASCII), error=f"Write it as “{example}”.")
    described = {"pattern": f"^{pattern}$", "example": example, "description": about}
    return Words(validate=shape, metadata=described, **more)


def several(one: fields.Field[Any], about: str) -> Any:
    """A parameter that may be given several times."""
    return fields.List(one, validate=Length(max=MOST_FILTERS), metadata={"description": f"{about} Can be repeated."})


class Strict(Schema):
    """A schema for what comes in."""

    class Meta:
        """For marshmallow."""

        unknown = RAISE


def an_id(**more: Any) -> fields.UUID:
    """An id."""
    return fields.UUID(metadata={"example": AN_ID} | more.pop("metadata", {}), **more)


def shown(kind: type[fields.Field[Any]], *arguments: Any, example: Any = None, **more: Any) -> Any:
    """A field that always goes out."""
    metadata = {"example": example} if example is not None else {}
    return kind(*arguments, required=True, metadata=metadata | more.pop("metadata", {}), **more)


def shown_amount(text: str = "12.50", **more: Any) -> Any:
    """An amount that always goes out."""
    return shown(Words, example=text, **more)
