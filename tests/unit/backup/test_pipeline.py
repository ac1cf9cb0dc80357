import hashlib
import io
import os
from dataclasses import replace
from pathlib import Path

import pyrage
import pytest
import zstandard

from strongroom.backup import age
from strongroom.backup.header import SKIPPABLE_MAGIC, Descriptor, Header, ReceiptCopy
from strongroom.backup.manifest import Manifest, TableSum, differences
from strongroom.backup.pipeline import Written, read_object, write_object
from strongroom.backup.stores.local import LocalStore
from strongroom.config.errors import FailedError, RefusedError, VerificationError

HEADER = Header("tenant", "20260101-000000-aaaaaaaa", "a" * 16, "0001", 180000, "2026-01-01T00:00:00+00:00")
CONTENT = b"PGDMP" + os.urandom(300_000) + b"rows " * 100_000
MANIFEST = Manifest({"app.expense": TableSum(3, "-17")}, {"app.s": 4}, "00ff")


class Key:
    def __init__(self) -> None:
        identity = pyrage.x25519.Identity.generate()
        self.identity, self.recipient = str(identity), str(identity.to_public())


@pytest.fixture
def key() -> Key:
    return Key()


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


@pytest.fixture
def written(store: LocalStore, key: Key) -> Written:
    return write_object(store, "x.age", HEADER, io.BytesIO(CONTENT), key.recipient)


def read(store: LocalStore, written: Written, key: Key, header: Header = HEADER) -> bytes:
    target = io.BytesIO()
    read_object(store, "x.age", written, header, key.identity, target)
    return target.getvalue()


def test_what_went_in_comes_out(store: LocalStore, written: Written, key: Key) -> None:
    assert read(store, written, key) == CONTENT


def test_size_and_hash_are_those_of_the_file(store: LocalStore, written: Written) -> None:
    content = (store.root / "x.age").read_bytes()
    assert written == Written(len(content), hashlib.sha256(content).hexdigest())


def test_the_dump_is_not_readable_in_the_store(store: LocalStore, written: Written) -> None:
    content = (store.root / "x.age").read_bytes()
    assert b"rows rows" not in content
    assert HEADER.backup_id.encode() not in content


def test_public_tools_alone_open_an_object(store: LocalStore, written: Written, key: Key) -> None:
    plain = age.decrypt_bytes((store.root / "x.age").read_bytes(), key.identity)
    assert plain.startswith(SKIPPABLE_MAGIC)
    reader = zstandard.ZstdDecompressor().stream_reader(plain, read_across_frames=True)
    assert reader.read() == CONTENT


class FailingDump:
    """A program that writes half of its output and fails."""

    def __init__(self) -> None:
        self._half = io.BytesIO(CONTENT[:200_000])

    def read(self, size: int = -1, /) -> bytes:
        data = self._half.read(size)
        if not data:
            raise FailedError("pg_dump failed: killed")
        return data


def test_a_dump_that_fails_leaves_no_object(store: LocalStore, key: Key) -> None:
    with pytest.raises(FailedError, match="killed"):
        write_object(store, "y.age", HEADER, FailingDump(), key.recipient)
    assert list(store.list()) == []
    assert list(store.abandoned()) == []


@pytest.mark.parametrize("position", [10, 250, 5_000, -1])
def test_a_flipped_bit_is_found(store: LocalStore, written: Written, key: Key, position: int) -> None:
    path = store.root / "x.age"
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    with pytest.raises(VerificationError):
        read(store, written, key)


@pytest.mark.parametrize("kept", [0, 100, 65_536, -1])
def test_a_truncated_object_is_found(store: LocalStore, written: Written, key: Key, kept: int) -> None:
    path = store.root / "x.age"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(VerificationError):
        read(store, written, key)


def test_something_appended_is_found(store: LocalStore, written: Written, key: Key) -> None:
    with (store.root / "x.age").open("ab") as file:
        file.write(b"x")
    with pytest.raises(VerificationError):
        read(store, written, key)


