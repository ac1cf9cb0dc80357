"""Somebody has all that is left after an erasure, and copies of every sealed object from before: and reads nothing.

Left are: the home with keys, master key, database folder and outbox; the backup root with stores and key copies; older
backups of the control database. From before: whatever a tape or an object lock may have kept of dumps and receipts.
"""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pyrage
import pytest
import zstandard
from sqlalchemy import insert, select

from strongroom.backup import names
from strongroom.backup.erasure import erase as erasing
from strongroom.backup.erasure.erase import erase
from strongroom.backup.runs import run_many
from strongroom.backup.stores.opening import open_store
from strongroom.config.errors import RefusedError, StrongroomError
from strongroom.platform.control.platform import Platform
from strongroom.platform.keys import FieldCipher, KeyStore, ReceiptVault, TenantKeys
from strongroom.platform.keys.blobs import open_blobs
from strongroom.platform.mail import outbox
from strongroom.platform.tenants.ids import new_id
from strongroom.platform.tenants.records import Tenant
from strongroom.provisioning.postgres.embedded import EmbeddedServer
from strongroom.tenant_schema import tables as t
from strongroom.tenant_schema.ids import new_uuid7

_LOG = re.compile("[0-9A-F]{24}")  # the server's current log, wherever a piece of it waits


@dataclass(frozen=True)
class Victim:
    """An account with canaries. `sealed` are those that the application seals; the merchant is a plain column."""

    tenant: Tenant
    receipt_id: UUID
    mark: str

    @property
    def sealed(self) -> list[bytes]:
        return [f"{kind}-{self.mark}".encode() for kind in ("name", "mail", "note", "receipt", "letter")]

    @property
    def merchant(self) -> bytes:
        return f"merchant-{self.mark}".encode()

    @property
    def canaries(self) -> list[bytes]:
        return [*self.sealed, self.merchant]


@dataclass(frozen=True)
class Kept:
    """Sealed objects as they were before: by name, from the backup store and from the receipt store."""

    dumps: dict[str, bytes]
    receipts: dict[str, bytes]


@pytest.fixture
def victim(platform: Platform, tenant: Tenant) -> Victim:
    made = Victim(tenant, new_uuid7(), new_id())
    keys = platform.keys.tenant(tenant.id)
    cipher, vault = FieldCipher(keys), ReceiptVault(platform.settings, keys)
    member_id, expense_id = new_uuid7(), new_uuid7()
    name, mail, note, receipt, letter = (one.decode() for one in made.sealed)
    stored = vault.seal_and_store(made.receipt_id, b"%PDF-1.7 " + receipt.encode())
    with platform.registry.connect(tenant) as conn, conn.begin():
        conn.execute(
            insert(t.member).values(
                id=member_id,
                email=cipher.seal(t.member.c.email, member_id, f"{mail}@example.com"),
                email_index=cipher.blind(t.member.c.email_index, f"{mail}@example.com"),
                name=cipher.seal(t.member.c.name, member_id, name),
                role="member",
            )
        )
        conn.execute(
            insert(t.expense).values(
                id=expense_id,
                member_id=member_id,
                category_id=conn.scalar(select(t.category.c.id).limit(1)),
                spent_on=date(2026, 1, 31),
                merchant=made.merchant.decode(),
                amount=Decimal("12.50"),
                currency="GBP",
                digits=2,
                base_amount=Decimal("12.50"),
                base_currency="GBP",
                note=cipher.seal(t.expense.c.note, expense_id, note),
            )
        )
        conn.execute(
            insert(t.receipt).values(
                id=made.receipt_id,
                uploaded_by=member_id,
                file_name=cipher.seal(t.receipt.c.file_name, made.receipt_id, f"{name}.pdf"),
                media_type="application/pdf",
                size=40,
                object=stored.object,
                sha256=stored.sha256,
                content_mac=stored.content_mac,
            )
        )
        outbox.queue(conn, cipher, f"{mail}@example.com", "Hello", f"Dear {name}, {letter}")
        outbox.deliver(conn, cipher, platform.settings)
    for outcome in run_many(platform, [tenant.id, None], force=True):
        assert outcome.error is None
    return made


@pytest.fixture
def kept(platform: Platform, victim: Victim) -> Kept:
    store, blobs = open_store(platform.settings), open_blobs(platform.settings)
    dumps = {found.name: _read(store, found.name) for found in store.list(names.folder(victim.tenant.id))}
    return Kept(dumps, {found.name: blobs.get(found.name) for found in blobs.list(victim.tenant.id)})


def findings(platform: Platform, victim: Victim, kept: Kept) -> set[str]:
    """Try everything; return what was read, and where."""
    return {
        *_in_files(platform, victim),
        *_in_dumps(platform, victim, kept.dumps),
        *_in_older_control_backups(platform, victim),
        *_in_receipts(platform, victim, kept.receipts),
    }


def test_nothing_that_is_left_shows_anything_of_an_erased_account(
    platform: Platform, embedded_server: EmbeddedServer, victim: Victim, kept: Kept
) -> None:
    with embedded_server.connect_admin() as admin:
        admin.execute("CHECKPOINT")  # the rows lie in the data files by now, not only in memory
    before = findings(platform, victim, kept)  # the attack works as long as the account is there
    assert {"a kept dump: note", "a kept dump: merchant", "a kept receipt", "a letter", "a data file"} <= before
    certificate = erase(platform, victim.tenant.slug, "olga")
    with embedded_server.connect_admin() as admin:
        admin.execute("CHECKPOINT")
    assert findings(platform, victim, kept) == set()
    with pytest.raises(RefusedError, match="was erased"):
        platform.keys.create_tenant(victim.tenant.id)
    said = " ".join(one["sentence"] for one in certificate.document["remains"])
    assert "current log files" in said, "the log of the server is the one place that is not promised to be clean"


