"""How an object of the key store looks on disk: a JSON document whose payload the master key wraps.

Format 1: `{"format": 1, "kind": …, "id": …, "version": …, "master": …, "nonce": …, "wrapped": …}`, bytes in base64.
`wrapped` is AES-256-GCM under a key derived from the master key; the associated data is format, kind, id and version,
so a file under another's name does not open. `master` names the master key that wrapped it.
"""

import base64
import binascii
import json
import os
from pathlib import Path
from typing import Any, cast

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ...config.errors import VerificationError
from .derive import derive

FORMAT = 1
OBJECT_VERSION = 1
MASTER_PREFIX = "strongroom-master-key-1 "


class MasterKey:
    """The one secret that wraps all others. Its text form is a single line, fit for escrow on paper."""

    def __init__(self, secret: bytes) -> None:
        """`secret` is 32 random bytes."""
        self.id = derive(secret, "master key id", length=8).hex()
        self._aead = AESGCM(derive(secret, "wrap"))

    @staticmethod
    def generate() -> str:
        """Return the text form of a new master key."""
        return MASTER_PREFIX + base64.b64encode(os.urandom(32)).decode() + "\n"

    @classmethod
    def parse(cls, text: str, source: Path) -> "MasterKey":
        """Read the text form; raises `VerificationError` naming `source`, never the content."""
        try:
            secret = base64.b64decode(text.strip().removeprefix(MASTER_PREFIX), validate=True)
        except (ValueError, binascii.Error):
            secret = b""
        if not text.startswith(MASTER_PREFIX) or len(secret) != 32:
            raise VerificationError(f"{source} is not a complete master key of this version.")
        return cls(secret)

    def wrap(self, kind: str, name: str, payload: dict[str, Any]) -> bytes:
        """Return the document that keeps `payload` under this name."""
        nonce = os.urandom(12)
        sealed = self._aead.encrypt(nonce, json.dumps(payload).encode(), _associated(kind, name))
        document = {
            "format": FORMAT,
            "kind": kind,
            "id": name,
            "version": OBJECT_VERSION,
            "master": self.id,
            "nonce": base64.b64encode(nonce).decode(),
            "wrapped": base64.b64encode(sealed).decode(),
        }
        return json.dumps(document, indent=1).encode() + b"\n"

    def unwrap(self, kind: str, name: str, content: bytes, source: Path) -> dict[str, Any]:
        """Return the payload; raises `VerificationError` unless `content` is this very object, complete and intact."""
        document = _parse(content, source)
        if (document["kind"], document["id"]) != (kind, name):
            raise VerificationError(f"{source} holds the keys of another object; put the right file in its place.")
        if document["master"] != self.id:
            raise VerificationError(
                f"{source} was wrapped by another master key ({document['master']}, not {self.id}); "
                "put the right master key in its place."
            )
        try:
            nonce, sealed = (base64.b64decode(document[part], validate=True) for part in ("nonce", "wrapped"))
            payload = self._aead.decrypt(nonce, sealed, _associated(kind, name))
        except (InvalidTag, ValueError) as error:
            raise VerificationError(
                f"{source} has been changed or damaged; restore it from its second copy."
            ) from error
        return cast("dict[str, Any]", json.loads(payload))


def _parse(content: bytes, source: Path) -> dict[str, str]:
    try:
        document = json.loads(content)
        version = document["format"], document["version"]
        texts = {part: str(document[part]) for part in ("kind", "id", "master", "nonce", "wrapped")}
    except (ValueError, KeyError, TypeError) as error:
        raise VerificationError(f"{source} is truncated or damaged; restore it from its second copy.") from error
    if version != (FORMAT, OBJECT_VERSION):
        raise VerificationError(f"{source} is of a format that this version does not know.")
    return texts


def _associated(kind: str, name: str) -> bytes:
    return json.dumps(["strongroom key object", FORMAT, kind, name, OBJECT_VERSION]).encode()
