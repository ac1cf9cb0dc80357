import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import ProgrammingError

from strongroom.backup import collect, names, runs
from strongroom.backup import restore as restoring
from strongroom.backup.records import Backup
from strongroom.backup.restore import STEPS, restore
from strongroom.backup.scratch import ScratchPool
from strongroom.config.errors import (
    CallError,
    FailedError,
    KeyMissingError,
    NotFoundError,
    RefusedError,
    UnavailableError,
    VerificationError,
)
from strongroom.platform.audit import queries as operators_audit
from strongroom.platform.control.platform import Platform
from strongroom.platform.servers import queries as servers
from strongroom.platform.tenants import placements
from strongroom.platform.tenants import queries as tenants
from strongroom.platform.tenants.records import PlacementState
from strongroom.platform.tenants.states import TenantState
from strongroom.provisioning import create, lifecycle
from strongroom.provisioning.create import tenant_lock
from strongroom.provisioning.isolation.outside import placement_findings
from strongroom.provisioning.names import Names
from strongroom.provisioning.postgres.programs import clean_environment
from strongroom.provisioning.repair import repair
from strongroom.provisioning.sessions import provisioner
from strongroom.tenant_schema import tables as t

Workspace = Any  # of conftest.py, which no test can import
WithProgram = Callable[[str, str], Platform]


@pytest.fixture
def backup(platform: Platform, scratch: ScratchPool, workspace: Workspace) -> Backup:
    """A verified backup of `workspace`, in which there is one expense: “Before”."""
    (outcome,) = runs.run_many(platform, [workspace.id], scratch=scratch)
    assert outcome.backup is not None
    return outcome.backup


def states(platform: Platform, workspace: Workspace) -> list[PlacementState]:
    with platform.control.connect() as conn:
        return sorted(placement.state for placement in placements.of_tenant(conn, workspace.id))


def test_after_a_restore_the_workspace_is_what_it_was(platform: Platform, workspace: Workspace, backup: Backup) -> None:
    workspace.spend("After")
    for path in (platform.settings.receipts_dir / workspace.id).rglob("??/*"):
        path.unlink()
    before = workspace.tenant()
    steps: list[str] = []
    done = restore(platform, workspace.slug, progress=lambda event: steps.append(event.step))
    assert workspace.merchants() == ["Before"]
    assert workspace.member() == ("Wilhelmina Canarius", "wilhelmina@canary.example")
    original, preview = workspace.receipt()
    assert preview == b"preview of " + original
    after = workspace.tenant()
    assert after.state is TenantState.ACTIVE
    assert after.generation > before.generation
    assert after.placement_id == done.placement_id != before.placement_id == done.retired
    assert steps[1:] == [title for title, _ in STEPS]
    assert (done.backup.id, done.receipts) == (backup.id, 2)


def test_an_older_backup_can_be_named_also_by_a_finding_of_no_change(
    platform: Platform, scratch: ScratchPool, workspace: Workspace
) -> None:
    workspace.settle()
    first, unchanged = (runs.run_many(platform, [workspace.id], scratch=scratch)[0].backup for _ in range(2))
    assert first is not None
    assert unchanged is not None
    workspace.spend("Between")
    runs.run_many(platform, [workspace.id], force=True, scratch=scratch)
    assert restore(platform, workspace.slug).rows > 0
    assert workspace.merchants() == ["Before", "Between"]
    assert restore(platform, workspace.slug, unchanged.id).backup.id == first.id
    assert workspace.merchants() == ["Before"]


def test_the_restored_database_lets_only_its_own_login_in(
    platform: Platform, workspace: Workspace, backup: Backup
) -> None:
    done = restore(platform, workspace.slug)
    with platform.control.connect() as conn:
        server = servers.by_name(conn, done.tenant.server)
    with provisioner(platform, server) as session:
        assert placement_findings(session, [Names(done.placement_id)]) == []
    with (
        workspace.platform.registry.connect(workspace.tenant()) as conn,
        conn.begin(),
        pytest.raises(ProgrammingError, match="permission denied"),
    ):
        conn.execute(text("DELETE FROM app.audit_event"))


