import hashlib
import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyrage
import pytest
import zstandard
from sqlalchemy import text
from waiting import wait_for

from strongroom.backup import collect, names, runs, tasks
from strongroom.backup.prune import plan_pruning, prune
from strongroom.backup.records import Backup, BackupState
from strongroom.backup.scratch import ScratchPool
from strongroom.backup.stores.opening import open_store
from strongroom.backup.subject import identity_of
from strongroom.backup.verify import read_descriptor
from strongroom.config.errors import FailedError, NotFoundError, RefusedError, VerificationError
from strongroom.platform.control.platform import Platform
from strongroom.platform.jobs.worker import run_worker
from strongroom.platform.tenants import queries as tenants
from strongroom.platform.tenants.states import TenantState
from strongroom.provisioning.postgres.programs import clean_environment, find_bindir

Workspace = Any  # of conftest.py, which no test can import
WithProgram = Callable[[str, str], Platform]


def back_up(platform: Platform, scratch: ScratchPool, tenant_id: str | None, *, force: bool = False) -> Backup:
    (outcome,) = runs.run_many(platform, [tenant_id], scratch=scratch, force=force)
    if outcome.error is not None:
        raise outcome.error
    assert outcome.backup is not None
    return outcome.backup


def test_a_backup_is_verified_in_the_run_and_described_in_the_catalogue(
    platform: Platform, scratch: ScratchPool, workspace: Workspace
) -> None:
    backup = back_up(platform, scratch, workspace.id)
    assert backup.state is BackupState.VERIFIED
    assert backup.verified_at is not None
    assert backup.object is not None
    assert backup.receipts == 2
    content = (platform.settings.local_store_dir / backup.object).read_bytes()
    assert (backup.size, backup.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert backup.manifest is not None
    assert backup.manifest["tables"]["app.expense"]["rows"] == 1
    shown = workspace.tenant()
    assert shown.last_backup_at == backup.finished_at
    assert shown.last_verified_at == backup.verified_at


def test_an_unchanged_workspace_is_not_dumped_again_until_something_is_written(
    platform: Platform, scratch: ScratchPool, workspace: Workspace
) -> None:
    workspace.settle()
    first = back_up(platform, scratch, workspace.id)
    second = back_up(platform, scratch, workspace.id)
    assert (second.state, second.unchanged_since, second.object) == (BackupState.UNCHANGED, first.id, None)
    assert back_up(platform, scratch, workspace.id, force=True).state is BackupState.VERIFIED
    workspace.spend("After")
    workspace.settle()
    assert back_up(platform, scratch, workspace.id).state is BackupState.VERIFIED


def test_an_open_session_that_may_have_written_is_never_taken_for_no_change(
    platform: Platform, scratch: ScratchPool, workspace: Workspace
) -> None:
    workspace.settle()
    back_up(platform, scratch, workspace.id)
    workspace.merchants()  # leaves an idle session, whose counters the server may not have published yet
    assert back_up(platform, scratch, workspace.id).state is BackupState.VERIFIED


def test_personal_data_is_unreadable_in_the_store_in_a_raw_dump_and_among_the_receipts(
    platform: Platform, scratch: ScratchPool, workspace: Workspace
) -> None:
    backup = back_up(platform, scratch, workspace.id)
    raw = opened_by_hand(platform, backup)
    plain = subprocess.run(
        [find_bindir(platform.settings) / "pg_restore", "--file=-"], input=raw, capture_output=True, check=True
    ).stdout
    assert b"COPY app.member" in plain
    folders = [platform.settings.backup_root, platform.settings.receipts_dir]
    files = [path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 5
    for canary in workspace.canaries:
        assert canary not in plain
        assert canary.hex().encode() not in plain
        assert not any(canary in content for content in files)


def test_public_tools_and_the_key_open_a_backup_without_this_software(
    platform: Platform, scratch: ScratchPool, workspace: Workspace
) -> None:
    raw = opened_by_hand(platform, back_up(platform, scratch, workspace.id))
    listing = subprocess.run(
        [find_bindir(platform.settings) / "pg_restore", "--list"],
        input=raw,
        capture_output=True,
        check=True,
        text=False,
    ).stdout
    assert b"TABLE DATA app expense" in listing


def opened_by_hand(platform: Platform, backup: Backup) -> bytes:
    """`age -d -i key | zstd -d`, with the libraries of the same names."""
    assert backup.object is not None
    assert backup.tenant_id is not None
    identity = pyrage.x25519.Identity.from_str(platform.keys.tenant(backup.tenant_id).backup_identity)
    sealed = (platform.settings.local_store_dir / backup.object).read_bytes()
    packed = pyrage.decrypt(sealed, [identity])
    return zstandard.ZstdDecompressor().stream_reader(io.BytesIO(packed), read_across_frames=True).read()


def test_the_control_database_is_backed_up_and_verified_too(platform: Platform, scratch: ScratchPool) -> None:
    backup = back_up(platform, scratch, None)
    assert (backup.state, backup.kind, backup.label) == (BackupState.VERIFIED, "control", "control")
    assert backup.manifest is not None
    assert "public.tenant" in backup.manifest["tables"]


def test_every_key_has_its_copy_on_the_backup_root(platform: Platform, workspace: Workspace) -> None:
    copies = list(platform.settings.key_copies_dir.rglob(f"{workspace.id}.json"))
    assert len(copies) == 1


def test_one_failing_workspace_stops_no_other(
    platform: Platform, scratch: ScratchPool, workspace: Workspace, another: Workspace
) -> None:
    with platform.control.begin() as conn:
        tenants.set_state(conn, workspace.id, TenantState.MIGRATING)
    seen: list[str] = []
    outcomes = runs.run_many(
        platform, [workspace.id, another.id], scratch=scratch, progress=lambda event: seen.append(event.subject)
    )
    assert isinstance(outcomes[0].error, RefusedError)
    assert outcomes[1].backup is not None
    assert sorted(seen) == sorted([workspace.slug, another.slug])
    with platform.control.begin() as conn:
        tenants.set_state(conn, workspace.id, TenantState.ACTIVE)


def test_a_suspended_workspace_is_backed_up(platform: Platform, scratch: ScratchPool, workspace: Workspace) -> None:
    with platform.control.begin() as conn:
        tenants.set_state(conn, workspace.id, TenantState.SUSPENDED)
    assert back_up(platform, scratch, workspace.id).state is BackupState.VERIFIED


@pytest.mark.parametrize("script", ["kill -9 $$", '"$REAL" "$@" | head -c 6000; kill -9 $$', '"$REAL" "$@"; exit 1'])
def test_a_dump_that_is_killed_or_fails_counts_for_nothing(
    scratch: ScratchPool, workspace: Workspace, with_program: WithProgram, script: str
) -> None:
    platform = with_program("pg_dump", script)
    with pytest.raises(FailedError, match="pg_dump failed"):
        back_up(platform, scratch, workspace.id)
    (entry,) = runs.list_backups(platform, workspace.slug)
    assert entry.state is BackupState.FAILED
    assert entry.failure is not None
    assert "pg_dump failed" in entry.failure
    assert objects_of(platform, workspace) == []
    assert workspace.tenant().last_backup_at is None


def objects_of(platform: Platform, workspace: Workspace) -> list[str]:
    store = open_store(platform.settings)
    folder = names.folder(workspace.id)
    found = [*store.list(folder), *store.abandoned()]
    return [one.name for one in found if one.name.startswith(folder) and "/receipts/" not in one.name]


def damage_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize("damage", [damage_bit, truncate, Path.unlink])
@pytest.mark.parametrize("which", ["dump", "descriptor", "receipt"])
def test_a_damaged_object_fails_the_verification(
    platform: Platform, scratch: ScratchPool, workspace: Workspace, which: str, damage: Callable[[Path], None]
) -> None:
    backup = back_up(platform, scratch, workspace.id)
    assert backup.object is not None
    store = platform.settings.local_store_dir
    paths = {
        "dump": store / backup.object,
        "descriptor": store / names.descriptor_object(backup.object),
        "receipt": next((store / names.folder(workspace.id) / "receipts").rglob("??/*")),
    }
    damage(paths[which])
    with pytest.raises(VerificationError):
        runs.verify_one(platform, backup.id, scratch=scratch)
    entry = runs.show_backup(platform, backup.id)
    assert entry.state is BackupState.FAILED
    assert entry.failure


def test_a_backup_whose_object_was_away_can_be_proved_again(
    platform: Platform, scratch: ScratchPool, workspace: Workspace
) -> None:
    backup = back_up(platform, scratch, workspace.id)
    assert backup.object is not None
    here = platform.settings.local_store_dir / backup.object
    away = here.rename(here.with_suffix(".away"))
    with pytest.raises(VerificationError):
        runs.verify_one(platform, backup.id, scratch=scratch)
    away.rename(here)
    entry = runs.verify_one(platform, backup.id, scratch=scratch)
    assert (entry.state, entry.failure) == (BackupState.VERIFIED, None)


def test_verifying_everything_finds_the_damaged_one_and_goes_on(
    platform: Platform, scratch: ScratchPool, workspace: Workspace, another: Workspace
) -> None:
    with platform.control.begin() as conn:  # those of other tests are not looked at
        conn.execute(text("UPDATE backup SET state = 'failed' WHERE state IN ('stored', 'verified')"))
    bad, good = back_up(platform, scratch, workspace.id), back_up(platform, scratch, another.id)
    assert bad.object is not None
    damage_bit(platform.settings.local_store_dir / bad.object)
    outcomes = {outcome.tenant_id: outcome for outcome in runs.verify_all(platform)}
    assert isinstance(outcomes[workspace.id].error, VerificationError)
    proved = outcomes[another.id].backup
    assert proved is not None
    assert proved.verified_at is not None
    assert good.verified_at is not None
    assert proved.verified_at > good.verified_at


@pytest.mark.parametrize("with_descriptor", [False, True])
def test_swapped_objects_are_found(
    platform: Platform, scratch: ScratchPool, workspace: Workspace, another: Workspace, with_descriptor: bool
) -> None:
    mine, other = back_up(platform, scratch, workspace.id), back_up(platform, scratch, another.id)
    older = mine
    mine = back_up(platform, scratch, workspace.id, force=True)
    for foreign in (older, other):
        assert mine.object is not None
        assert foreign.object is not None
        store = platform.settings.local_store_dir
        pairs = [(foreign.object, mine.object)]
        if with_descriptor:
            pairs.append((names.descriptor_object(foreign.object), names.descriptor_object(mine.object)))
        for source, target in pairs:
            (store / target).write_bytes((store / source).read_bytes())
        with pytest.raises(VerificationError):
            runs.verify_one(platform, mine.id, scratch=scratch)
        mine = back_up(platform, scratch, workspace.id, force=True)


def test_a_receipt_that_its_origin_has_lost_is_written_down_and_costs_nothing_else(
    platform: Platform, scratch: ScratchPool, workspace: Workspace
) -> None:
    gone = next((platform.settings.receipts_dir / workspace.id).rglob("??/*"))
    content = gone.read_bytes()
    gone.unlink()
    workspace.settle()
    back_up(platform, scratch, workspace.id)
    backup = back_up(platform, scratch, workspace.id)  # this one, too, is made: the receipt may be back
    assert (backup.state, backup.receipts, backup.receipts_lost) == (BackupState.VERIFIED, 1, 1)
    descriptor = read_descriptor(open_store(platform.settings), backup, identity_of(platform, workspace.id))
    assert [one.sha256 for one in descriptor.lost] == [hashlib.sha256(content).hexdigest()]
    gone.write_bytes(content)
    assert back_up(platform, scratch, workspace.id).receipts_lost == 0


def test_receipts_are_copied_once(platform: Platform, scratch: ScratchPool, workspace: Workspace) -> None:
    folder = platform.settings.local_store_dir / names.folder(workspace.id) / "receipts"
    back_up(platform, scratch, workspace.id)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("??/*")}
    back_up(platform, scratch, workspace.id, force=True)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("??/*")} == before


