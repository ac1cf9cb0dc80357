"""Storing a receipt and giving it out again. The sealed bytes are durable before the row names them."""

from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection

from ....config.errors import NotFoundError
from ....tenant_schema.ids import new_uuid7
from ....tenant_schema.queries import audit, receipts
from ....tenant_schema.queries.receipts import Receipt
from ....tenant_schema.tables import receipt as table
from ...cards.masking import mask
from ...keys.fields import FieldCipher
from ...keys.receipts import ReceiptVault
from ...web.member import CurrentMember
from ..expenses.reach import viewer
from . import files, workshop

NAME_LENGTH: Final = 150
SUFFIXES: Final = {files.JPEG: ".jpg", files.PNG: ".png", files.WEBP: ".webp", files.PDF: ".pdf"}


@dataclass(frozen=True, slots=True)
class Stored:
    """A receipt that was stored. `same_as` is another receipt of the member's with the very same content."""

    id: UUID
    same_as: UUID | None
    used_by: UUID | None  # an expense that the same content proves already


@dataclass(frozen=True, slots=True)
class Shown:
    """A receipt as pages show it, its name in clear text."""

    id: UUID
    name: str
    media_type: str
    size: int
    width: int | None
    height: int | None

    @property
    def is_pdf(self) -> bool:
        """Whether only a preview can be shown, and the file itself is offered for download."""
        return self.media_type == files.PDF


def store(
    conn: Connection, cipher: FieldCipher, vault: ReceiptVault, member: CurrentMember, file_name: str, content: bytes
) -> Stored:
    """Check, clean, seal and store an upload. Raises `CallError` for what is no receipt."""
    receipt_id = new_uuid7()
    row = sealed_row(cipher, vault, receipt_id, member.id, file_name, content)
    same = [found for found in receipts.same_content(conn, row["content_mac"]) if found[1] == member.id]
    receipts.add(conn, row)
    audit.record(conn, member.id, "receipt.uploaded", "receipt", receipt_id, {"media_type": row["media_type"]})
    return Stored(receipt_id, same[0][0] if same else None, next((found[2] for found in same if found[2]), None))


def sealed_row(
    cipher: FieldCipher, vault: ReceiptVault, receipt_id: UUID, uploaded_by: UUID, file_name: str, content: bytes
) -> dict[str, Any]:
    """Clean `content`, store it and its preview durably, and return the row that names them; inserts nothing.

    `content_mac` is of the bytes as they were uploaded, so that the same file is known again whatever cleaning does.
    """
    cleaned = workshop.clean(content)
    original = vault.seal_and_store(receipt_id, cleaned.content)
    preview = vault.seal_and_store(receipt_id, cleaned.preview, "preview")
    return {
        "id": receipt_id,
        "uploaded_by": uploaded_by,
        "file_name": cipher.seal(table.c.file_name, receipt_id, clean_name(file_name, cleaned.media_type)),
        "media_type": cleaned.media_type,
        "size": len(cleaned.content),
        "object": original.object,
        "sha256": original.sha256,
        "content_mac": vault.content_mac(content),
        "preview_object": preview.object,
        "preview_sha256": preview.sha256,
        "width": cleaned.width,
        "height": cleaned.height,
    }


def clean_name(file_name: str, media_type: str) -> str:
    """A file name without folders and control characters, with the suffix that its content has."""
    last = file_name.replace("\\", "/").rsplit("/", 1)[-1]
    printable = "".join(char for char in last if char.isprintable() and char not in '<>:"|?*')
    stem = PurePath(printable).stem.strip(" .") or "receipt"
    return mask(stem)[:NAME_LENGTH] + SUFFIXES[media_type]


def find(conn: Connection, member: CurrentMember, receipt_id: UUID) -> Receipt:
    """The receipt, if `member` may see it. Raises `NotFoundError` otherwise, as for one that does not exist."""
    found = receipts.visible(conn, receipt_id, viewer(member))
    if found is None:
        raise NotFoundError("There is no such receipt here.")
    return found


def shown(cipher: FieldCipher, one: Receipt) -> Shown:
    """The receipt with its name opened."""
    name = cipher.open(table.c.file_name, one.id, one.file_name)
    return Shown(one.id, name, one.media_type, one.size, one.width, one.height)


def original(vault: ReceiptVault, one: Receipt) -> bytes:
    """The cleaned file as it was stored."""
    return vault.load(one.id, one.object)


def preview(vault: ReceiptVault, one: Receipt) -> bytes:
    """A JPEG to look at."""
    if one.preview_object is None:
        raise NotFoundError("This receipt has no preview.")
    return vault.load(one.id, one.preview_object, "preview")


def thumbnail(vault: ReceiptVault, one: Receipt) -> bytes:
    """A small JPEG for a list."""
    return files.thumbnail(preview(vault, one))


def discard(conn: Connection, member: CurrentMember, receipt_id: UUID) -> None:
    """Delete one's own receipt that proves no expense."""
    if not receipts.remove_loose(conn, receipt_id, member.id):
        raise NotFoundError("There is no such receipt of yours that could be deleted.")
    audit.record(conn, member.id, "receipt.deleted", "receipt", receipt_id)
