"""An installation that is lost: only its backups and its master key are left."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from disposable_server import disposable_server

from strongroom.backup import runs
from strongroom.backup.records import Backup
from strongroom.backup.scratch import ScratchPool
from strongroom.backup.stores.opening import open_store
from strongroom.backup.take import take_backup
from strongroom.config.settings import load_settings
from strongroom.platform.control.platform import Platform, open_platform
from strongroom.provisioning.lifecycle import suspend
from strongroom.provisioning.postgres.embedded import EmbeddedServer
from strongroom.provisioning.rename import rename

Workspace = Any  # of the conftest.py above, which no module can import
MakeWorkspace = Callable[[Platform, str], Workspace]


@dataclass(frozen=True)
class Lost:
    """What is left of an installation, and what is known about it."""

    backups: Path  # its backup root
    master_key: Path
    control: Backup  # the newest good backup of its control database
    damaged_control: Backup
    ids: dict[str, str] = field(default_factory=dict[str, str])  # of its workspaces, by slug
    newest: dict[str, Backup] = field(default_factory=dict[str, Backup])


@dataclass(frozen=True)
class Finished:
    """How a command ended."""

    code: int
    out: str
    err: str


class Machine:
    """A new machine: a home that is empty but for its settings, and a copy of the backups beside it."""

    def __init__(self, home: Path, lost: Lost) -> None:
        self.home, self.lost = home, lost
        self.backups = home.with_name("kept")
        shutil.copytree(lost.backups, self.backups)
        self.master_key = home.with_name("escrow.txt")
        shutil.copy(lost.master_key, self.master_key)
        self.master_key.chmod(0o644)  # as it comes from a stick

    def command(self, *arguments: str) -> list[str]:
        recover = ("backup", "recover", "--from", str(self.backups), "--master-key", str(self.master_key), "--yes")
        return [sys.executable, "-m", "strongroom", "--home", str(self.home), *recover, *arguments]

    def recover(self, *arguments: str) -> Finished:
        done = subprocess.run(self.command(*arguments), capture_output=True, text=True, check=False)
        return Finished(done.returncode, done.stdout, done.stderr)

    @contextmanager
    def platform(self) -> Generator[Platform]:
        """The recovered installation at work."""
        settings = load_settings(self.home)
        with EmbeddedServer(settings).session(), open_platform(settings) as opened:
            yield opened


@pytest.fixture
def machine(home: Path, lost: Lost) -> Machine:
    return Machine(home, lost)


@pytest.fixture(scope="session")
def lost(reachable_tmp: Path, make_workspace: MakeWorkspace) -> Lost:
    """An installation with workspaces of all kinds; its machine is gone.

    `acme` was backed up after the control database. The newest backup of `rotten` is damaged, and the only one of
    `hopeless`. `quiet` is suspended, `renamed` had another name, the keys of `erased` were destroyed afterwards. `late`
    was made after the last good backup of the control database, whose newest backup is damaged.
    """
    home = reachable_tmp / "lost" / "home"
    home.mkdir(parents=True)
    settings = load_settings(home, bcrypt_cost=4, tenant_cache_seconds=0.0)
    with disposable_server(settings), open_platform(settings) as platform:
        lost = _build(platform, make_workspace, home.with_name("escrow"))
    shutil.rmtree(home)
    return lost


def _build(platform: Platform, make_workspace: MakeWorkspace, escrow: Path) -> Lost:
    made = {slug: make_workspace(platform, slug) for slug in ("acme", "rotten", "hopeless", "quiet", "old", "erased")}
    suspend(platform, made["quiet"].tenant())
    renamed = rename(platform, "old", "renamed", "operator")
    made["renamed"] = made.pop("old").named("renamed", renamed.id)
    with closing(ScratchPool(platform.settings)) as scratch:
        _back_up(platform, [one.id for one in made.values()], scratch)
        (control,) = _back_up(platform, [None], scratch)
        made["acme"].spend("After the control backup")
        made["rotten"].spend("Lost with its backup")
        made["late"] = make_workspace(platform, "late")
        _back_up(platform, [made[slug].id for slug in ("acme", "rotten", "late")], scratch)
    damaged = take_backup(platform, open_store(platform.settings), None)
    newest = {slug: runs.list_backups(platform, slug)[0] for slug in made}
    root = platform.settings.backup_root
    for backup in (damaged, newest["rotten"], newest["hopeless"]):
        flip_a_bit(root / "store" / (backup.object or ""))
    platform.keys.bury(made["erased"].id, datetime.now(UTC))  # as an erasure does, of which no backup knows
    platform.keys.destroy_tenant(made["erased"].id)
    shutil.copy(platform.settings.keys_dir / "master.key", escrow)
    return Lost(root, escrow, control, damaged, {slug: one.id for slug, one in made.items()}, newest)


def _back_up(platform: Platform, tenant_ids: Sequence[str | None], scratch: ScratchPool) -> list[Backup]:
    outcomes = runs.run_many(platform, tenant_ids, scratch=scratch, force=True)
    assert [outcome.error for outcome in outcomes] == [None] * len(tenant_ids)
    return [outcome.backup for outcome in outcomes if outcome.backup is not None]


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.fixture
def flip() -> Callable[[Path], None]:
    return flip_a_bit