KILLED = """
import sys
from pathlib import Path
from strongroom.backup import runs
from strongroom.config.settings import load_settings
from strongroom.platform.control.platform import open_platform
home, bindir, tenant_id = sys.argv[1:]
with open_platform(load_settings(Path(home), postgres_bindir=bindir)) as platform:
    runs.run_backup(platform, tenant_id)
"""


@pytest.mark.parametrize("script", ['"$REAL" "$@" | head -c 4000; sleep 20', "sleep 20"])
def test_a_process_killed_in_the_middle_of_a_backup_leaves_nothing_false(
    platform: Platform, scratch: ScratchPool, workspace: Workspace, with_program: WithProgram, script: str
) -> None:
    slow = with_program("pg_dump", script)
    command = [sys.executable, "-c", KILLED, str(slow.settings.home), slow.settings.postgres_bindir, workspace.id]
    process = subprocess.Popen(command, env=clean_environment(), cwd="/", start_new_session=True)
    wait_for(lambda: bool(list(platform.settings.local_store_dir.glob(f"tenants/{workspace.id}/.tmp-*"))))
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()

    (entry,) = runs.list_backups(platform, workspace.slug)
    assert entry.state is BackupState.RUNNING
    assert workspace.tenant().last_backup_at is None
    collect.collect(platform, datetime.now(UTC) + timedelta(minutes=6))
    assert runs.show_backup(platform, entry.id).state is BackupState.FAILED
    collect.collect(platform, datetime.now(UTC) + timedelta(hours=25))
    assert objects_of(platform, workspace) == []
    assert list(platform.settings.run_dir.glob("backup-*")) == []
    assert back_up(platform, scratch, workspace.id).state is BackupState.VERIFIED