def test_sessions_and_invitations_end_and_waiting_mail_is_not_sent_and_the_customer_can_read_about_it(
    platform: Platform, workspace: Workspace, backup: Backup
) -> None:
    restore(platform, workspace.slug)
    with platform.registry.connect(workspace.tenant()) as conn, conn.begin():
        assert not workspace.has_a_way_in(conn)
        assert conn.scalar(select(func.count()).select_from(t.session)) == 1
        open_ones = t.invitation.c.accepted_at.is_(None) & t.invitation.c.revoked_at.is_(None)
        assert conn.scalars(select(t.invitation.c.role).where(open_ones)).all() == ["owner"]  # of the first owner
        assert conn.scalar(select(func.count()).where(t.outbox.c.sent_at.is_(None))) == 0
        events = conn.execute(select(t.audit_event.c.action, t.audit_event.c.detail)).all()
    assert [(action, detail["backup"]) for action, detail in events] == [("workspace.restored", backup.id)]
    with platform.control.connect() as conn:
        (newest, *_) = operators_audit.newest(conn, 1, workspace.id)
    assert (newest.action, newest.detail["backup"]) == ("tenant.restored", backup.id)


def test_the_replaced_database_is_closed_kept_a_week_and_then_dropped(
    platform: Platform, workspace: Workspace, backup: Backup
) -> None:
    done = restore(platform, workspace.slug)
    assert done.retired is not None
    with pytest.raises(psycopg.OperationalError, match="not currently accepting connections"):
        connect_as(platform, workspace, done.retired)
    collect.collect(platform, datetime.now(UTC) + timedelta(days=6.9))
    assert states(platform, workspace) == [PlacementState.CURRENT, PlacementState.RETIRED]
    collect.collect(platform, datetime.now(UTC) + timedelta(days=7.1))
    assert states(platform, workspace) == [PlacementState.CURRENT, PlacementState.DROPPED]
    with pytest.raises(KeyMissingError):
        platform.keys.placement(done.retired)
    assert workspace.merchants() == ["Before"]


def connect_as(platform: Platform, workspace: Workspace, pid: str) -> None:
    with platform.control.connect() as conn:
        server = servers.by_name(conn, workspace.tenant().server)
    credential: dict[str, Any] = platform.keys.placement(pid).conninfo_params()
    psycopg.connect(host=server.host, port=server.port, dbname=f"t_{pid}", **credential).close()


def test_as_a_new_workspace_everything_is_sealed_under_keys_of_its_own(
    platform: Platform, scratch: ScratchPool, workspace: Workspace, backup: Backup
) -> None:
    workspace.spend("After")
    slug = f"copy-{workspace.slug}"
    done = restore(platform, workspace.slug, as_slug=slug)
    copy = workspace.named(slug, done.tenant.id)
    assert (copy.tenant().state, copy.tenant().slug) == (TenantState.ACTIVE, slug)
    assert workspace.merchants() == ["After", "Before"]
    platform.keys.destroy_tenant(workspace.id)  # the copy must live without anything of the original
    for path in (platform.settings.receipts_dir / workspace.id).rglob("??/*"):
        path.unlink()
    assert copy.merchants() == ["Before"]
    assert copy.member() == ("Wilhelmina Canarius", "wilhelmina@canary.example")
    original, preview = copy.receipt()
    assert preview == b"preview of " + original
    with platform.registry.connect(copy.tenant()) as conn, conn.begin():
        assert not workspace.has_a_way_in(conn)
        assert conn.scalar(select(func.count()).select_from(t.outbox)) == 0
        open_ones = t.invitation.c.accepted_at.is_(None) & t.invitation.c.revoked_at.is_(None)
        assert conn.scalar(select(func.count()).where(open_ones)) == 0
    (outcome,) = runs.run_many(platform, [copy.id], scratch=scratch)
    assert outcome.error is None


