"""`backup identity`: the key to one workspace's backups, with a home and without one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from strongroom import cli
from strongroom.backup.records import BackupState
from strongroom.backup.recovery import queries
from strongroom.backup.recovery.identity import SHOWN
from strongroom.platform.audit import queries as audit
from strongroom.platform.control import tables as c
from strongroom.platform.control.platform import Platform
from strongroom.provisioning.initialise import initialise_home

Machine = Any  # of conftest.py, which no test can import
Workspace = Any
Ask = Callable[..., int]


@pytest.fixture
def ask(machine: Machine, tmp_path: Path) -> Ask:
    """Asks what is left of the lost installation: `ask("acme")`; writes to identity.txt."""

    def run(wanted: str, *more: str) -> int:
        place = ("--from", str(machine.backups), "--master-key", str(machine.master_key))
        output = ("--output", str(tmp_path / "identity.txt"))
        return cli.run(["--home", str(machine.home), "backup", "identity", wanted, *place, *output, "--yes", *more])

    return run


def test_without_a_home_a_name_an_id_and_the_control_database_have_one(
    machine: Machine, ask: Ask, tmp_path: Path
) -> None:
    file, found = tmp_path / "identity.txt", set[str]()
    acme = machine.lost.ids["acme"]
    for wanted, folder in (("acme", f"tenants/{acme}"), (acme, f"tenants/{acme}"), ("control", "control")):
        assert ask(wanted) == 0
        lines = file.read_text().splitlines()
        assert lines[0] == f"# folder: {folder}"
        assert file.stat().st_mode & 0o777 == 0o600
        found.add(lines[-1])
        file.unlink()
    assert len(found) == 2
    assert all(one.startswith("AGE-SECRET-KEY-1") for one in found)


def test_it_says_no_to_what_it_does_not_know_and_never_writes_over_a_file(
    machine: Machine, ask: Ask, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask("nobody") == 3
    assert ask("erased") == 3
    assert "nothing of it can be read" in capsys.readouterr().err
    (tmp_path / "identity.txt").write_text("mine")
    assert ask("acme") == 4
    assert (tmp_path / "identity.txt").read_text() == "mine"
    assert cli.run(["backup", "identity", "acme", "--from", "x", "--output", "y", "--yes"]) == 2


def test_with_a_home_the_operators_audit_log_knows_of_it(
    platform: Platform, workspace: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    initialise_home(platform.settings)
    home, file = str(platform.settings.home), tmp_path / "identity.txt"
    command = ["--home", home, "backup", "identity", workspace.slug, "--output", str(file)]
    assert cli.run(command) == 2  # nobody can be asked
    assert "remove it after use" in capsys.readouterr().err
    assert cli.run([*command, "--yes"]) == 0
    assert file.read_text().splitlines()[-1] == platform.keys.tenant(workspace.id).backup_identity
    said = capsys.readouterr()
    assert "AGE-SECRET-KEY" not in said.out + said.err
    with platform.control.connect() as conn:
        (entry, *_) = audit.newest(conn, 1, workspace.id)
    assert (entry.action, entry.detail) == (SHOWN, {})


def test_a_backup_that_another_store_still_has_is_not_lost(platform: Platform, workspace: Workspace) -> None:
    ids = [f"20260101-00000{number}-aaaaaaaa" for number in range(3)]
    with platform.control.connect() as conn, conn.begin() as transaction:
        for one in ids:
            values = {"id": one, "tenant_id": workspace.id, "kind": "tenant", "object": f"tenants/x/{one}.age"}
            conn.execute(c.backup.insert().values(**values, state=BackupState.VERIFIED, bytes=1))
            for store in ("near", "far", "sold"):
                conn.execute(c.backup_copy.insert().values(backup_id=one, store=store, state="stored"))
        conn.execute(c.backup_copy.delete().where(c.backup_copy.c.backup_id == ids[2], c.backup_copy.c.store == "far"))
        assert queries.keep_copies(conn, "near", ["near", "far"], ids[1:]) == {ids[1]}
        left = conn.execute(c.backup_copy.select().where(c.backup_copy.c.backup_id.in_(ids))).all()
        transaction.rollback()
    assert {(row.backup_id, row.store) for row in left} == {(ids[0], "near"), (ids[0], "far"), (ids[1], "far")}
