"""The processor's messages: which fields we read of them. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, cast

from ...config.errors import CallError
from ..cards.masking import mask
from ..webhooks.content import read_object

PLAN_CHANGED: Final = "subscription.updated"
METHOD_CHANGED: Final = "payment_method.updated"
_WORD: Final = re.compile(r"[A-Za-z0-9_.:-]{1,100}", re.ASCII)
_BRAND: Final = re.compile(r"[A-Za-z0-9 ._-]{1,40}", re.ASCII)
_LAST_FOUR: Final = re.compile(r"[0-9]{4}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Message:
    """A message as we keep it. `content` has only the fields that we act upon; none of an unknown type."""

    type: str
    occurred_at: datetime
    workspace: str | None = None
    content: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def known(self) -> bool:
        """Whether we act upon it."""
        return self.type in (PLAN_CHANGED, METHOD_CHANGED)


def read(body: bytes, sent_at: datetime) -> Message:
    """The message in `body`. Raises `CallError` for what is no message, or lacks what its type must have."""
    told = read_object(body)
    kind = _text(told, "type", _WORD)
    occurred_at = _time(told.get("timestamp"), sent_at)
    data: Any = told.get("data")
    if kind == PLAN_CHANGED:
        return _about(kind, occurred_at, data, {"plan": _WORD})
    if kind == METHOD_CHANGED:
        return _about(kind, occurred_at, data, {"token": _WORD, "brand": _BRAND, "last4": _LAST_FOUR})
    return Message(kind, occurred_at)


def _about(kind: str, occurred_at: datetime, data: object, wanted: Mapping[str, re.Pattern[str]]) -> Message:
    if not isinstance(data, dict):
        raise CallError(f"A message {kind} needs data.")
    told = cast(dict[str, Any], data)
    content = {name: _text(told, name, shape) for name, shape in wanted.items()}
    return Message(kind, occurred_at, _text(told, "workspace", _WORD), content)


def _text(told: Mapping[str, Any], name: str, shape: re.Pattern[str]) -> str:
    value: object = told.get(name)
    if not isinstance(value, str) or not shape.fullmatch(value):
        raise CallError(f"The field “{name}” is missing or malformed.")
    if mask(value) != value:
        raise CallError(f"The field “{name}” holds a card number, which must never be sent here.")
    return value


def _time(value: object, default: datetime) -> datetime:
    if value is None:
        return default
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise CallError("The timestamp is not RFC 3339 with an offset.")
    return found
