"""One piece of the log as an object: a frame that says what it is, then the piece, compressed and encrypted.

age binds neither a name nor a sender. So the frame (the first of the zstd stream, a skippable one) names server, system
and piece with the hash of its content, under a code that only holders of the day's key can make.
"""

import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Any

import zstandard

from ...config.errors import VerificationError
from ...platform.keys.derive import derive
from ...platform.keys.records import ArchiveKeys
from .. import age
from ..header import SKIPPABLE_MAGIC
from ..pipeline import COMPRESSION_LEVEL

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose log a piece belongs to."""

    server: str
    system_id: str


def seal(origin: Origin, name: str, content: bytes, keys: ArchiveKeys) -> bytes:
    """Return the object that holds a piece. A piece is 16 MB as PostgreSQL comes: it is worked on in memory."""
    frame = _frame(origin, name, content, keys.identity)
    head = SKIPPABLE_MAGIC + len(frame).to_bytes(4, "little") + frame
    return age.encrypt_bytes(head + zstandard.compress(content, COMPRESSION_LEVEL), keys.recipient)


def unseal(origin: Origin, name: str, sealed: bytes, keys: ArchiveKeys) -> bytes:
    """Undo `seal`. Raises `VerificationError` unless it is this very piece, whole and authentic."""
    plain = age.decrypt_bytes(sealed, keys.identity)
    length = int.from_bytes(plain[4:8], "little")
    frame, compressed = plain[8 : 8 + length], plain[8 + length :]
    try:
        content = zstandard.ZstdDecompressor().decompress(compressed)
    except zstandard.ZstdError as error:
        raise VerificationError(f"The piece {name} of the log cannot be decompressed: {error}.") from error
    if plain[:4] != SKIPPABLE_MAGIC or not hmac.compare_digest(frame, _frame(origin, name, content, keys.identity)):
        raise VerificationError(f"The object that should hold the piece {name} of the log holds something else.")
    return content


def mac(document: dict[str, Any], identity: str) -> str:
    """Return the code that proves that a document of the archive is ours."""
    return hmac.digest(derive(identity.encode(), "log archive"), _canonical(document), "sha256").hex()


def _frame(origin: Origin, name: str, content: bytes, identity: str) -> bytes:
    document = {
        "format": FORMAT,
        "kind": "wal",
        "server": origin.server,
        "system_id": origin.system_id,
        "name": name,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    return _canonical(document | {"mac": mac(document, identity)})


def _canonical(document: dict[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
