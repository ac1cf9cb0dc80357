"""How a token of the API is spelled: `srt_`, 256 random bits, and a checksum, as scanners for leaked secrets want it.

The prefix lets a scanner find it in a repository, and the checksum lets anybody tell a token from a word that merely
looks like one, without asking us (after GitHub's format, “Behind GitHub’s new authentication token formats”, 2021).
"""

import re
import secrets
import zlib
from typing import Final

PREFIX: Final = "srt_"
SECRET_BYTES: Final = 32
HINT_LENGTH: Final = 8  # prefix and four characters: 24 of 256 bits
_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SECRET_LENGTH: Final = 43  # digits of base 62 that 256 bits need
_CHECK_LENGTH: Final = 6  # those of CRC-32
_SHAPE: Final = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{_SECRET_LENGTH}}}_[0-9A-Za-z]{{{_CHECK_LENGTH}}}", re.ASCII)


def make() -> str:
    """A new token."""
    secret = _base62(int.from_bytes(secrets.token_bytes(SECRET_BYTES)), _SECRET_LENGTH)
    return f"{PREFIX}{secret}_{_check(secret)}"


def is_well_formed(token: str) -> bool:
    """Whether `token` could have been made by `make`: its shape and its checksum are right."""
    if not _SHAPE.fullmatch(token):
        return False
    secret, _, check = token.removeprefix(PREFIX).partition("_")
    return check == _check(secret)


def hint_of(token: str) -> str:
    """The first characters, by which its owner recognises it."""
    return token[:HINT_LENGTH]


def _check(secret: str) -> str:
    return _base62(zlib.crc32(secret.encode()), _CHECK_LENGTH)


def _base62(number: int, length: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return digits.rjust(length, "0")
