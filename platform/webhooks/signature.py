"""Signing and verifying messages: Standard Webhooks 1.0, symmetric keys (`v1`, HMAC-SHA-256). Pure.

The public library signs. It does not verify here: it takes no clock, and fails with errors of its own at a signature
that is no base64 or has no comma, which would be an error of ours instead of a refusal.
"""

import base64
import binascii
import hmac
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from standardwebhooks import Webhook

from ...config.errors import CallError, ForbiddenError

TOLERANCE: Final = timedelta(minutes=5)  # the specification's, to both sides
ROTATION: Final = timedelta(hours=24)  # so long the previous key counts beside the new one
_PREFIX: Final = "whsec_"
_KEY_BYTES: Final = (24, 64)  # the specification's bounds
_LONGEST_ID: Final = 255
_MOST_SIGNATURES: Final = 10
_SECONDS: Final = re.compile(r"[0-9]{1,12}", re.ASCII)
_ID: Final = re.compile(rf"[!-~]{{1,{_LONGEST_ID}}}", re.ASCII)


class SignatureError(ForbiddenError):
    """Raised when a message does not prove who sent it, or when."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What the signature covers beside the body: the message's id, and when it was sent."""

    id: str
    sent_at: datetime


def new_secret() -> str:
    """A key of 256 bits, as both sides write it down."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def check_secret(text: str) -> str:
    """A key as a person or a file gives it. Raises `CallError` that does not repeat it."""
    try:
        key = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not text.startswith(_PREFIX) or not _KEY_BYTES[0] <= len(key) <= _KEY_BYTES[1]:
        raise CallError("A webhook key is “whsec_” and the base64 of 24 to 64 bytes.", "secret")
    return text


def sign(keys: Iterable[str], message_id: str, at: datetime, body: str) -> dict[str, str]:
    """The headers that prove a message, with one signature for each of `keys`."""
    signatures = [Webhook(key).sign(message_id, at.astimezone(UTC), body) for key in keys]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def verify(keys: Iterable[str], headers: Mapping[str, str], body: bytes, now: datetime) -> Proof:
    """Return what a message proves. Raises `SignatureError` that names no more than the kind of fault.

    All keys and signatures are compared, each in constant time; a timestamp of exactly five minutes ago still counts.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    message_id, stamp, given = (lower.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature"))
    if not _ID.fullmatch(message_id) or not _SECONDS.fullmatch(stamp) or not given:
        raise SignatureError("The headers webhook-id, webhook-timestamp and webhook-signature are needed.")
    sent_at = _time(stamp)
    if abs(now.replace(microsecond=0) - sent_at) > TOLERANCE:
        raise SignatureError("The webhook-timestamp is more than five minutes off.")
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise SignatureError("The body is not UTF-8.") from error
    expected = [_digest(Webhook(key).sign(message_id, sent_at, text)) for key in keys]
    if not _any_equal(expected, _signatures(given)):
        raise SignatureError("No signature fits.")
    return Proof(message_id, sent_at)


def _time(stamp: str) -> datetime:
    try:
        return datetime.fromtimestamp(int(stamp), UTC)
    except (OverflowError, ValueError, OSError) as error:
        raise SignatureError("The webhook-timestamp is no time.") from error


def _signatures(given: str) -> list[bytes]:
    parts = given.split(" ")[:_MOST_SIGNATURES]
    return [digest for part in parts if part.startswith("v1,") and (digest := _digest(part))]


def _digest(versioned: str) -> bytes:
    """The bytes of `v1,<base64>`; none for what is no strict base64."""
    try:
        return base64.b64decode(versioned.partition(",")[2], validate=True)
    except (binascii.Error, ValueError):
        return b""


def _any_equal(expected: list[bytes], given: list[bytes]) -> bool:
    found = [hmac.compare_digest(one, other) for one in expected for other in given]  # all: no early end to be timed
    return any(found)