def test_a_process_that_was_given_up_cannot_overrule_the_catalogue(
    platform: Platform, scratch: ScratchPool, workspace: Workspace, with_program: WithProgram
) -> None:
    given_up = "UPDATE backup SET state = 'failed', failure = 'given up' WHERE tenant_id = :id AND state = 'running'"
    marker = platform.settings.run_dir / f"dumping-{workspace.id}"
    slow = with_program("pg_dump", f'touch {marker}; while [ -e {marker} ]; do sleep 0.05; done; "$REAL" "$@"')

    def give_up() -> None:
        wait_for(marker.exists)
        with platform.control.begin() as conn:
            conn.execute(text(given_up), {"id": workspace.id})
        marker.unlink()

    thread = threading.Thread(target=give_up)
    thread.start()
    with pytest.raises(FailedError, match="given up"):
        back_up(slow, scratch, workspace.id)
    thread.join()
    (entry,) = runs.list_backups(platform, workspace.slug)
    assert (entry.state, entry.failure) == (BackupState.FAILED, "given up")
    assert objects_of(platform, workspace) == []


def test_an_object_without_entry_is_removed_after_a_day_and_not_before(
    platform: Platform, scratch: ScratchPool, workspace: Workspace
) -> None:
    backup = back_up(platform, scratch, workspace.id)
    store = open_store(platform.settings)
    orphan = names.dump_object(workspace.id, "20200101-000000-aaaaaaaa")
    with store.create(orphan) as target:
        target.write(b"nobody's")
    collect.collect(platform, datetime.now(UTC) + timedelta(hours=23))
    assert store.exists(orphan)
    collect.collect(platform, datetime.now(UTC) + timedelta(hours=25))
    assert not store.exists(orphan)
    assert backup.object is not None
    assert store.exists(backup.object)


