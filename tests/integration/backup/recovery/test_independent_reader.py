"""docs/backup-format.md is enough: a reader that knows nothing of this software opens what it has written."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from strongroom.backup import names, runs
from strongroom.backup.records import Backup
from strongroom.backup.scratch import ScratchPool
from strongroom.platform.control.platform import Platform
from strongroom.provisioning.postgres.programs import find_bindir

READER = Path(__file__).with_name("independent_reader.py")
LONGEST = 60  # lines
ALLOWED = {"base64", "hashlib", "hmac", "json", "subprocess", "sys", "pathlib", "pyrage", "zstandard", "cryptography"}
Workspace = Any  # of conftest.py, which no test can import
Read = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def backup(platform: Platform, scratch: ScratchPool, workspace: Workspace) -> Backup:
    (outcome,) = runs.run_many(platform, [workspace.id], scratch=scratch)
    assert outcome.backup is not None
    return outcome.backup


@pytest.fixture
def read(platform: Platform, tmp_path: Path) -> Read:
    """Runs the reader on a folder of backups: `read(root, whose, conninfo …)`."""
    master = platform.settings.keys_dir / "master.key"
    environment = {"PATH": str(find_bindir(platform.settings))}

    def run(root: Path, whose: str, *conninfo: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-I", READER, root, master, whose, tmp_path / "dump.pg", *conninfo]
        return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)

    return run


def test_the_reader_is_short_and_knows_nothing_of_ours() -> None:
    lines = READER.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= LONGEST
    imported = {line.split()[1].split(".")[0] for line in lines if line.startswith(("import ", "from "))}
    assert imported <= ALLOWED


def test_it_opens_proves_and_restores_a_backup(
    platform: Platform, scratch: ScratchPool, workspace: Workspace, backup: Backup, read: Read
) -> None:
    with scratch.database() as empty:
        done = read(platform.settings.backup_root, workspace.id, empty.target.conninfo)
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        counts = {name: table["rows"] for name, table in found["manifest"]["tables"].items()}
        restored = {name: empty.session.execute(f"SELECT count(*) FROM {name}").fetchone() for name in counts}  # pyright: ignore[reportArgumentType]
    assert {name: row[0] for name, row in restored.items() if row} == counts
    assert (counts["app.expense"], len(found["receipts"])) == (1, 2)
    assert found["header"]["backup_id"] == backup.id


def test_it_opens_the_control_database(platform: Platform, scratch: ScratchPool, read: Read) -> None:
    runs.run_many(platform, [None], scratch=scratch)
    done = read(platform.settings.backup_root, "control")
    assert json.loads(done.stdout)["header"]["kind"] == "control"


def test_it_refuses_what_was_changed(
    platform: Platform, workspace: Workspace, backup: Backup, read: Read, tmp_path: Path
) -> None:
    root, kept = platform.settings.backup_root, tmp_path / "kept"
    (kept / "store" / names.folder(workspace.id)).mkdir(parents=True)
    (kept / "keys").symlink_to(root / "keys")
    dump = backup.object or ""
    descriptor = names.descriptor_object(dump)
    content, document = ((root / "store" / name).read_bytes() for name in (dump, descriptor))
    (kept / "store" / dump).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    (kept / "store" / descriptor).write_bytes(document)
    assert "damaged" in read(kept, workspace.id).stderr
    (kept / "store" / descriptor).write_bytes(document.replace(b'"0002"', b'"0003"'))
    assert "was changed" in read(kept, workspace.id).stderr
