"""Receipts: sealed whole, found by content address, useless for any other receipt, part or workspace."""

import hashlib
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from obstore.store import MemoryStore

from strongroom.config.errors import CallError, FailedError, NotFoundError, VerificationError
from strongroom.config.settings import Settings
from strongroom.platform.keys import TenantKeys
from strongroom.platform.keys.blobs import Blobs, LocalBlobs, RemoteBlobs
from strongroom.platform.keys.receipts import LARGEST, ReceiptVault

KEYS = TenantKeys.generate("abcdefghijklmnop")
ID = UUID("01890000-0000-7000-8000-000000000001")
PICTURE = b"\xff\xd8\xff a canary picture"


@pytest.fixture
def vault(settings: Settings) -> ReceiptVault:
    return ReceiptVault(settings, KEYS)


@pytest.fixture(params=["local", "remote"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    return LocalBlobs(tmp_path / "receipts") if request.param == "local" else RemoteBlobs(MemoryStore())


@given(st.binary(min_size=1), st.uuids())
def test_what_is_stored_comes_back(content: bytes, receipt_id: UUID) -> None:
    vault = ReceiptVault(Settings(home=Path("unused")), KEYS, RemoteBlobs(MemoryStore()))
    assert vault.load(receipt_id, vault.seal_and_store(receipt_id, content).object) == content


def test_the_store_never_sees_the_picture(settings: Settings, vault: ReceiptVault) -> None:
    vault.seal_and_store(ID, PICTURE)
    files = [path for path in settings.home.rglob("*") if path.is_file()]
    assert len(files) == 1
    assert b"canary" not in files[0].read_bytes()
    assert oct(files[0].stat().st_mode & 0o777) == "0o600"


def test_an_object_lies_under_its_tenant_and_its_hash(settings: Settings, vault: ReceiptVault) -> None:
    stored = vault.seal_and_store(ID, PICTURE)
    assert stored.object == f"{KEYS.tenant_id}/{stored.sha256[:2]}/{stored.sha256}"
    assert (settings.receipts_dir / stored.object).is_file()
    assert [blob.name for blob in vault.objects()] == [stored.object]


def test_the_same_picture_is_stored_twice_but_recognised(vault: ReceiptVault) -> None:
    first, second = vault.seal_and_store(ID, PICTURE), vault.seal_and_store(uuid4(), PICTURE)
    assert first.object != second.object
    assert first.content_mac == second.content_mac == vault.content_mac(PICTURE)
    assert first.content_mac != vault.content_mac(PICTURE + b"!")


def test_another_tenant_cannot_recognise_it(settings: Settings, vault: ReceiptVault) -> None:
    other = ReceiptVault(settings, TenantKeys.generate("ponmlkjihgfedcba"))
    assert other.content_mac(PICTURE) != vault.content_mac(PICTURE)


def test_another_receipt_part_or_workspace_does_not_open_it(settings: Settings, vault: ReceiptVault) -> None:
    stored = vault.seal_and_store(ID, PICTURE)
    with pytest.raises(VerificationError):
        vault.load(uuid4(), stored.object)
    with pytest.raises(VerificationError):
        vault.load(ID, stored.object, "preview")
    neighbour = ReceiptVault(settings, replace(KEYS, tenant_id="ponmlkjihgfedcba"))
    with pytest.raises(VerificationError, match="of this workspace"):
        neighbour.load(ID, stored.object)
    with pytest.raises(VerificationError, match="of this workspace"):
        neighbour.delete(stored.object)
    moved = stored.object.replace(KEYS.tenant_id, "ponmlkjihgfedcba")
    (settings.receipts_dir / moved).parent.mkdir(parents=True)
    (settings.receipts_dir / stored.object).rename(settings.receipts_dir / moved)
    with pytest.raises(VerificationError, match="another place"):
        neighbour.load(ID, moved)


@pytest.mark.parametrize("change", ["truncated", "flipped", "empty", "swapped", "in clear"])
def test_what_was_changed_in_the_store_is_rejected(settings: Settings, vault: ReceiptVault, change: str) -> None:
    stored, other = vault.seal_and_store(ID, PICTURE), vault.seal_and_store(ID, PICTURE)
    path = settings.receipts_dir / stored.object
    sealed = path.read_bytes()
    path.write_bytes(
        {
            "truncated": sealed[:-1],
            "flipped": sealed[:50] + bytes([sealed[50] ^ 1]) + sealed[51:],
            "empty": b"",
            "swapped": (settings.receipts_dir / other.object).read_bytes(),
            "in clear": PICTURE,
        }[change]
    )
    with pytest.raises(VerificationError, match="not what was stored"):
        vault.load(ID, stored.object)


def test_a_flipped_bit_is_rejected_even_under_its_own_hash(settings: Settings, vault: ReceiptVault) -> None:
    stored = vault.seal_and_store(ID, PICTURE)
    sealed = bytearray((settings.receipts_dir / stored.object).read_bytes())
    sealed[-1] ^= 1
    sha256 = hashlib.sha256(sealed).hexdigest()
    forged = f"{KEYS.tenant_id}/{sha256[:2]}/{sha256}"
    LocalBlobs(settings.receipts_dir).put(forged, bytes(sealed))
    with pytest.raises(VerificationError, match="was changed"):
        vault.load(ID, forged)


@pytest.mark.parametrize("name", ["", "../keys/master.key", "abcdefghijklmnop/../../keys/master.key", "a/b/c"])
def test_a_name_that_is_no_object_reaches_no_file(vault: ReceiptVault, name: str) -> None:
    with pytest.raises(VerificationError, match="not the name"):
        vault.load(ID, name)


def test_a_missing_object_is_said_to_be_missing(vault: ReceiptVault) -> None:
    with pytest.raises(NotFoundError, match="missing"):
        vault.load(ID, f"{KEYS.tenant_id}/aa/{'a' * 64}")


def test_nothing_and_too_much_are_refused(vault: ReceiptVault) -> None:
    for content in (b"", bytes(LARGEST + 1)):
        with pytest.raises(CallError):
            vault.seal_and_store(ID, content)
    assert list(vault.objects()) == []
    stored = vault.seal_and_store(ID, bytes(LARGEST))
    assert len(vault.load(ID, stored.object)) == LARGEST


def test_a_store_that_takes_nothing_is_one_sentence(settings: Settings, vault: ReceiptVault) -> None:
    settings.home.mkdir()
    settings.receipts_dir.write_text("in the way")
    with pytest.raises(FailedError, match="cannot be written"):
        vault.seal_and_store(ID, PICTURE)


def test_the_collector_removes_what_no_row_names_after_the_grace_period(settings: Settings, blobs: Blobs) -> None:
    vault = ReceiptVault(settings, KEYS, blobs)
    kept, orphan = vault.seal_and_store(ID, PICTURE), vault.seal_and_store(uuid4(), PICTURE)
    neighbour = ReceiptVault(settings, TenantKeys.generate("ponmlkjihgfedcba"), blobs)
    neighbour.seal_and_store(ID, PICTURE)
    now = datetime.now(UTC)
    assert vault.remove_orphans({kept.object}, now) == []
    assert vault.remove_orphans({kept.object}, now + timedelta(hours=25)) == [orphan.object]
    assert vault.remove_orphans({kept.object}, now + timedelta(hours=25)) == []
    assert vault.load(ID, kept.object) == PICTURE
    assert len(list(neighbour.objects())) == 1


def test_both_stores_keep_the_same_contract(blobs: Blobs) -> None:
    name = f"{KEYS.tenant_id}/aa/{'a' * 64}"
    blobs.delete(name)
    with pytest.raises(NotFoundError):
        blobs.get(name)
    blobs.put(name, b"first")
    blobs.put(name, b"second")
    assert blobs.get(name) == b"first"
    assert [(blob.name, blob.size) for blob in blobs.list(KEYS.tenant_id)] == [(name, 5)]
    assert list(blobs.list("ponmlkjihgfedcba")) == []
    blobs.delete(name)
    assert list(blobs.list(KEYS.tenant_id)) == []


KEEP_STORING = """
import sys
from pathlib import Path
from uuid import UUID
from strongroom.platform.keys.blobs import LocalBlobs
blobs = LocalBlobs(Path(sys.argv[1]))
print("ready", flush=True)
for number in range(10_000):
    name = f"abcdefghijklmnop/aa/{number:064x}"
    blobs.put(name, name.encode() * 5000)
    print(name, flush=True)
"""


def test_a_killed_writer_leaves_only_whole_objects_and_collectable_rest(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path)
    writer = subprocess.Popen([sys.executable, "-c", KEEP_STORING, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "ready\n"
    time.sleep(0.1)
    writer.send_signal(signal.SIGKILL)
    promised = writer.stdout.read().split()
    writer.wait()
    writer.stdout.close()
    found = {blob.name for blob in blobs.list("abcdefghijklmnop") if "/.tmp-" not in blob.name}
    assert set(promised) <= found
    assert all(blobs.get(name) == name.encode() * 5000 for name in found)
    vault = ReceiptVault(Settings(home=tmp_path), KEYS, blobs)
    vault.remove_orphans(found, datetime.now(UTC) + timedelta(hours=25))
    assert {blob.name for blob in blobs.list("abcdefghijklmnop")} == found