def test_a_taken_or_impossible_address_is_refused_before_anything_is_made(
    platform: Platform, workspace: Workspace, another: Workspace, backup: Backup
) -> None:
    with pytest.raises(RefusedError, match="is taken"):
        restore(platform, workspace.slug, as_slug=another.slug)
    with pytest.raises(CallError):
        restore(platform, workspace.slug, as_slug="Not A Slug")


def test_an_unknown_or_foreign_or_failed_backup_is_refused(
    platform: Platform, workspace: Workspace, another: Workspace, backup: Backup
) -> None:
    with pytest.raises(NotFoundError, match="no backup “nope”"):
        restore(platform, workspace.slug, "nope")
    with pytest.raises(NotFoundError, match="not one of"):
        restore(platform, another.slug, backup.id)
    with pytest.raises(NotFoundError, match="no verified backup"):
        restore(platform, another.slug)
    with platform.control.begin() as conn:
        conn.execute(text("UPDATE backup SET state = 'failed' WHERE id = :id"), {"id": backup.id})
    with pytest.raises(RefusedError, match="is failed"):
        restore(platform, workspace.slug, backup.id)


def test_a_schema_newer_than_the_code_is_refused(
    platform: Platform, scratch: ScratchPool, workspace: Workspace
) -> None:
    with platform.control.begin() as conn:
        tenants.set_schema_revision(conn, workspace.id, "9999")
    (outcome,) = runs.run_many(platform, [workspace.id], scratch=scratch)
    assert outcome.backup is not None
    with pytest.raises(RefusedError, match="9999, which is newer"):
        restore(platform, workspace.slug)


def test_a_damaged_backup_leaves_the_workspace_as_it_is_and_no_database(
    platform: Platform, workspace: Workspace, backup: Backup
) -> None:
    path = platform.settings.local_store_dir / names.dump_object(workspace.id, backup.id)
    content = bytearray(path.read_bytes())
    content[-30] ^= 1
    path.write_bytes(content)
    before = workspace.tenant()
    with pytest.raises(VerificationError):
        restore(platform, workspace.slug)
    assert workspace.tenant() == before
    assert states(platform, workspace) == [PlacementState.CURRENT, PlacementState.DROPPED]
    assert workspace.merchants() == ["Before"]


def test_a_catalogue_that_was_tampered_with_is_found(platform: Platform, workspace: Workspace, backup: Backup) -> None:
    with platform.control.begin() as conn:
        conn.execute(text("UPDATE backup SET sha256 = repeat('0', 64) WHERE id = :id"), {"id": backup.id})
    with pytest.raises(VerificationError, match="disagree"):
        restore(platform, workspace.slug)


def test_a_restore_that_fails_on_the_way_leaves_nothing(
    workspace: Workspace, backup: Backup, with_program: WithProgram
) -> None:
    broken = with_program("pg_restore", 'head -c 3000 > /dev/null; echo "pg_restore: error: no luck" >&2; exit 1')
    for as_slug in (None, f"x-{workspace.slug}"):
        keys_before, unfinished_before = broken.keys.tenant_ids(), unfinished(broken)
        with pytest.raises(FailedError, match="no luck"):
            restore(broken, workspace.slug, as_slug=as_slug)
        assert broken.keys.tenant_ids() == keys_before
        assert unfinished(broken) <= unfinished_before
    assert workspace.merchants() == ["Before"]


def unfinished(platform: Platform) -> set[str]:
    """Databases that are being made or dropped; other tests of this process may have left some."""
    with platform.control.connect() as conn:
        return {p.id for p in placements.in_state(conn, PlacementState.BUILDING, PlacementState.DROPPING)}