def test_a_backup_past_its_time_goes_with_its_objects_but_never_the_last_verified(
    platform: Platform, scratch: ScratchPool, workspace: Workspace
) -> None:
    older = back_up(platform, scratch, workspace.id)
    newer = back_up(platform, scratch, workspace.id, force=True)
    later = datetime.now(UTC) + timedelta(days=31)
    assert [one.backup.id for one in plan_pruning(platform, later, workspace.slug)] == [older.id]
    assert older.id in [b.id for b in runs.list_backups(platform, workspace.slug)]
    assert [one.backup.id for one in prune(platform, later, workspace.slug)] == [older.id]
    assert [b.id for b in runs.list_backups(platform, workspace.slug)] == [newer.id]
    assert objects_of(platform, workspace) == [newer.object, names.descriptor_object(newer.object or "")]


def test_the_worker_backs_up_what_is_due_and_then_nothing_is(
    platform: Platform,
    scratch: ScratchPool,
    workspace: Workspace,
    another: Workspace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tasks, "_scratch", lambda _settings: scratch)  # none lingers on into other tests
    # No start time of theirs passes while the test runs.
    monkeypatch.setattr("strongroom.backup.due.last_start", lambda *_: datetime(2000, 1, 1, tzinfo=UTC))
    assert {workspace.id, another.id} <= set(runs.due_now(platform))
    tasks.queue_due(platform)
    tasks.queue_due(platform)
    run_worker(platform, wait=False)
    for one in (workspace, another):
        (entry,) = runs.list_backups(platform, one.slug)
        assert entry.state is BackupState.VERIFIED
    runs.run_due(platform)
    assert not {workspace.id, another.id, None} & set(runs.due_now(platform))  # others may have to be tried again


def test_unknown_backups_and_workspaces_are_named(platform: Platform) -> None:
    with pytest.raises(NotFoundError, match="no backup “nope”"):
        runs.show_backup(platform, "nope")
    with pytest.raises(NotFoundError):
        runs.list_backups(platform, "no-such-workspace")


def test_a_full_disk_ends_in_one_sentence_and_no_object(
    platform: Platform, scratch: ScratchPool, workspace: Workspace, tmp_path: Path
) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the store's folder should be")
    full = replace(platform, settings=replace(platform.settings, backup_root=blocked))
    with pytest.raises(FailedError, match="cannot be written"):
        back_up(full, scratch, workspace.id)
    (entry,) = runs.list_backups(platform, workspace.slug)
    assert entry.state is BackupState.FAILED
