"""Password hashes: `sr1$<pepper id>$<bcrypt>` with bcrypt over base64(HMAC-SHA-384(pepper, password)).

The HMAC is 48 bytes, 64 in base64: below the 72 bytes at which bcrypt stops reading, and free of NUL. Whoever holds
only the database lacks the pepper. `sr1` names this scheme, the pepper id the pepper, so both can be changed one day.

A password is text in Unicode's form NFC (RFC 8265, 4.2.1, OpaqueString): keyboards compose the same letters in several
ways. Not NFKC: that would make different passwords the same.
"""

import base64
import hmac
import os
import unicodedata
from collections.abc import Sequence

import bcrypt

from ...config.errors import CallError
from .derive import derive
from .hashing_room import HashingRoom

SCHEME = "sr1"
COST = 12
LONGEST = 1024  # bytes of UTF-8
WAIT_SECONDS = 10.0
_TOO_LONG = f"The password is too long; the limit is {LONGEST} bytes."


def concurrency() -> int:
    """Return how many hashes this process computes at once.

    bcrypt releases the interpreter lock: without a bound, a burst of sign-ins would take every core from the portal.
    """
    return max(1, (os.cpu_count() or 1) // 2)


room = HashingRoom(concurrency())


def hash_password(password: str, pepper: bytes, cost: int = COST) -> str:
    """Return the hash to store. `cost` below 12 is for tests only.

    Raises `CallError` for an empty password or one above 1 KiB, `UnavailableError` when too many others are hashing.
    """
    if not password:
        raise CallError("Please choose a password.", field="password")
    return _hash(_peppered(password, pepper), pepper, cost)


def verify_password(password: str, stored: str, pepper: bytes, earlier: Sequence[bytes] = (), cost: int = COST) -> bool:
    """Tell whether `password` is the one behind `stored`; False for a hash of another scheme or of a retired pepper.

    `earlier` are peppers that were replaced. It takes as long as a hash at `cost` whichever it was made with, so that
    nobody sees from outside whose hash is an old one. Raises `CallError` for a password above 1 KiB, `UnavailableError`
    when too many others are hashing.
    """
    peppers = {pepper_id(one): one for one in (pepper, *earlier)}
    used, hashed = _parts(stored)
    if used not in peppers or not _is_bcrypt(hashed):
        dummy_verify(password, pepper, cost)
        return False
    secret = _peppered(password, peppers[used])
    found = _bcrypt(secret, hashed.encode())
    for lower in range(_cost_of(hashed), cost):  # 2^c and 2^c + 2^(c+1) + … + 2^(cost-1) are 2^cost rounds
        _bcrypt(secret, bcrypt.gensalt(lower))
    return hmac.compare_digest(found, hashed.encode())


def dummy_verify(password: str, pepper: bytes, cost: int = COST) -> None:
    """Take as long as `verify_password`, for a user who does not exist. Raises the same errors."""
    _hash(_peppered(password, pepper), pepper, cost)


def needs_renewal(stored: str, pepper: bytes, cost: int = COST) -> bool:
    """Tell whether a hash was made with another pepper than the present one, or is cheaper than `cost`."""
    used, hashed = _parts(stored)
    return used != pepper_id(pepper) or not _is_bcrypt(hashed) or _cost_of(hashed) < cost


def pepper_id(pepper: bytes) -> str:
    """Return the eight hexadecimal digits that stand for a pepper in the hashes made with it."""
    return derive(pepper, "pepper id", length=4).hex()


def prefix_of(pepper: str) -> str:
    """Return how each hash made with the pepper of this id begins."""
    return f"{SCHEME}${pepper}$"


def _parts(stored: str) -> tuple[str, str]:
    """Pepper id and bcrypt hash; the id is empty for a hash of another scheme."""
    scheme, _, rest = stored.partition("$")
    used, _, hashed = rest.partition("$")
    return (used, hashed) if scheme == SCHEME else ("", "")


def _is_bcrypt(hashed: str) -> bool:
    return hashed.startswith("$2b$") and hashed[4:6].isdecimal() and len(hashed) == 60


def _cost_of(hashed: str) -> int:
    return int(hashed[4:6])


def _hash(secret: bytes, pepper: bytes, cost: int) -> str:
    return prefix_of(pepper_id(pepper)) + _bcrypt(secret, bcrypt.gensalt(cost)).decode()


def _bcrypt(secret: bytes, salt: bytes) -> bytes:
    with room.entered(WAIT_SECONDS):
        return bcrypt.hashpw(secret, salt)


def _peppered(password: str, pepper: bytes) -> bytes:
    if len(password) > LONGEST:  # before normalising, whose time can grow with the square of the length
        raise CallError(_TOO_LONG, field="password")
    content = unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
    if len(content) > LONGEST:
        raise CallError(_TOO_LONG, field="password")
    return base64.b64encode(hmac.digest(pepper, content, "sha384"))