def test_the_key_of_another_tenant_opens_nothing(store: LocalStore, written: Written) -> None:
    with pytest.raises(VerificationError):
        read(store, written, Key())


def test_another_backup_of_the_same_tenant_is_found_before_its_content_is_used(
    store: LocalStore, written: Written, key: Key
) -> None:
    target = io.BytesIO()
    other = replace(HEADER, backup_id="20260101-060000-bbbbbbbb")
    with pytest.raises(VerificationError, match="another backup"):
        read_object(store, "x.age", written, other, key.identity, target)
    assert target.getvalue() == b""


def test_an_object_made_by_somebody_who_has_only_the_public_key_is_refused(
    store: LocalStore, written: Written, key: Key
) -> None:
    store.delete("x.age")
    write_object(store, "x.age", HEADER, io.BytesIO(b"forged"), key.recipient)
    with pytest.raises(VerificationError, match="not the one"):
        read(store, written, key)


def descriptor(written: Written) -> Descriptor:
    return Descriptor(
        HEADER, "x.age", written.size, written.sha256, MANIFEST, (ReceiptCopy("ab/of-theirs", "of-theirs"),)
    )


def test_a_descriptor_comes_back(written: Written, key: Key) -> None:
    encoded = descriptor(written).encode(key.recipient, key.identity)
    assert Descriptor.decode(encoded, key.identity) == descriptor(written)


def test_a_descriptor_shows_neither_tables_nor_receipts(written: Written, key: Key) -> None:
    encoded = descriptor(written).encode(key.recipient, key.identity)
    assert b"expense" not in encoded
    assert b"of-theirs" not in encoded


@pytest.mark.parametrize(("old", "new"), [(b"0001", b"0002"), (b"a" * 16, b"b" * 16), (b'"bytes": ', b'"bytes": 1')])
def test_a_changed_descriptor_is_found(written: Written, key: Key, old: bytes, new: bytes) -> None:
    encoded = descriptor(written).encode(key.recipient, key.identity)
    assert old in encoded
    with pytest.raises(VerificationError):
        Descriptor.decode(encoded.replace(old, new, 1), key.identity)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b'{"mac": 1}'])
def test_nonsense_is_no_descriptor(content: bytes, key: Key) -> None:
    with pytest.raises(VerificationError):
        Descriptor.decode(content, key.identity)


def test_a_newer_format_is_refused_not_guessed(written: Written, key: Key) -> None:
    newer = replace(descriptor(written), header=replace(HEADER, format=2))
    with pytest.raises(RefusedError, match="format 2"):
        Descriptor.decode(newer.encode(key.recipient, key.identity), key.identity)


def test_equal_manifests_do_not_differ() -> None:
    assert differences(MANIFEST, Manifest.from_json(MANIFEST.to_json())) == []


def test_a_sequence_may_have_counted_on_until_the_dump_read_it() -> None:
    assert differences(MANIFEST, replace(MANIFEST, sequences={"app.s": 5})) == []


@pytest.mark.parametrize(
    ("found", "phrase"),
    [
        (replace(MANIFEST, tables={}), "missing"),
        (replace(MANIFEST, tables=MANIFEST.tables | {"app.x": TableSum(0, "0")}), "not part of the backup"),
        (replace(MANIFEST, tables={"app.expense": TableSum(2, "-17")}), "2 rows instead of 3"),
        (replace(MANIFEST, tables={"app.expense": TableSum(3, "-18")}), "other content"),
        (replace(MANIFEST, sequences={"app.s": 3}), "3 instead of 4"),
        (replace(MANIFEST, sequences={}), "None instead of 4"),
        (replace(MANIFEST, schema="01ff"), "constraints"),
    ],
)
def test_each_difference_is_named(found: Manifest, phrase: str) -> None:
    (sentence,) = differences(MANIFEST, found)
    assert phrase in sentence
