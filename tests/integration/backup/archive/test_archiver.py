"""Pieces of the log on their way from PostgreSQL into the store: none is lost, whatever dies when."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from strongroom.backup.archive import names, pieces
from strongroom.backup.archive.archiver import Archiver, archive_once, run_archiver
from strongroom.backup.stores.contract import ObjectWriter
from strongroom.backup.stores.local import LocalStore
from strongroom.config.errors import FailedError, KeyMissingError, VerificationError
from strongroom.config.settings import load_settings
from strongroom.platform.keys import KeyStore
from strongroom.provisioning.postgres.account import Account, current_user
from strongroom.provisioning.postgres.locks import FileLock
from strongroom.provisioning.postgres.spool import SCRIPT, Spool, archiver_lock

SYSTEM = 7710713282421003306
ORIGIN = pieces.Origin("embedded", str(SYSTEM))
ROUNDS = 40


def piece_name(number: int) -> str:
    return f"0000000100000000{number:08X}"


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    """A spool beside a data folder that has as much of a server as the archiver looks at."""
    spool = Spool(tmp_path / "postgres", Account(current_user(), os.geteuid(), os.getegid(), switch=False))
    (spool.root / "data" / "global").mkdir(parents=True)
    (spool.root / "data" / "global" / "pg_control").write_bytes(SYSTEM.to_bytes(8, "little") + bytes(504))
    spool.write_script()
    return spool


@pytest.fixture
def archiver(tmp_path: Path, spool: Spool) -> Archiver:
    settings = load_settings(tmp_path / "home")
    settings.home.mkdir()
    return Archiver(settings, KeyStore.create(settings), LocalStore(tmp_path / "store"), spool)


def root_of(archiver: Archiver) -> Path:
    return archiver.settings.home.parent / "store"


def archive_command(spool: Spool, name: str, content: bytes) -> int:
    """What PostgreSQL does with a finished piece."""
    wal = spool.root / "data" / "pg_wal"
    wal.mkdir(exist_ok=True)
    (wal / name).write_bytes(content)
    command = ["sh", f"../{SCRIPT}", f"pg_wal/{name}", name]
    return subprocess.run(command, cwd=spool.root / "data", stderr=subprocess.DEVNULL, check=False).returncode


def archived(archiver: Archiver) -> dict[str, bytes]:
    """Every piece that the store has, opened."""
    found: dict[str, bytes] = {}
    for entry in archiver.store.list("servers"):
        *_, day, name = entry.name.split("/")
        piece = name.removesuffix(".age").upper()
        with archiver.store.open(entry.name) as file:
            found[piece] = pieces.unseal(ORIGIN, piece, file.read(), archiver.keys.archive(day))
    return found


def test_as_long_as_nobody_wants_the_log_it_goes(spool: Spool) -> None:
    assert archive_command(spool, piece_name(1), b"log") == 0
    assert not spool.is_open()
    assert spool.waiting() == []


def test_the_same_piece_twice_is_welcome_and_another_of_its_name_is_refused(spool: Spool) -> None:
    spool.open()
    content = os.urandom(70_000) + bytes(100_000)
    assert archive_command(spool, piece_name(1), content) == 0
    assert archive_command(spool, piece_name(1), content) == 0
    assert archive_command(spool, piece_name(1), content[:-1] + b"x") != 0
    (waiting,) = spool.waiting()
    assert waiting.read_bytes() == content


def test_what_a_killed_script_leaves_does_not_count(spool: Spool) -> None:
    spool.open()
    (spool.folder / f".{piece_name(1)}.new").write_bytes(b"half of it")
    assert spool.waiting() == []
    assert archive_command(spool, piece_name(1), b"all of it") == 0
    assert [path.read_bytes() for path in spool.waiting()] == [b"all of it"]


def test_on_a_full_disk_the_log_goes_and_the_gap_is_written_down(spool: Spool, tmp_path: Path) -> None:
    spool.open()
    script = spool.root / SCRIPT
    script.write_text(script.read_text().replace("df -Pk .", "printf 'x\\nx x x 1000\\n'"))
    assert archive_command(spool, piece_name(1), b"log") == 0
    assert spool.waiting() == []
    assert spool.gap_since() is not None
    spool.forget_gap()
    assert spool.gap_since() is None


def test_pieces_are_stored_encrypted_and_leave_the_spool(archiver: Archiver) -> None:
    archiver.spool.open()
    wanted = {piece_name(number): f"canary {number}".encode() * 1000 for number in range(3)}
    for name, content in wanted.items():
        assert archive_command(archiver.spool, name, content) == 0
    assert archiver.spool.lag(datetime.now(UTC) + timedelta(hours=1)) > timedelta(minutes=59)
    assert archiver.run_once() == 3
    assert archiver.run_once() == 0
    assert archiver.spool.lag(datetime.now(UTC)) == timedelta()
    assert archived(archiver) == wanted
    assert not any(b"canary" in path.read_bytes() for path in root_of(archiver).rglob("*") if path.is_file())


def test_a_piece_that_is_archived_again_is_compared(archiver: Archiver) -> None:
    archiver.spool.open()
    archive_command(archiver.spool, piece_name(1), b"the piece")
    assert archiver.run_once() == 1
    archive_command(archiver.spool, piece_name(1), b"the piece")  # a crash between its success and PostgreSQL's note
    assert archiver.run_once() == 1
    archive_command(archiver.spool, piece_name(1), b"another one")
    archive_command(archiver.spool, piece_name(2), b"the next")
    with pytest.raises(VerificationError, match="another piece"):
        archiver.run_once()
    assert archived(archiver) == {piece_name(1): b"the piece", piece_name(2): b"the next"}
    assert [path.name for path in archiver.spool.waiting()] == [piece_name(1)]


class AwayStore(LocalStore):
    """A store whose disk is full."""

    @contextmanager
    def create(self, name: str) -> Generator[ObjectWriter]:
        raise FailedError(f"The object {name} cannot be written to the backup store: No space left on device.")
        yield


def test_while_the_store_is_away_the_spool_grows_and_nothing_is_lost(archiver: Archiver) -> None:
    archiver.spool.open()
    away = replace(archiver, store=AwayStore(root_of(archiver)))
    for number in range(4):
        archive_command(archiver.spool, piece_name(number), bytes([number]) * 100)
        with pytest.raises(FailedError, match="No space left"):
            away.run_once()
    assert len(archiver.spool.waiting()) == 4
    assert archiver.run_once() == 4
    assert sorted(archived(archiver)) == [piece_name(number) for number in range(4)]


def test_a_piece_that_waited_until_its_keys_were_due_is_let_go(archiver: Archiver) -> None:
    archiver.spool.open()
    archive_command(archiver.spool, piece_name(1), b"old")
    assert archiver.run_once(datetime.now(UTC) + timedelta(days=30)) == 1
    assert archived(archiver) == {}


def test_the_spool_is_closed_where_no_way_back_is_wanted_any_more(archiver: Archiver) -> None:
    archiver.spool.open()
    archive_command(archiver.spool, piece_name(1), b"log")
    off = replace(archiver, settings=replace(archiver.settings, point_in_time_days=0))
    assert off.run_once() == 0
    assert not archiver.spool.is_open()
    assert archive_command(archiver.spool, piece_name(2), b"log") == 0
    assert archived(archiver) == {}


def test_the_key_of_a_day_opens_it_until_it_is_destroyed(archiver: Archiver) -> None:
    archiver.spool.open()
    archive_command(archiver.spool, piece_name(1), b"canary")
    archiver.run_once()
    (day,) = archiver.keys.archive_days()
    assert day in {names.day_of(datetime.now(UTC)), names.day_of(datetime.now(UTC) - timedelta(hours=1))}
    archiver.keys.destroy_archive(day)
    with pytest.raises(KeyMissingError):
        archived(archiver)
    again = KeyStore.open(archiver.settings)  # with the master key
    with pytest.raises(KeyMissingError):
        again.archive(day)
    assert again.recover() == 0  # nor has the second copy got it


def test_an_archiver_that_is_killed_at_any_moment_loses_no_piece(archiver: Archiver) -> None:
    archiver.spool.open()
    chance, wanted = random.Random(4), dict[str, bytes]()
    for round_ in range(ROUNDS):
        name = piece_name(round_)
        wanted[name] = chance.randbytes(300_000)
        assert archive_command(archiver.spool, name, wanted[name]) == 0
        killed_after(archiver, chance.uniform(0, 0.02))
    archiver.run_once()
    assert archiver.spool.waiting() == []
    assert archived(archiver) == wanted


def killed_after(archiver: Archiver, seconds: float) -> None:
    pid = os.fork()
    if pid == 0:
        try:
            archiver.run_once()
        finally:
            os._exit(0)
    time.sleep(seconds)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_one_archiver_works_at_a_time(archiver: Archiver) -> None:
    other = FileLock(archiver_lock(archiver.settings))
    other.take()
    assert archive_once(archiver.settings) is None
    other.close()


def test_the_archiver_goes_on_after_the_store_came_back(
    archiver: Archiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    archiver.spool.open()
    archive_command(archiver.spool, piece_name(1), b"piece")
    broken, pauses = replace(archiver, store=AwayStore(root_of(archiver))), list[float]()
    tries = iter([broken.run_once, broken.run_once, archiver.run_once])

    class Scripted:
        def run_once(self) -> int:
            return next(tries)()

    monkeypatch.setattr("strongroom.backup.archive.archiver.open_archiver", lambda *_: Scripted())
    monkeypatch.setattr("strongroom.backup.archive.archiver.time.sleep", pauses.append)
    with pytest.raises(StopIteration):
        run_archiver(archiver.settings)
    assert pauses == [1.0, 2.0, 0.1]
    assert archived(archiver) == {piece_name(1): b"piece"}
    assert "The log is not archived" in caplog.text
