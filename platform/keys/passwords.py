"""Password hashes: `sr1$<pepper id>$<bcrypt>` with bcrypt over base64(HMAC-SHA-384(pepper, password)).

The HMAC is 48 bytes, 64 in base64: below the 72 bytes at which bcrypt stops reading, and free of NUL. Whoever holds
only the database lacks the pepper. `sr1` names this scheme, the pepper id the pepper, so both can be changed one day.
"""

import base64
import hmac
import os
from threading import BoundedSemaphore

import bcrypt

from ...config.errors import CallError, UnavailableError
from .derive import derive

SCHEME = "sr1"
COST = 12
LONGEST = 1024  # bytes of UTF-8
WAIT_SECONDS = 10.0


def concurrency() -> int:
    """Return how many hashes this process computes at once.

    bcrypt releases the interpreter lock: without a bound, a burst of sign-ins would take every core from the portal.
    """
    return max(1, (os.cpu_count() or 1) // 2)


_hashing = BoundedSemaphore(concurrency())


def hash_password(password: str, pepper: bytes, cost: int = COST) -> str:
    """Return the hash to store. `cost` below 12 is for tests only.

    Raises `CallError` for an empty password or one above 1 KiB, `UnavailableError` when too many others are hashing.
    """
    if not password:
        raise CallError("Please choose a password.", field="password")
    return _hash(_peppered(password, pepper), pepper, cost)


def verify_password(password: str, stored: str, pepper: bytes) -> bool:
    """Tell whether `password` is the one behind `stored`; False for a hash of another scheme or pepper.

    Raises `CallError` for a password above 1 KiB, `UnavailableError` when too many others are hashing.
    """
    scheme, _, rest = stored.partition("$")
    pepper_id, _, hashed = rest.partition("$")
    secret = _peppered(password, pepper)
    if (scheme, pepper_id) != (SCHEME, _pepper_id(pepper)):
        return False
    return hmac.compare_digest(_bcrypt(secret, hashed.encode()), hashed.encode())


def dummy_verify(password: str, pepper: bytes, cost: int = COST) -> None:
    """Take as long as `verify_password`, for a user who does not exist. Raises the same errors."""
    _hash(_peppered(password, pepper), pepper, cost)


def _hash(secret: bytes, pepper: bytes, cost: int) -> str:
    return f"{SCHEME}${_pepper_id(pepper)}${_bcrypt(secret, bcrypt.gensalt(cost)).decode()}"


def _bcrypt(secret: bytes, salt: bytes) -> bytes:
    if not _hashing.acquire(timeout=WAIT_SECONDS):
        raise UnavailableError("Too many people are signing in right now; please try again.")
    try:
        return bcrypt.hashpw(secret, salt)
    finally:
        _hashing.release()


def _peppered(password: str, pepper: bytes) -> bytes:
    content = password.encode("utf-8", "surrogatepass")
    if len(content) > LONGEST:
        raise CallError(f"The password is too long; the limit is {LONGEST} bytes.", field="password")
    return base64.b64encode(hmac.digest(pepper, content, "sha384"))


def _pepper_id(pepper: bytes) -> str:
    return derive(pepper, "pepper id", length=4).hex()
