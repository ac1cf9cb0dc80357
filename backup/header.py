"""The two documents that say what a backup object is. Specified in docs/backup-format.md.

The *header* travels inside the object, as the first frame of the zstd stream (a skippable frame, which `zstd -d` steps
over). The *descriptor* is an object of its own beside it: the header again, size and SHA-256 of the object, and the
manifest, encrypted like the object; an HMAC under a key that only holders of the backup identity can derive binds all
of it together, because age itself authenticates no context and no sender.
"""

import base64
import hmac
import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from ..config.errors import RefusedError, VerificationError
from ..platform.keys.derive import derive
from . import age
from .manifest import Manifest

FORMAT = 1
SKIPPABLE_MAGIC = b"\x50\x2a\x4d\x18"  # RFC 8878, section 3.1.2
HEADER_LIMIT = 4096


@dataclass(frozen=True, slots=True)
class Header:
    """Whose backup this is, and what is needed to read it."""

    kind: str  # tenant or control
    backup_id: str
    tenant_id: str | None
    schema_revision: str | None
    server_version: int  # as in server_version_num; pg_restore must not be older
    created_at: str  # RFC 3339
    format: int = FORMAT

    def frame(self) -> bytes:
        """Return the header as a skippable zstd frame."""
        content = _canonical(asdict(self))
        return SKIPPABLE_MAGIC + len(content).to_bytes(4, "little") + content


@dataclass(frozen=True, slots=True)
class ReceiptCopy:
    """One sealed receipt object that belongs to a backup."""

    object: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Descriptor:
    """Everything about a backup that its object alone does not tell."""

    header: Header
    object: str
    size: int  # bytes
    sha256: str
    manifest: Manifest
    receipts: tuple[ReceiptCopy, ...] = ()
    lost: tuple[ReceiptCopy, ...] = ()  # named by a row, and gone or damaged where they were to be copied from

    def encode(self, recipient: str, identity: str) -> bytes:
        """Return the document: JSON, the manifest and the list of receipts encrypted to `recipient`."""
        inner: dict[str, Any] = {"manifest": self.manifest.to_json(), "receipts": _pairs(self.receipts)}
        if self.lost:
            inner["lost"] = _pairs(self.lost)
        document = {
            "header": asdict(self.header),
            "object": self.object,
            "bytes": self.size,
            "sha256": self.sha256,
            "sealed": base64.b64encode(age.encrypt_bytes(_canonical(inner), recipient)).decode(),
        }
        return json.dumps(document | {"mac": _mac(document, identity)}, indent=1, sort_keys=True).encode() + b"\n"

    @classmethod
    def decode(cls, content: bytes, identity: str) -> "Descriptor":
        """Check and open a descriptor.

        Raises `VerificationError` if it was changed or made under another key, `RefusedError` if its format is newer.
        """
        document = _parse(content)
        mac = document.pop("mac", "")
        if not isinstance(mac, str) or not hmac.compare_digest(
            mac.encode(errors="replace"), _mac(document, identity).encode()
        ):
            raise VerificationError("The descriptor of the backup is damaged or belongs to another workspace.")
        header = _header(document["header"])
        inner = json.loads(age.decrypt_bytes(base64.b64decode(document["sealed"]), identity))
        receipts, lost = (tuple(ReceiptCopy(*pair) for pair in inner.get(key, ())) for key in ("receipts", "lost"))
        manifest = Manifest.from_json(inner["manifest"])
        return cls(header, document["object"], document["bytes"], document["sha256"], manifest, receipts, lost)


def read_frame(start: bytes) -> tuple[Header, int] | None:
    """Return the header at the start of a zstd stream and the frame's length, or None while `start` is too short.

    Raises `VerificationError` if the stream does not start with a header, `RefusedError` if its format is newer.
    """
    if len(start) < 8:
        return None
    length = int.from_bytes(start[4:8], "little")
    if start[:4] != SKIPPABLE_MAGIC or length > HEADER_LIMIT:
        raise VerificationError("The backup object does not start with a header of ours.")
    return (_header(_parse(start[8 : 8 + length])), 8 + length) if len(start) >= 8 + length else None


def timestamp(moment: datetime) -> str:
    """Return `moment` as the formats here write it."""
    return moment.isoformat(timespec="seconds")


def _pairs(receipts: tuple[ReceiptCopy, ...]) -> list[list[str]]:
    return [[receipt.object, receipt.sha256] for receipt in receipts]


def _header(values: dict[str, Any]) -> Header:
    if values.get("format") != FORMAT:
        raise RefusedError(f"The backup has format {values.get('format')}; this version reads format {FORMAT}.")
    try:
        return Header(**values)
    except TypeError as error:
        raise VerificationError("The header of the backup is damaged.") from error


def _parse(content: bytes) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:  # the latter for what is nested without end
        raise VerificationError("The header or descriptor of the backup is damaged.") from error
    if not isinstance(document, dict):
        raise VerificationError("The header or descriptor of the backup is damaged.")
    return document  # pyright: ignore[reportUnknownVariableType]  # JSON


def _mac(document: dict[str, Any], identity: str) -> str:
    return hmac.digest(derive(identity.encode(), "backup descriptor"), _canonical(document), "sha256").hex()


def _canonical(values: dict[str, Any]) -> bytes:
    return json.dumps(values, sort_keys=True, separators=(",", ":")).encode()
