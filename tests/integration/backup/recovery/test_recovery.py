"""`backup recover`, run as an operator runs it: another machine, the backups, the master key from escrow."""

import json
import os
import signal
import subprocess
import time
from typing import Any

import pytest
from sqlalchemy import select

from strongroom.backup import runs
from strongroom.backup.records import BackupState
from strongroom.config.errors import RefusedError
from strongroom.config.settings import load_settings
from strongroom.platform.control import tables as c
from strongroom.platform.control.platform import Platform
from strongroom.platform.processes.running import held
from strongroom.platform.servers import queries as servers
from strongroom.platform.tenants import queries as tenants
from strongroom.platform.tenants.states import TenantState
from strongroom.provisioning.initialise import initialise_home
from strongroom.provisioning.isolation.outside import placement_findings
from strongroom.provisioning.names import Names
from strongroom.provisioning.sessions import provisioner
from strongroom.tenant_schema import tables as t

Lost = Any
Machine = Any  # of conftest.py, which no test can import


@pytest.fixture
def recovered(machine: Machine) -> tuple[Machine, dict[str, Any]]:
    """A machine after the command, and the document that it printed."""
    done = machine.recover("--json")
    assert done.code == 5, done.err  # `hopeless`
    return machine, json.loads(done.out)


def rows(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["slug"]: row for row in document["workspaces"]}


def test_everything_that_has_a_good_backup_comes_back_and_the_rest_is_named(
    recovered: tuple[Machine, dict[str, Any]],
) -> None:
    machine, document = recovered
    found, lost = rows(document), machine.lost
    assert {slug: row["state"] for slug, row in found.items()} == {
        "acme": "restored",
        "erased": "erased",
        "hopeless": "failed",
        "quiet": "restored",
        "renamed": "restored",
        "rotten": "restored",
    }
    assert document["control"]["backup"] == lost.control.id
    assert found["acme"]["backup"] == lost.newest["acme"].id  # which the control database did not know
    assert (found["acme"]["receipts"], found["acme"]["rows"] > 5) == (2, True)
    assert found["rotten"]["backup"] != lost.newest["rotten"].id
    assert lost.newest["rotten"].id in found["rotten"]["note"]
    assert lost.newest["hopeless"].id in found["hopeless"]["note"]
    assert document["catalogue"] == {"adopted": 4, "lost": 0}  # acme, rotten, control twice
    assert any("damaged and the one before is tried" in note for note in document["notes"])
    assert any(lost.ids["late"] in note for note in document["notes"])
    assert json.loads((machine.home / "recovery.json").read_text())["workspaces"].keys() == set(lost.ids.values()) - {
        lost.ids["late"]
    }
    with machine.platform() as platform:
        look_at(platform, machine.lost)


def look_at(platform: Platform, lost: Lost) -> None:
    ids, damaged = lost.ids, {lost.newest["rotten"].id, lost.newest["hopeless"].id, lost.damaged_control.id}
    with platform.control.connect() as conn:
        states = {slug: tenants.by_id(conn, ids[slug]) for slug in ids if slug != "late"}
        shown = [tenant.slug for tenant in tenants.list_all(conn)]
        server = servers.by_name(conn, "embedded")
        left = set(conn.scalars(select(c.placement.c.id).where(c.placement.c.state != "dropped")))
    assert shown == ["acme", "hopeless", "quiet", "renamed", "rotten"]
    assert states["erased"].state is TenantState.ERASED
    assert (states["quiet"].state, states["acme"].state) == (TenantState.SUSPENDED, TenantState.ACTIVE)
    assert left == {states[slug].placement_id for slug in ids if slug not in ("late", "erased")}
    back = [states[slug] for slug in ("acme", "quiet", "renamed", "rotten")]
    with provisioner(platform, server) as session:
        assert placement_findings(session, [Names(tenant.placement_id or "") for tenant in back]) == []
    assert merchants(platform, ids["acme"]) == ["After the control backup", "Before"]
    assert merchants(platform, ids["rotten"]) == ["Before"]
    assert merchants(platform, ids["renamed"]) == ["Before"]
    failed = {one.id for one in runs.list_backups(platform) if one.state is BackupState.FAILED}
    assert failed == damaged


def merchants(platform: Platform, tenant_id: str) -> list[str]:
    with platform.registry.connect(platform.registry.tenant_by_id(tenant_id)) as conn, conn.begin():
        return sorted(conn.scalars(select(t.expense.c.merchant)))


def test_killed_at_any_step_the_same_command_goes_on(machine: Machine) -> None:
    kill_after(machine, "superuser was used")
    with pytest.raises(RefusedError, match="repeat the same `strongroom backup recover`"):
        initialise_home(load_settings(machine.home))  # as `init` and `up` do: nobody works without control database
    kill_after(machine, "5 of 7")
    chosen = rows(json.loads(machine.recover("--only", "quiet", "--json").out))
    assert {row["state"] for slug, row in chosen.items() if slug not in ("quiet", "erased")} == {"waiting"}
    assert chosen["quiet"]["state"] == "restored"
    kill_after(machine, "6 of 7", wait_for="restored")
    with held(load_settings(machine.home)):  # the chosen one is served by now
        done = machine.recover("--json")
    assert done.code == 5, done.err
    found = rows(json.loads(done.out))
    assert found["quiet"] == chosen["quiet"]
    assert sum(row["state"] == "restored" for row in found.values()) == 4
    with machine.platform() as platform:
        look_at(platform, machine.lost)


def kill_after(machine: Machine, marker: str, wait_for: str | None = None) -> None:
    """Start the command, and kill it once it says `marker`, and once two workspaces are `wait_for`."""
    command = machine.command("--parallel", "1")
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert process.stderr is not None
    said = next((line for line in process.stderr if marker in line), None)
    while wait_for and (machine.home / "recovery.json").read_text().count(wait_for) < 2 and process.poll() is None:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stderr.close()
    assert said is not None
