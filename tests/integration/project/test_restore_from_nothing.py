"""docs/restore-from-nothing.md, carried out as it stands: the machine is lost, backups and master key are not."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyrage
import zstandard

import strongroom
from strongroom.config.settings import load_settings
from strongroom.provisioning.postgres.embedded import EmbeddedServer
from strongroom.provisioning.postgres.programs import find_bindir
from strongroom.provisioning.postgres.scratch import scratch

DOCUMENT = Path(strongroom.__file__).parent / "docs" / "restore-from-nothing.md"
PROGRAM = Path(sys.executable).with_name("strongroom")


def script_of_the_document(home: Path, backups: Path, master_key: Path) -> str:
    """All its commands in their order, with the places of this machine."""
    blocks: list[str] = re.findall(r"```sh\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    script = "\n".join(blocks)
    for written, meant in (
        ("/srv/strongroom-backups", backups),
        ("/srv/strongroom", home),
        ("/srv/escrow/master.key", master_key),
        (".venv/bin/strongroom", PROGRAM),
    ):
        assert written in script
        script = script.replace(written, str(meant))
    assert "/srv/" not in script
    return script


def test_its_commands_bring_everything_back_and_open_one_backup_by_hand(
    home: Path, reachable_tmp: Path, tmp_path: Path, public_tools: Path
) -> None:
    settings = load_settings(home)
    before = an_installation(home)
    master_key = tmp_path / "from escrow.key"
    shutil.copy(settings.keys_dir / "master.key", master_key)
    lose_the_machine(home)

    with scratch(load_settings(reachable_tmp / "look" / "home")) as server:
        path = os.pathsep.join(map(str, (public_tools, find_bindir(settings), os.environ["PATH"])))
        places = {"PGHOST": str(server.socket_dir), "PGPORT": str(server.port), "PGUSER": server.user}
        environment = {**os.environ, **places, "PGDATABASE": "postgres", "PATH": path}
        script = script_of_the_document(home, settings.backup_root, quoted(master_key))
        listed = f"{script}\npsql --no-align --tuples-only --dbname=look --command='SELECT count(*) FROM app.category'"
        done = subprocess.run(
            ["sh", "-eu"], input=listed, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.splitlines()[-1]) > 0
    assert "Control plane as of" in done.stderr
    assert "TABLE DATA app category" in done.stdout
    assert not (tmp_path / "identity.txt").exists()

    (row,) = json.loads((home / "recovery.json").read_text())["workspaces"].values()
    assert (row["slug"], row["state"]) == ("acme", "restored")
    after = json.loads(call("--home", home, "tenant", "show", "acme", "--json"))
    assert (after["id"], after["state"]) == (before["id"], "active")
    assert after["database"] != before["database"]


def test_the_stand_ins_do_what_age_and_zstd_do(stand_ins: Path, tmp_path: Path) -> None:
    identity = pyrage.x25519.Identity.generate()
    skipped = b"\x50\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"hello"
    sealed = pyrage.encrypt(skipped + zstandard.compress(b"content"), [identity.to_public()])
    (tmp_path / "identity.txt").write_text(f"# folder: x\n{identity}\n")
    (tmp_path / "sealed").write_bytes(sealed)
    (tmp_path / "cut").write_bytes(sealed[:-1])
    decrypt = "age --decrypt --identity identity.txt --output opened"
    for folder in {stand_ins, *map(Path, os.environ["PATH"].split(os.pathsep))}:
        if (folder / "age").exists() and (folder / "zstd").exists():
            script = f"{decrypt} sealed && zstd --decompress --force opened -o dump && ! {decrypt} cut"
            environment = {"PATH": f"{folder}:/usr/bin:/bin"}
            done = subprocess.run(["sh", "-c", script], cwd=tmp_path, env=environment, capture_output=True, check=False)
            assert (done.returncode, (tmp_path / "dump").read_bytes()) == (0, b"content"), done.stderr


def an_installation(home: Path) -> dict[str, str]:
    """Make one with a workspace and its backups; return what is known about the workspace."""
    call("--home", home, "init")
    with EmbeddedServer(load_settings(home)).session():
        acme = ("acme", "--name", "Acme", "--owner", "owner@acme.example", "--wait", "--json")
        made = json.loads(call("--home", home, "tenant", "create", *acme))
        call("--home", home, "backup", "run", "--all")
    return made


def lose_the_machine(home: Path) -> None:
    """Remove everything but the backups, and the settings that somebody has kept."""
    EmbeddedServer(load_settings(home)).stop()
    settings_file = (home / "strongroom.toml").read_bytes()
    shutil.rmtree(home)
    home.mkdir()
    (home / "strongroom.toml").write_bytes(settings_file)


def quoted(path: Path) -> Path:
    return Path(f"'{path}'")


def call(*arguments: str | Path) -> str:
    done = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