def test_a_repair_leaves_the_database_of_a_new_workspace_at_work_alone(
    platform: Platform, workspace: Workspace, backup: Backup, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mend(work: Any) -> None:
        with platform.control.begin() as conn:
            old = text("UPDATE placement SET created_at = created_at - interval '1 hour' WHERE id = :id")
            conn.execute(old, {"id": work.names.pid})
        failed = repair(platform, work.server).failed
        assert [one for one in failed if work.names.database in one and "another worker" in one]

    monkeypatch.setattr(restoring, "STEPS", (*STEPS[:2], ("mending", mend), *STEPS[2:]))
    done = restore(platform, workspace.slug, as_slug=f"n-{workspace.slug}")
    assert workspace.named(done.tenant.slug, done.tenant.id).merchants() == ["Before"]


def test_a_new_workspace_that_fails_leaves_no_key_and_no_receipt(
    platform: Platform, workspace: Workspace, backup: Backup, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []

    def fail(work: Any) -> None:
        begun.append(work.target_id)
        raise FailedError("no luck")

    monkeypatch.setattr(restoring, "STEPS", (*STEPS[:-1], ("failing", fail)))
    with pytest.raises(FailedError, match="no luck"):
        restore(platform, workspace.slug, as_slug=f"n-{workspace.slug}")
    assert begun[0] not in platform.keys.tenant_ids()
    assert not [path for path in (platform.settings.receipts_dir / begun[0]).rglob("*") if path.is_file()]


def test_a_restore_that_fails_after_the_switch_keeps_what_the_workspace_lives_in(
    platform: Platform, workspace: Workspace, backup: Backup, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_work: Any) -> None:
        raise FailedError("no luck")

    monkeypatch.setattr(restoring, "STEPS", (*STEPS, ("failing", fail)))
    slug = f"n-{workspace.slug}"
    for as_slug in (None, slug):
        with pytest.raises(FailedError, match="no luck"):
            restore(platform, workspace.slug, as_slug=as_slug)
    with platform.control.connect() as conn:
        made = tenants.by_slug(conn, slug)
    assert workspace.merchants() == workspace.named(slug, made.id).merchants() == ["Before"]
    assert workspace.named(slug, made.id).receipt()[0] == workspace.receipt()[0]


def test_two_restores_of_one_workspace_do_not_meet(
    platform: Platform, workspace: Workspace, backup: Backup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(create, "PATIENCE", 0.2)
    with tenant_lock(platform, workspace.id), pytest.raises(RefusedError, match="changing this workspace"):
        restore(platform, workspace.slug)


def test_a_suspended_workspace_stays_suspended(platform: Platform, workspace: Workspace, backup: Backup) -> None:
    with platform.control.begin() as conn:
        tenants.set_state(conn, workspace.id, TenantState.SUSPENDED)
    assert restore(platform, workspace.slug).tenant.state is TenantState.SUSPENDED


def test_a_workspace_in_use_answers_or_asks_to_wait_but_never_from_the_wrong_database(
    platform: Platform, workspace: Workspace, another: Workspace, backup: Backup
) -> None:
    workspace.spend("After")
    another.spend("Foreign")
    host = f"{workspace.slug}.{platform.settings.base_domain}"
    seen: list[tuple[str, ...]] = []
    wrong: list[Exception] = []
    stop = threading.Event()

    def use() -> None:
        while not stop.is_set():
            try:
                with platform.registry.connect(platform.registry.resolve(host)) as conn, conn.begin():
                    seen.append(tuple(sorted(conn.scalars(select(t.expense.c.merchant)))))
            except UnavailableError:
                seen.append(("503",))
            except Exception as error:  # noqa: BLE001  # collected, and looked at below
                wrong.append(error)

    users = [threading.Thread(target=use) for _ in range(3)]
    for user in users:
        user.start()
    try:
        restore(platform, workspace.slug)
        for _ in range(200):
            if seen[-1] == ("Before",):
                break
            stop.wait(0.05)
    finally:
        stop.set()
        for user in users:
            user.join()
    assert set(seen) <= {("After", "Before"), ("Before",), ("503",)}
    answers = [answer for answer in seen if answer != ("503",)]
    assert answers[0] == ("After", "Before")
    assert answers[-1] == ("Before",)
    for error in wrong:  # a query that was under way when the old database was closed
        assert "terminating connection" in str(error) or "connection" in str(error).lower(), error


KILLED = """
import os, signal, sys
from pathlib import Path
from strongroom.backup import content, restore, switch
from strongroom.config.settings import load_settings
from strongroom.platform.control.platform import open_platform
home, slug, where = sys.argv[1:]

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

if where == "switch":
    switch.switch_placement = die
else:
    content.read_dump = die
with open_platform(load_settings(Path(home))) as platform:
    restore.restore(platform, slug)
"""


@pytest.mark.parametrize("where", ["load", "switch"])
def test_a_restore_that_is_killed_is_undone(
    platform: Platform, workspace: Workspace, backup: Backup, where: str
) -> None:
    command = [sys.executable, "-c", KILLED, str(platform.settings.home), workspace.slug, where]
    done = subprocess.run(command, env=clean_environment(), cwd="/", check=False)
    assert done.returncode == -signal.SIGKILL
    collect.collect(platform)
    assert workspace.tenant().state is TenantState.ACTIVE
    assert workspace.merchants() == ["Before"]
    collect.collect(platform, datetime.now(UTC) + timedelta(hours=25))
    assert states(platform, workspace) == [PlacementState.CURRENT, PlacementState.DROPPED]
    assert restore(platform, workspace.slug).backup.id == backup.id


def test_a_killed_restore_is_undone_by_resuming_and_cannot_be_suspended(
    platform: Platform, workspace: Workspace, backup: Backup
) -> None:
    command = [sys.executable, "-c", KILLED, str(platform.settings.home), workspace.slug, "switch"]
    subprocess.run(command, env=clean_environment(), cwd="/", check=False)
    killed = workspace.tenant()
    assert killed.state is TenantState.RESTORING
    with pytest.raises(RefusedError, match="cannot be suspended now"):
        lifecycle.suspend(platform, killed)
    assert lifecycle.resume(platform, killed).state is TenantState.ACTIVE
    assert workspace.merchants() == ["Before"]


@pytest.fixture
def down(platform: Platform) -> Generator[str]:
    """A server that does not answer, for as long as the test runs."""
    with platform.control.begin() as conn:
        region = servers.list_all(conn)[0].region
        servers.put(conn, name="down", region_id=region, host="/nonexistent", port=5432, kind="external")
    yield "down"
    with platform.control.begin() as conn:
        conn.execute(text("UPDATE placement SET server_name = 'embedded' WHERE server_name = 'down'"))
        conn.execute(text("DELETE FROM server WHERE name = 'down'"))


def test_a_server_that_is_down_stops_the_clearing_of_its_own_workspaces_only(
    platform: Platform, workspace: Workspace, another: Workspace, backup: Backup, down: str
) -> None:
    runs.run_many(platform, [another.id])
    for one in (another, workspace):
        restore(platform, one.slug)
        with platform.control.begin() as conn:
            tenants.set_state(conn, one.id, TenantState.MIGRATING)
    platform.keys.create_server(down)
    with platform.control.begin() as conn:  # “another” is the older one, and the first by its address
        conn.execute(text("UPDATE placement SET server_name = 'down' WHERE tenant_id = :id"), {"id": another.id})
    collect.collect(platform, datetime.now(UTC) + timedelta(days=8))
    assert workspace.tenant().state is TenantState.ACTIVE
    assert states(platform, workspace) == [PlacementState.CURRENT, PlacementState.DROPPED]
    assert another.tenant().state is TenantState.MIGRATING
    assert states(platform, another) == [PlacementState.CURRENT, PlacementState.DROPPING]
