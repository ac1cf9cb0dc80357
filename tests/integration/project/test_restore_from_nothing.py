"""docs/restore-from-nothing.md, carried out: the machine is lost, the backup root and the master key are not."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import strongroom
from strongroom.config.settings import load_settings
from strongroom.provisioning.postgres.embedded import EmbeddedServer

DOCUMENT = Path(strongroom.__file__).parent / "docs" / "restore-from-nothing.md"


def call(*arguments: str | Path) -> str:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def script_of_the_document(folder: Path) -> Path:
    (code,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    script = folder / "recover_control.py"
    script.write_text(code, encoding="utf-8")
    return script


@pytest.mark.timeout(300)  # two homes are made, and a dozen commands run
def test_the_backup_root_and_the_master_key_bring_everything_back(home: Path, tmp_path: Path) -> None:
    def strongroom_(*arguments: str) -> str:
        return call("-m", "strongroom", "--home", home, *arguments)

    strongroom_("init")
    created = ("tenant", "create", "acme", "--name", "Acme", "--owner", "owner@acme.example", "--wait", "--json")
    with EmbeddedServer(load_settings(home)).session():
        before = json.loads(strongroom_(*created))
        strongroom_("backup", "run", "--all")
    escrow = (home / "keys" / "master.key").read_bytes()
    settings_file = (home / "strongroom.toml").read_bytes()

    lose_the_machine(home)

    (home / "keys").mkdir(parents=True)
    (home / "keys").chmod(0o700)
    (home / "strongroom.toml").write_bytes(settings_file)
    (copies,) = (load_settings(home).backup_root / "keys").iterdir()
    shutil.copytree(copies, home / "keys", dirs_exist_ok=True)
    (home / "keys").chmod(0o700)
    (home / "keys" / "master.key").write_bytes(escrow)
    (home / "keys" / "master.key").chmod(0o600)
    strongroom_("init")
    with EmbeddedServer(load_settings(home)).session():
        assert "The control database is as it was at" in call(script_of_the_document(tmp_path), home)
        strongroom_("init")
        strongroom_("backup", "restore", "acme", "--yes")
        after = json.loads(strongroom_("tenant", "show", "acme", "--json"))
        assert "verified" in strongroom_("backup", "run", "--all")

    assert (after["id"], after["state"]) == (before["id"], "active")
    assert after["database"] != before["database"]


def lose_the_machine(home: Path) -> None:
    """Remove everything but the backup root."""
    EmbeddedServer(load_settings(home)).stop()
    shutil.rmtree(home)
