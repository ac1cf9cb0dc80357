"""The forms in which the log and base backups lie in a store."""

import io
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from strongroom.backup.archive import files
from strongroom.backup.archive.descriptor import BaseDescriptor, Part
from strongroom.backup.archive.pieces import Origin, seal, unseal
from strongroom.backup.archive.tar import TarStream, Unpacking
from strongroom.config.errors import VerificationError
from strongroom.platform.keys.records import ArchiveKeys

KEYS = ArchiveKeys.generate("20260301")
ORIGIN = Origin("embedded", "7710713282421003306")
NAME = "0000000100000000000000A1"
PIECE = b"canary " * 5000 + bytes(30_000)
DESCRIPTOR = BaseDescriptor(
    base_id="b",
    server="embedded",
    system_id="1",
    server_version=180000,
    timeline=1,
    segment_bytes=16,
    start_wal="A",
    stop_wal="B",
    started_at="x",
    stopped_at="y",
    label="START",
    databases={"t_a": "5"},
    templates=["1"],
    parts={"5": Part(3, "ab")},
)


def test_a_piece_of_the_log_comes_back_as_it_was_and_shows_nothing_of_itself() -> None:
    sealed = seal(ORIGIN, NAME, PIECE, KEYS)
    assert b"canary" not in sealed
    assert unseal(ORIGIN, NAME, sealed, KEYS) == PIECE


def test_a_piece_opens_under_its_own_name_server_and_key_only() -> None:
    sealed = seal(ORIGIN, NAME, PIECE, KEYS)
    with pytest.raises(VerificationError, match="holds something else"):
        unseal(ORIGIN, NAME.replace("A1", "A2"), sealed, KEYS)
    with pytest.raises(VerificationError, match="holds something else"):
        unseal(replace(ORIGIN, system_id="1"), NAME, sealed, KEYS)
    with pytest.raises(VerificationError):
        unseal(ORIGIN, NAME, sealed, ArchiveKeys.generate("20260301"))


@pytest.mark.parametrize("position", [0, 100, 250, -1])
def test_a_flipped_bit_in_a_piece_is_found(position: int) -> None:
    sealed = bytearray(seal(ORIGIN, NAME, PIECE, KEYS))
    sealed[position] ^= 1
    with pytest.raises(VerificationError):
        unseal(ORIGIN, NAME, bytes(sealed), KEYS)


def test_a_piece_made_by_who_knows_the_public_key_only_is_refused() -> None:
    forged = seal(ORIGIN, NAME, PIECE, replace(ArchiveKeys.generate("20260301"), recipient=KEYS.recipient))
    with pytest.raises(VerificationError, match="holds something else"):
        unseal(ORIGIN, NAME, forged, KEYS)


def test_a_descriptor_that_was_changed_is_refused() -> None:
    content = DESCRIPTOR.encode(KEYS.identity)
    assert BaseDescriptor.decode(content, KEYS.identity) == DESCRIPTOR
    for changed in (content.replace(b'"A"', b'"C"'), content[:-20], b"[]", b"{}"):
        with pytest.raises(VerificationError):
            BaseDescriptor.decode(changed, KEYS.identity)
    with pytest.raises(VerificationError):
        BaseDescriptor.decode(content, ArchiveKeys.generate("20260301").identity)


def tree(root: Path) -> dict[str, bytes | None]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes() if path.is_file() else None for path in root.rglob("*")
    }


@pytest.fixture
def data(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    for name in ("base/5", "base/5/pgsql_tmp", "global", "pg_wal", "empty"):
        (root / name).mkdir(parents=True)
    contents = {
        "base/5/112": b"x" * 70_000,
        "base/5/113": b"",
        "base/5/t3_99": b"temporary",
        "base/5/pg_internal.init": b"cache",
        "global/pg_control": b"c" * 512,
        "pg_wal/000000010000000000000001": b"log",
        "postmaster.pid": b"1",
        "PG_VERSION": b"18\n",
    }
    for name, content in contents.items():
        (root / name).write_bytes(content)
    return root


@pytest.mark.parametrize("size", [7, 512, 65536])
def test_files_come_back_as_they_were_however_the_stream_is_cut(data: Path, tmp_path: Path, size: int) -> None:
    stream, target = TarStream(data, data_paths(data)), tmp_path / "back"
    target.mkdir()
    unpacking = Unpacking(target)
    while piece := stream.read(size):
        unpacking.write(piece)
    unpacking.finish()
    there = tree(target)
    assert there["base/5/112"] == b"x" * 70_000
    assert there["base/5/113"] == b""
    assert there["global/pg_control"] == b"c" * 512
    assert there["pg_wal"] is None
    assert there["empty"] is None
    left_out = {"base/5/t3_99", "base/5/pg_internal.init", "pg_wal/000000010000000000000001", "postmaster.pid"}
    assert not left_out & set(there)


def data_paths(data: Path) -> list[Path]:
    cluster = list(files.cluster_paths(data))
    assert cluster[-1].as_posix() == "global/pg_control"
    return [*cluster, *files.database_paths(data, "5"), *files.database_paths(data, "6")]


def test_everybody_can_read_the_stream(data: Path) -> None:
    stream = TarStream(data, files.database_paths(data, "5"))
    content = b"".join(iter(lambda: stream.read(1000), b""))
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        assert archive.getnames() == ["base/5", "base/5/112", "base/5/113"]


def test_a_file_that_gets_shorter_keeps_its_length_and_one_that_goes_is_left_out(data: Path, tmp_path: Path) -> None:
    stream = TarStream(data, [Path("base/5/112"), Path("gone"), Path("PG_VERSION")])
    unpacking = Unpacking(tmp_path)
    (tmp_path / "base/5").mkdir(parents=True)
    unpacking.write(stream.read(512))
    (data / "base/5/112").write_bytes(b"short")
    while piece := stream.read(4096):
        unpacking.write(piece)
    unpacking.finish()
    assert (tmp_path / "base/5/112").stat().st_size == 70_000
    assert (tmp_path / "PG_VERSION").read_bytes() == b"18\n"


def test_a_stream_that_ends_early_or_leads_outside_is_refused(data: Path, tmp_path: Path) -> None:
    stream = TarStream(data, [Path("PG_VERSION")])
    unpacking = Unpacking(tmp_path)
    unpacking.write(stream.read(600))
    with pytest.raises(VerificationError, match="ends too early"):
        unpacking.finish()
    unpacking.close()
    for name in ("../out", "/etc/out", "a/../../out"):
        with pytest.raises(VerificationError, match="outside"):
            Unpacking(tmp_path).write(tarfile.TarInfo(name).tobuf())
    with pytest.raises(VerificationError, match="damaged"):
        Unpacking(tmp_path).write(b"x" * 512)