def test_without_the_destruction_of_keys_the_kept_copies_would_be_read(
    platform: Platform, victim: Victim, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_out = ("tombstone", "keys")  # a tombstone alone would have them destroyed at the next start
    steps = tuple((*one[:2], lambda _work: None) if one[0] in left_out else one for one in erasing.STEPS)
    monkeypatch.setattr(erasing, "STEPS", steps)

    erase(platform, victim.tenant.slug, "olga")
    assert {"a kept dump: note", "a kept dump: merchant", "a kept receipt"} <= findings(platform, victim, kept)


def test_a_key_that_does_not_go_keeps_the_erasure_from_ending(
    platform: Platform, victim: Victim, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KeyStore, "destroy_tenant", lambda *_: None)
    with pytest.raises(StrongroomError, match="still there after it was destroyed"):
        erase(platform, victim.tenant.slug, "olga")
    monkeypatch.undo()
    assert erase(platform, victim.tenant.slug, "olga").account["id"] == victim.tenant.id


def _in_files(platform: Platform, victim: Victim) -> Iterator[str]:
    """Look for canaries in the bytes of every file; in the server's own log for those that are sealed."""
    for root in (platform.settings.home, platform.settings.backup_root):
        for path in root.resolve().rglob("*"):
            content = _bytes_of(path)
            wanted = victim.sealed if _LOG.fullmatch(path.name) else victim.canaries
            if any(canary in content for canary in wanted):
                yield "a letter" if path.suffix == ".eml" else "a data file" if "base" in path.parts else str(path)


def _in_dumps(platform: Platform, victim: Victim, dumps: dict[str, bytes]) -> Iterator[str]:
    """Try every identity that any key object holds on every object."""
    for content in dumps.values():
        for identity in _identities(platform):
            plain = _opened(content, identity)
            if victim.merchant in plain:
                yield "a kept dump: merchant"
            for keys in _data_keys(platform, victim.tenant.id):
                yield from _sealed_values(plain, keys, victim)


def _in_older_control_backups(platform: Platform, victim: Victim) -> Iterator[str]:
    store = open_store(platform.settings)
    for found in list(store.list(names.folder(None))):
        for identity in _identities(platform):
            plain = _opened(_read(store, found.name), identity)
            if any(canary in plain for canary in victim.canaries):
                yield "an older control backup"


def _in_receipts(platform: Platform, victim: Victim, receipts: dict[str, bytes]) -> Iterator[str]:
    for name, content in receipts.items():
        for keys in _data_keys(platform, victim.tenant.id):
            vault = ReceiptVault(platform.settings, keys, _Held({name: content}))  # pyright: ignore[reportArgumentType]
            try:
                vault.load(victim.receipt_id, name)
                yield "a kept receipt"
            except StrongroomError:
                continue


class _Held:
    """A receipt store with what was set aside."""

    def __init__(self, objects: dict[str, bytes]) -> None:
        self.get = objects.__getitem__


def _sealed_values(plain: bytes, keys: TenantKeys, victim: Victim) -> Iterator[str]:
    """Open every sealed note that a dump's text shows: a line has the row's id first and the note in hexadecimal."""
    cipher = FieldCipher(keys)
    for line in plain.split(b"\n"):
        cells = line.split(b"\t")
        if victim.merchant in line:
            for cell in cells:
                if cell.startswith(b"\\\\x"):
                    try:
                        cipher.open(t.expense.c.note, UUID(cells[0][-36:].decode()), bytes.fromhex(cell[3:].decode()))
                        yield "a kept dump: note"
                    except StrongroomError:
                        continue


def _identities(platform: Platform) -> list[str]:
    keys = _reopened(platform)
    tenants = [keys.tenant(one).backup_identity for one in keys.tenant_ids()]
    return [keys.platform().backup_identity, *tenants]


def _data_keys(platform: Platform, tenant_id: str) -> list[TenantKeys]:
    """Every data key that is left, used as if it were the account's own."""
    keys = _reopened(platform)
    return [replace(keys.tenant(one), tenant_id=tenant_id) for one in keys.tenant_ids()]


def _reopened(platform: Platform) -> KeyStore:
    """The key store after its second copies have been brought back: whatever any of the two still has."""
    keys = KeyStore.open(platform.settings)
    keys.recover()
    return keys


def _opened(content: bytes, identity: str) -> bytes:
    try:
        packed = pyrage.decrypt(content, [pyrage.x25519.Identity.from_str(identity)])
    except pyrage.DecryptError:
        return b""
    if not packed.startswith((b"\x50\x2a\x4d\x18", b"\x28\xb5\x2f\xfd")):
        return packed
    reader = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(packed), read_across_frames=True)
    return reader.read()


def _read(store: object, name: str) -> bytes:
    with store.open(name) as file:  # pyright: ignore[reportAttributeAccessIssue]
        return file.read()


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes() if path.is_file() else b""
    except OSError:  # removed meanwhile by a server at work
        return b""
