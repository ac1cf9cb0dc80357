"""What `backup recover` refuses, in one sentence that says what to do, before it has made anything."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from strongroom import cli
from strongroom.backup.header import _mac  # pyright: ignore[reportPrivateUsage]  # to make what a newer version makes
from strongroom.backup.recovery.control import whole_backups
from strongroom.backup.recovery.keys import Escrow, unwrap
from strongroom.backup.stores.local import LocalStore
from strongroom.config.errors import RefusedError
from strongroom.platform.keys.wrapping import MasterKey

Machine = Any  # of conftest.py, which no test can import
Refused = Callable[..., tuple[int, str]]


@pytest.fixture
def recover(machine: Machine, capsys: pytest.CaptureFixture[str]) -> Refused:
    """Runs the command: (exit code, what it says on standard error)."""

    def run(*arguments: str) -> tuple[int, str]:
        return cli.run(machine.command(*arguments)[3:]), capsys.readouterr().err

    return run


def untouched(machine: Machine) -> bool:
    return sorted(path.name for path in machine.home.iterdir()) == ["strongroom.toml"]


def test_another_master_key(machine: Machine, recover: Refused) -> None:
    machine.master_key.write_text(MasterKey.generate())
    code, said = recover()
    (own,) = (path.name for path in (machine.backups / "keys").iterdir())
    assert code == 5
    assert f"were wrapped by {own}: it belongs to another installation" in said
    assert untouched(machine)


@pytest.mark.parametrize("text", ["", "strongroom-master-key-1 AAAA", "hello"])
def test_something_that_is_no_master_key(machine: Machine, recover: Refused, text: str) -> None:
    machine.master_key.write_text(text)
    code, said = recover()
    assert (code, "is not a complete master key" in said, text[30:] in said) == (5, True, True)
    assert untouched(machine)


def test_no_file_with_a_master_key(machine: Machine, recover: Refused) -> None:
    machine.master_key.unlink()
    assert recover()[0] == 1
    assert untouched(machine)


def test_no_key_copies(machine: Machine, recover: Refused) -> None:
    shutil.rmtree(machine.backups / "keys")
    code, said = recover()
    assert (code, "holds no copies of keys; --keys names the place" in said) == (3, True)
    assert untouched(machine)


def test_no_backup_of_the_control_database(machine: Machine, recover: Refused) -> None:
    shutil.rmtree(machine.backups / "store" / "control")
    code, said = recover()
    assert (code, "holds no backup of the control database" in said) == (3, True)
    assert untouched(machine)


def test_damaged_keys_of_the_platform(machine: Machine, recover: Refused) -> None:
    (path,) = (machine.backups / "keys").glob("*/platform/platform.json")
    path.write_bytes(path.read_bytes()[:-20])
    assert recover()[0] == 5
    assert untouched(machine)


def test_a_folder_without_backups(machine: Machine, recover: Refused, tmp_path: Path) -> None:
    for folder, says in ((tmp_path, "no folder “store”"), (machine.backups / "store", f"above it: {machine.backups}")):
        code, said = recover("--from", str(folder))
        assert (code, says in said) == (3, True)
    assert recover("--from", str(tmp_path / "nothing"))[0] == 3
    assert recover("--from", "ftp://example.org/x")[0] == 2
    assert untouched(machine)


@pytest.mark.parametrize("occupied", ["keys", "postgres", "initialised", "receipts"])
def test_a_home_in_use(machine: Machine, recover: Refused, occupied: str) -> None:
    (machine.home / occupied).mkdir()
    code, said = recover()
    assert (code, f"is not empty (it has {occupied})" in said) == (4, True)
    assert not (machine.home / "recovery.json").exists()
    (machine.home / occupied).rmdir()


def test_the_backups_inside_the_home(machine: Machine, recover: Refused) -> None:
    inside = machine.home / "backups"
    machine.backups.rename(inside)
    code, said = recover("--from", str(inside))
    assert (code, "must not contain each other" in said) == (4, True)
    shutil.rmtree(inside)


def test_a_home_in_which_another_recovery_was_begun(machine: Machine, recover: Refused) -> None:
    begun = {"format": 1, "from": "/mnt/other", "master_key": "0123456789abcdef", "control": None, "finished_at": None}
    (machine.home / "recovery.json").write_text(json.dumps(begun))
    code, said = recover()
    assert (code, "the recovery from /mnt/other with the master key 0123456789abcdef was begun" in said) == (4, True)
    assert "it may be removed" in said


def test_settings_that_name_another_store(machine: Machine, recover: Refused) -> None:
    with (machine.home / "strongroom.toml").open("a") as file:
        file.write('backup_root = "/mnt/other"\n')
    code, said = recover()
    assert (code, "says that backups lie in /mnt/other" in said) == (4, True)


def test_without_yes_somebody_must_be_asked(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    command = [word for word in machine.command()[3:] if word != "--yes"]
    assert cli.run(command) == 2
    assert "must not run any more" in capsys.readouterr().err


def test_a_backup_of_a_newer_format_is_not_passed_over(machine: Machine) -> None:
    store, escrow = LocalStore(machine.backups / "store"), Escrow.read(machine.master_key)
    payload = unwrap(escrow, LocalStore(machine.backups / "keys"), "platform", "platform")
    identity = str(payload["backup_identity"])
    newest = max((machine.backups / "store" / "control").glob("*.json"))
    document = json.loads(newest.read_bytes())
    del document["mac"]
    document["header"]["format"] = 2
    newest.write_text(json.dumps(document | {"mac": _mac(document, identity)}))
    with pytest.raises(RefusedError, match=r"has format 2; this version reads format 1\. Install a version"):
        next(whole_backups(store, identity, print))


def test_backups_of_another_installation_are_believed_in_nothing(machine: Machine) -> None:
    """Keys and backups that do not belong together: every one is named, none is taken."""
    said: list[str] = []
    stranger = "AGE-SECRET-KEY-1" + "Q" * 58
    store = LocalStore(machine.backups / "store")
    assert list(whole_backups(store, stranger, said.append)) == []
    assert len(said) == len(list((machine.backups / "store" / "control").glob("*.json")))
    assert all("damaged or belongs to another workspace" in sentence for sentence in said)
