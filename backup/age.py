"""Encryption of backups: the age format (age-encryption.org/v1), streaming, with errors in our own words.

Whoever makes a backup needs only the recipient (public key). The reader of a stream gets plaintext before the end of
the stream is authenticated: what it was written to counts only once `decrypt` has returned.
"""

import io
from typing import BinaryIO, Protocol, cast

import pyrage

from ..config.errors import FailedError, StrongroomError, VerificationError


class Reader(Protocol):
    """Gives the next bytes, none at the end."""

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes."""
        ...


class Writer(Protocol):
    """Takes bytes."""

    def write(self, data: bytes, /) -> int:
        """Take all of `data`; return its length."""
        ...


def encrypt(source: Reader, target: Writer, recipient: str) -> None:
    """Encrypt everything that `source` gives. When `source` raises, the stream has no valid end.

    Raises what `source` or `target` raised if it is one of ours, else `FailedError`.
    """
    reader, writer = _Remembering(source), _RememberingWriter(target)
    try:
        recipients = [pyrage.x25519.Recipient.from_str(recipient)]
        pyrage.encrypt_io(cast("BinaryIO", reader), cast("BinaryIO", writer), recipients)
    except Exception as error:
        raise _ours(reader.error or writer.error) or FailedError(
            f"The backup cannot be encrypted: {_first_line(error)}."
        ) from error


def decrypt(source: Reader, target: Writer, identity: str) -> None:
    """Decrypt everything that `source` gives; on return the whole stream was authentic.

    Raises `VerificationError` for a damaged, truncated or foreign stream, or what `source` or `target` raised.
    """
    reader, writer = _Remembering(source), _RememberingWriter(target)
    try:
        identities = [pyrage.x25519.Identity.from_str(identity)]
        pyrage.decrypt_io(cast("BinaryIO", reader), cast("BinaryIO", writer), identities)
    except Exception as error:
        raise _ours(reader.error or writer.error) or VerificationError(
            f"The backup object cannot be decrypted with this key: {_first_line(error)}."
        ) from error


def encrypt_bytes(content: bytes, recipient: str) -> bytes:
    """Encrypt a small piece in memory."""
    target = io.BytesIO()
    encrypt(io.BytesIO(content), target, recipient)
    return target.getvalue()


def decrypt_bytes(content: bytes, identity: str) -> bytes:
    """Undo `encrypt_bytes`. Raises `VerificationError`."""
    target = io.BytesIO()
    decrypt(io.BytesIO(content), target, identity)
    return target.getvalue()


class _Remembering:
    """Keeps the exception of a reader: the library below turns it into a text."""

    def __init__(self, source: Reader) -> None:
        self._source = source
        self.error: Exception | None = None

    def read(self, size: int = -1, /) -> bytes:
        try:
            return self._source.read(size)
        except Exception as error:
            self.error = error
            raise


class _RememberingWriter:
    def __init__(self, target: Writer) -> None:
        self._target = target
        self.error: Exception | None = None

    def write(self, data: bytes, /) -> int:
        try:
            return self._target.write(data)
        except Exception as error:
            self.error = error
            raise

    def flush(self) -> None:
        """Nothing to do: the target decides when it flushes."""


def _first_line(error: Exception) -> str:
    """The library's advice after it (“Have you tried …?”) is not about us."""
    return (str(error).splitlines() or ["no reason given"])[0].rstrip(".")


def _ours(error: Exception | None) -> StrongroomError | None:
    if isinstance(error, StrongroomError):
        return error
    return FailedError(f"A backup stream broke: {error}.") if error is not None else None
