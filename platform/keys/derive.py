"""One secret, one purpose each: HKDF-SHA-256 (RFC 5869) keeps uses of a key apart."""

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32


def derive(secret: bytes, *purpose: str, length: int = KEY_BYTES) -> bytes:
    """Return `length` bytes that only this secret and exactly this sequence of words give."""
    info = b"".join(len(word.encode()).to_bytes(2) + word.encode() for word in ("strongroom", *purpose))
    return HKDF(SHA256(), length, salt=None, info=info).derive(secret)
