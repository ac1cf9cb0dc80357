"""Opaque identifiers: they reach shared catalogs and logs, so they must say nothing about the customer."""

import re
import secrets

from ...config.errors import CallError

_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"  # RFC 4648 base32, lower case
_LENGTH = 16  # 80 random bits
_PATTERN = re.compile(f"[a-z2-7]{{{_LENGTH}}}")


def new_id() -> str:
    """Return a new random id for a tenant or a placement."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))


def is_id(text: str) -> bool:
    """Say whether `text` has the form of an id."""
    return _PATTERN.fullmatch(text) is not None


def check_id(text: str) -> str:
    """Return `text`. Raises `CallError` unless it has the form of an id."""
    if not is_id(text):
        raise CallError(f"{text!r} is not an id: 16 letters a to z and digits 2 to 7.")
    return text


def database_name(placement_id: str) -> str:
    """Name of a placement's database and of its login role."""
    return f"t_{check_id(placement_id)}"


def owner_role(placement_id: str) -> str:
    """Name of the role that owns what is in a placement's database."""
    return f"t_{check_id(placement_id)}_own"
