"""Recovery codes: what they look like, how they are read, and what is stored of them. Pure but for the dice."""

import hashlib
import secrets
from uuid import UUID

HOW_MANY = 10
FEW = 3  # so many or fewer left, and the member is told to make new ones
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: 5 bits each, no I, L, O, U
_LENGTH, _GROUP = 24, 4  # 120 bits
_MISREAD = str.maketrans({"O": "0", "I": "1", "L": "1", "-": None, " ": None, "‐": None, "–": None})


def new_codes() -> list[str]:
    """Ten fresh codes of 120 random bits, as `7K2M-QX4D-…`."""
    return [_spelled("".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))) for _ in range(HOW_MANY)]


def read_code(typed: str) -> str | None:
    """The 24 characters of a code as somebody typed it, in whatever case and grouping; None if it is no code."""
    plain = "".join(typed.split()).upper().translate(_MISREAD)
    return plain if len(plain) == _LENGTH and set(plain) <= set(_ALPHABET) else None


def hash_of(member_id: UUID, plain: str) -> bytes:
    """What the database knows of a code: SHA-256 will do from 112 random bits on (NIST SP 800-63B-4, 3.1.2.2)."""
    return hashlib.sha256(b"recovery code\0" + member_id.bytes + plain.encode()).digest()


def as_file(codes: list[str], workspace: str, email: str) -> str:
    """The text file that a member keeps."""
    head = f"Recovery codes for {email} in {workspace}"
    return "\r\n".join([head, "Each works once. Keep them where only you can read them.", "", *codes, ""])


def _spelled(plain: str) -> str:
    return "-".join(plain[at : at + _GROUP] for at in range(0, _LENGTH, _GROUP))
