"""Codes of an authenticator app (RFC 6238: 30 seconds, six digits, SHA-1, as all apps have it). Pure but for dice."""

import hmac
from datetime import datetime

import pyotp
import segno
from pyotp.totp import TOTP

STEP = 30  # seconds
DRIFT = 1  # steps that a clock may be off, either way
_SECRET_CHARACTERS = 32  # base 32: 160 bits, as RFC 4226 recommends


def new_secret() -> str:
    """A fresh secret in base 32."""
    return pyotp.random_base32(_SECRET_CHARACTERS)


def matching_counter(secret: str, typed: str, now: datetime, after: int | None) -> int | None:
    """The newest time step in the window whose code is `typed`, and later than `after`; None where there is none."""
    code = "".join(typed.split())
    if len(code) != 6 or not (code.isascii() and code.isdigit()):
        return None
    totp, present = TOTP(secret), int(now.timestamp()) // STEP
    window = range(present - DRIFT, present + DRIFT + 1)
    found = [counter for counter in window if hmac.compare_digest(totp.generate_otp(counter), code)]
    return max((counter for counter in found if after is None or counter > after), default=None)


def address(secret: str, email: str, workspace: str) -> str:
    """The `otpauth://` address that an app reads from the QR code."""
    return TOTP(secret).provisioning_uri(name=email, issuer_name=f"Strongroom {workspace}".replace(":", " "))


def picture(uri: str) -> str:
    """`uri` as a QR code, an SVG element for the page: nobody else is asked to draw it."""
    code = segno.make(uri, error="m", micro=False)
    return code.svg_inline(border=3, dark="#000", light="#fff", svgclass="qr", lineclass=None, omitsize=True)


def grouped(secret: str) -> str:
    """The secret in groups of four, for whoever types it."""
    return " ".join(secret[at : at + 4] for at in range(0, len(secret), 4))
