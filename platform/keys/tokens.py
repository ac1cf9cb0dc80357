"""Random tokens: whoever holds one shows it, the database knows its SHA-256 only."""

import hashlib
import secrets
from typing import Final

_BYTES: Final = 32


def new_token() -> str:
    """A new token of 256 random bits, fit for cookies and addresses."""
    return secrets.token_urlsafe(_BYTES)


def hash_of(token: str) -> bytes:
    """What the database knows of a token. It is random, so nothing slower than SHA-256 is needed.

    Takes whatever a browser sends in a token's place, lone surrogates too.
    """
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
