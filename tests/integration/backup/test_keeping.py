"""Schedule, alarms, retention and scrubbing, on real backups."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, text

from strongroom.backup import alarms, catalogue, collect, copy_checks, names, policy, runs, scrub, tasks
from strongroom.backup.candidates import candidates
from strongroom.backup.copies import replicate
from strongroom.backup.copy_checks import Copy
from strongroom.backup.due import due
from strongroom.backup.prune import plan_pruning, prune
from strongroom.backup.receipt_pruning import remove_unnamed
from strongroom.backup.records import Backup, BackupState
from strongroom.backup.scratch import ScratchPool
from strongroom.backup.stores.opening import open_store
from strongroom.backup.take import take_backup
from strongroom.backup.writing import writing
from strongroom.config.errors import CallError, FailedError, NotFoundError, VerificationError
from strongroom.config.stores import StoreSettings
from strongroom.platform.control.platform import Platform
from strongroom.platform.protection import queries as protection
from strongroom.platform.protection.policy import Wishes
from strongroom.provisioning.postgres.programs import clean_environment
from strongroom.tenant_schema import tables as t

Workspace = Any  # of conftest.py, which no test can import
NOW = datetime.now(UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def back_up(platform: Platform, scratch: ScratchPool, tenant_id: str | None, *, force: bool = False) -> Backup:
    (outcome,) = runs.run_many(platform, [tenant_id], scratch=scratch, force=force)
    assert outcome.backup is not None, outcome.error
    return outcome.backup


def damage(platform: Platform, name: str) -> Path:
    path = platform.settings.local_store_dir / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    return path


def candidate(platform: Platform, workspace: Workspace, now: datetime) -> Any:
    with platform.control.connect() as conn:
        plans = protection.policies(conn, platform.settings)
        found = candidates(conn, plans, plans["free"], now)
    return next(one for one in found if one.tenant_id == workspace.id)


# Schedule


def test_each_plan_has_its_own_policy_and_what_it_does_not_set_is_the_installations(
    platform: Platform, workspace: Workspace
) -> None:
    plan = workspace.tenant().plan
    try:
        policy.change(platform, plan, {"interval": 3, "window": "22-05", "weekly": 8}, operator="root")
        (found,) = policy.policies(platform, plan)
        assert (found.own, found.policy.days) == (("interval", "weekly", "window"), 30)
        one = candidate(platform, workspace, NOW)
        assert (one.interval, str(one.window)) == (3 * HOUR, "22-05")
        changed = policy.change(platform, plan, {"window": "any"}, ("interval", "weekly"), operator="root")
        assert (changed.own, changed.policy.interval) == ((), 6 * HOUR)
    finally:
        with platform.control.begin() as conn:
            protection.set_wishes(conn, plan, Wishes())


@pytest.mark.parametrize("window", ["5-5", "22", "25-3", "0-24", "a-b", "-1-4"])
def test_a_window_that_is_none_is_refused(platform: Platform, window: str) -> None:
    with pytest.raises(CallError, match="window"):
        policy.planned(platform, "pro", {"window": window})


def test_a_plan_that_is_none_is_named(platform: Platform) -> None:
    with pytest.raises(NotFoundError, match="there are: free, pro, team"):
        policy.policies(platform, "gold")


def test_what_a_wrong_clock_has_dated_into_the_future_neither_blocks_the_next_backup_nor_counts_as_one(
    platform: Platform, scratch: ScratchPool, workspace: Workspace
) -> None:
    good, ahead = back_up(platform, scratch, workspace.id), back_up(platform, scratch, workspace.id, force=True)
    with platform.control.begin() as conn:
        conn.execute(text("UPDATE backup SET started_at = now() + interval '3 days' WHERE id = :id"), {"id": ahead.id})
    one = candidate(platform, workspace, datetime.now(UTC))
    assert (one.last_good, one.last_try) == (good.started_at, good.started_at)
    with platform.control.connect() as conn:
        standings = protection.standings(conn, platform.settings, datetime.now(UTC))
        newest = catalogue.newest(conn, workspace.id, (BackupState.VERIFIED,))
    assert next(one for one in standings if one.tenant_id == workspace.id).verified == good.started_at
    assert newest is not None
    assert newest.id == good.id


def test_when_what_a_finding_of_no_change_stands_on_is_damaged_the_workspace_is_due_and_unproved(
    platform: Platform, scratch: ScratchPool, workspace: Workspace
) -> None:
    workspace.settle()
    base, same = back_up(platform, scratch, workspace.id), back_up(platform, scratch, workspace.id)
    assert same.state is BackupState.UNCHANGED
    assert candidate(platform, workspace, datetime.now(UTC)).last_good == same.started_at
    assert workspace.tenant().last_verified_at == base.verified_at
    damage(platform, base.object or "")
    with pytest.raises(VerificationError):
        runs.verify_one(platform, base.id, scratch=scratch)
    assert candidate(platform, workspace, datetime.now(UTC)).last_good is None
    assert due([candidate(platform, workspace, NOW + HOUR)], datetime.now(UTC) + HOUR / 10) == [workspace.id]
    assert workspace.tenant().last_verified_at is None
    assert back_up(platform, scratch, workspace.id).state is BackupState.VERIFIED


def test_failures_since_the_last_good_backup_are_counted_for_a_workspace_and_for_the_control_database(
    platform: Platform, scratch: ScratchPool, workspace: Workspace
) -> None:
    assert candidate(platform, workspace, datetime.now(UTC)).failures == 0
    row = "INSERT INTO backup (id, tenant_id, kind, state, started_at) VALUES (:id, :tenant, :kind, 'failed', now())"
    for tenant_id, kind in ((workspace.id, "tenant"), (None, "control")):
        back_up(platform, scratch, tenant_id)
        assert count_failures(platform, tenant_id) == 0
        for number in range(2):
            values = {"id": f"failed-{workspace.id}-{kind}-{number}", "tenant": tenant_id, "kind": kind}
            with platform.control.begin() as conn:
                conn.execute(text(row), values)
        assert count_failures(platform, tenant_id) == 2
        back_up(platform, scratch, tenant_id, force=True)
        assert count_failures(platform, tenant_id) == 0


def count_failures(platform: Platform, tenant_id: str | None) -> int:
    with platform.control.connect() as conn:
        plans = protection.policies(conn, platform.settings)
        found = candidates(conn, plans, plans["free"], datetime.now(UTC))
    return next(one.failures for one in found if one.tenant_id == tenant_id)


# Alarms


@pytest.fixture
def watched(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Platform:
    """The platform with somebody to tell; of everything, however much other tests have left to tell of."""
    monkeypatch.setattr(alarms, "_LISTED", 10_000)
    return replace(platform, settings=replace(platform.settings, operator_email="ops@canary.example"))


def mails_about(platform: Platform, word: str) -> list[str]:
    """Texts of the mails to operators that have `word` in them, without those that name it as ended."""
    found = [message_from_bytes(path.read_bytes(), policy=default) for path in _alarm_files(platform)]
    assert all(mail["To"] == "ops@canary.example" for mail in found)
    bodies = [mail.get_body().get_content() for mail in found]  # pyright: ignore[reportOptionalMemberAccess]
    return [body for body in bodies if word in body]


def _alarm_files(platform: Platform) -> list[Path]:
    return sorted(platform.settings.outbox_dir.glob("alarm-*.eml"))


def ended(bodies: list[str], word: str) -> list[str]:
    return [body for body in bodies if word in body.partition("No longer the case:")[2]]


def test_a_late_backup_is_told_once_and_so_is_its_end(
    watched: Platform, scratch: ScratchPool, workspace: Workspace
) -> None:
    alarms.check(watched, datetime.now(UTC) + 6.9 * HOUR)
    assert mails_about(watched, workspace.slug) == []
    for hours in (7.1, 8, 9):
        alarms.check(watched, datetime.now(UTC) + hours * HOUR)
    (first,) = mails_about(watched, workspace.slug)
    assert f"{workspace.slug} has no verified backup at all." in first
    back_up(watched, scratch, workspace.id)
    for _ in range(2):
        alarms.check(watched)
    bodies = mails_about(watched, workspace.slug)
    assert (len(bodies), len(ended(bodies, workspace.slug))) == (2, 1)
    alarms.check(watched, datetime.now(UTC) + 7.1 * HOUR)  # a new trouble of the same kind is told again
    assert len(mails_about(watched, workspace.slug)) == 3


def test_what_could_not_be_mailed_is_mailed_by_the_next_check(
    watched: Platform, platform: Platform, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = datetime.now(UTC) + 7.1 * HOUR

    def refuse(*_: object) -> bool:
        raise FailedError("the disk is full")

    with monkeypatch.context() as patched, pytest.raises(FailedError):
        patched.setattr(alarms, "tell_operators", refuse)
        alarms.check(watched, later)
    alarms.check(platform, later)  # nobody is named there: only the log says it
    assert mails_about(watched, workspace.slug) == []
    alarms.check(watched, later)
    alarms.check(watched, later)
    assert len(mails_about(watched, workspace.slug)) == 1


def test_a_failed_verification_and_lost_receipts_are_told_at_once_by_the_job_that_finds_them(
    watched: Platform, scratch: ScratchPool, workspace: Workspace, another: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "_scratch", lambda _: scratch)
    next((watched.settings.receipts_dir / workspace.id).rglob("??/*")).unlink()
    tasks.back_up_tenant(watched, workspace.id)
    assert len(mails_about(watched, f"{workspace.slug}: 1 receipts were lost")) == 1

    def fail(*_: object) -> None:
        raise VerificationError("It is not what it was.")

    monkeypatch.setattr("strongroom.backup.verify.check_backup", fail)
    with pytest.raises(VerificationError):
        tasks.back_up_tenant(watched, another.id)
    (body,) = mails_about(watched, another.slug)
    assert "failed its verification: It is not what it was." in body


# Retention


KILLED_PRUNE = """
import sys, time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from strongroom.backup import prune
from strongroom.config.settings import load_settings
from strongroom.platform.control.platform import open_platform
def hang(*_):
    print("removing", flush=True)
    time.sleep(60)
prune.{what} = hang
with open_platform(load_settings(Path(sys.argv[1]))) as platform:
    prune.prune(platform, datetime.now(UTC) + timedelta(days=31), sys.argv[2])
"""


@pytest.mark.parametrize("what", ["_remove_objects", "_remove_receipts"])
def test_pruning_that_is_killed_leaves_no_entry_without_object_and_the_collector_ends_it(
    platform: Platform, scratch: ScratchPool, workspace: Workspace, what: str
) -> None:
    older, newer = back_up(platform, scratch, workspace.id), back_up(platform, scratch, workspace.id, force=True)
    command = [sys.executable, "-c", KILLED_PRUNE.format(what=what), str(platform.settings.home), workspace.slug]
    with subprocess.Popen(command, env=clean_environment(), cwd="/", stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "removing\n"
        process.send_signal(signal.SIGKILL)
    assert [one.id for one in runs.list_backups(platform, workspace.slug)] == [newer.id]
    store = open_store(platform.settings)
    assert store.exists(older.object or "") is (what == "_remove_objects")
    collect.remove_orphans(platform, store, datetime.now(UTC) + 31 * DAY)
    assert not store.exists(older.object or "")
    assert store.exists(newer.object or "")
    assert runs.verify_one(platform, newer.id, scratch=scratch).state is BackupState.VERIFIED


def receipts_in_store(platform: Platform, workspace: Workspace) -> int:
    return len(list(open_store(platform.settings).list(f"{names.folder(workspace.id)}/receipts")))


def without_receipts(workspace: Workspace) -> None:
    with workspace.platform.registry.connect(workspace.tenant()) as conn, conn.begin():
        conn.execute(delete(t.receipt))


def test_a_receipt_goes_with_the_last_backup_that_names_it(
    platform: Platform, scratch: ScratchPool, workspace: Workspace
) -> None:
    with_them = back_up(platform, scratch, workspace.id)
    without_receipts(workspace)
    back_up(platform, scratch, workspace.id, force=True)
    later = datetime.now(UTC) + 31 * DAY
    assert remove_unnamed(platform, workspace.id, later) == 0
    assert receipts_in_store(platform, workspace) == 2
    assert [one.backup.id for one in prune(platform, later, workspace.slug)] == [with_them.id]
    assert receipts_in_store(platform, workspace) == 0


def test_receipts_stay_while_they_are_young_a_backup_runs_or_a_descriptor_cannot_be_read(
    platform: Platform, scratch: ScratchPool, workspace: Workspace
) -> None:
    with_them = back_up(platform, scratch, workspace.id)
    without_receipts(workspace)
    other = back_up(platform, scratch, workspace.id, force=True)
    with platform.control.begin() as conn:
        catalogue.forget(conn, with_them.id)
    assert remove_unnamed(platform, workspace.id, datetime.now(UTC) + 23 * HOUR) == 0
    later = datetime.now(UTC) + 25 * HOUR
    with writing(platform, workspace.id):
        assert remove_unnamed(platform, workspace.id, later) == 0
    path = damage(platform, names.descriptor_object(other.object or ""))
    with pytest.raises(VerificationError):
        remove_unnamed(platform, workspace.id, later)
    assert receipts_in_store(platform, workspace) == 2
    path.write_bytes(path.read_bytes())
    damage(platform, names.descriptor_object(other.object or ""))  # the bit is as it was
    assert remove_unnamed(platform, workspace.id, later) == 2


def test_the_plan_of_a_workspace_says_how_long_its_backups_are_kept(
    platform: Platform, scratch: ScratchPool, workspace: Workspace
) -> None:
    older, _ = back_up(platform, scratch, workspace.id), back_up(platform, scratch, workspace.id, force=True)
    later = datetime.now(UTC) + 8 * DAY
    assert plan_pruning(platform, later, workspace.slug) == []
    try:
        policy.change(platform, workspace.tenant().plan, {"days": 7}, operator="root")
        (planned,) = plan_pruning(platform, later, workspace.slug)
        assert (planned.backup.id, planned.why) == (older.id, "older than 7 days")
    finally:
        with platform.control.begin() as conn:
            protection.set_wishes(conn, workspace.tenant().plan, Wishes())


# Scrubbing


def copies_of(platform: Platform, workspace: Workspace) -> list[Copy]:
    return scrub.all_copies(platform, workspace.slug)


def test_a_good_copy_is_marked_and_not_read_again_for_thirty_days(
    platform: Platform, scratch: ScratchPool, workspace: Workspace
) -> None:
    backup = back_up(platform, scratch, workspace.id)
    (checked,) = scrub.scrub(platform, copies_of(platform, workspace))
    assert checked.error is None
    (copy,) = copies_of(platform, workspace)
    assert (copy.backup.id, copy.store) == (backup.id, "local")
    assert copy.checked_at is not None
    others = "UPDATE backup SET state = 'failed' WHERE state IN ('stored', 'verified') AND id <> :id"
    with platform.control.begin() as conn:  # those of other tests are not looked at
        conn.execute(text(others), {"id": backup.id})
    assert scrub.longest_unchecked(platform, datetime.now(UTC) + 29 * DAY) == []
    assert [one.backup.id for one in scrub.longest_unchecked(platform, datetime.now(UTC) + 31 * DAY)] == [backup.id]


@pytest.mark.parametrize("harm", [damage, lambda platform, name: (platform.settings.local_store_dir / name).unlink()])
@pytest.mark.parametrize("which", ["dump", "descriptor", "receipt"])
def test_a_copy_that_has_rotted_is_found_by_reading_it_again(
    platform: Platform,
    scratch: ScratchPool,
    workspace: Workspace,
    which: str,
    harm: Callable[[Platform, str], object],
) -> None:
    backup = back_up(platform, scratch, workspace.id)
    store = open_store(platform.settings)
    receipt = next(iter(store.list(f"{names.folder(workspace.id)}/receipts"))).name
    dump = backup.object or ""
    harm(platform, {"dump": dump, "descriptor": names.descriptor_object(dump), "receipt": receipt}[which])
    (checked,) = scrub.scrub(platform, copies_of(platform, workspace))
    assert isinstance(checked.error, VerificationError)
    entry = runs.show_backup(platform, backup.id)
    assert entry.state is BackupState.FAILED
    assert entry.failure
    assert copies_of(platform, workspace) == []


@pytest.mark.parametrize("path", ["../../etc/passwd", "tenants/x/../../control/y.age", "/etc/passwd", ""])
def test_a_forged_path_in_the_catalogue_is_a_failed_verification(
    platform: Platform, scratch: ScratchPool, workspace: Workspace, path: str
) -> None:
    backup = back_up(platform, scratch, workspace.id)
    with platform.control.begin() as conn:
        conn.execute(text("UPDATE backup SET object = :path WHERE id = :id"), {"path": path, "id": backup.id})
    with pytest.raises(VerificationError, match="not the one of this backup"):
        runs.verify_one(platform, backup.id, scratch=scratch)


@pytest.fixture
def two_stores(watched: Platform, scratch: ScratchPool, workspace: Workspace, tmp_path: Path) -> Platform:
    """The platform with two stores that both have the one backup of the workspace, and no other backups."""
    backup = back_up(watched, scratch, workspace.id)
    stores = tuple(StoreSettings(name, (tmp_path / name).as_uri()) for name in ("here", "there"))
    for store in stores:
        folder = names.folder(workspace.id)
        shutil.copytree(watched.settings.local_store_dir / folder, store.folder / "store" / folder)
    others = "UPDATE backup SET state = 'failed' WHERE state IN ('stored', 'verified') AND id <> :id"
    with watched.control.begin() as conn:
        conn.execute(text(others), {"id": backup.id})
        conn.execute(text("DELETE FROM backup_copy WHERE backup_id = :id"), {"id": backup.id})
        for store in stores:
            copy_checks.mark_checked(conn, Copy(backup, store.name), datetime.now(UTC))
    return replace(watched, settings=replace(watched.settings, backup_store=stores))


def objects_in(platform: Platform, store: str, backup: Backup) -> dict[str, Path]:
    """Where the parts of a backup lie in a store."""
    root = next(one.folder for one in platform.settings.backup_stores if one.name == store) / "store"
    dump = backup.object or ""
    receipt = next((root / names.folder(backup.tenant_id) / "receipts").rglob("??/*"))
    return {"dump": root / dump, "descriptor": root / names.descriptor_object(dump), "receipt": receipt}


@pytest.mark.parametrize("which", ["dump", "descriptor", "receipt"])
def test_a_bad_copy_of_a_backup_that_is_good_elsewhere_is_told_and_made_anew(
    two_stores: Platform, workspace: Workspace, which: str
) -> None:
    backup = runs.list_backups(two_stores, workspace.slug)[0]
    path = objects_in(two_stores, "here", backup)[which]
    before = path.read_bytes()
    path.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    bad, good = scrub.scrub(two_stores, copies_of(two_stores, workspace))
    assert (bad.copy.store, good.copy.store, good.error) == ("here", "there", None)
    assert isinstance(bad.error, VerificationError)
    assert runs.show_backup(two_stores, backup.id).state is BackupState.VERIFIED
    assert [one.store for one in copies_of(two_stores, workspace)] == ["there"]
    alarms.check(two_stores)
    assert len(mails_about(two_stores, f"A copy of {workspace.slug} in here is damaged")) == 1
    replicate(two_stores)
    assert path.read_bytes() == before
    assert [one.error for one in scrub.scrub(two_stores, copies_of(two_stores, workspace))] == [None, None]
    alarms.check(two_stores)
    assert len(ended(mails_about(two_stores, workspace.slug), f"A copy of {workspace.slug} in here")) == 1


def test_when_the_last_good_copy_is_gone_the_backup_has_failed_and_what_is_left_of_it_stays(
    two_stores: Platform, workspace: Workspace
) -> None:
    backup = runs.list_backups(two_stores, workspace.slug)[0]
    places = [objects_in(two_stores, store, backup)["dump"] for store in ("here", "there")]
    for path in places:
        path.write_bytes(path.read_bytes()[:-1])
    scrub.scrub(two_stores, copies_of(two_stores, workspace))
    assert runs.show_backup(two_stores, backup.id).state is BackupState.FAILED
    assert [path.exists() for path in places] == [False, True]


def test_a_restore_that_proves_it_goes_to_the_next_store_when_the_first_copy_is_bad(
    two_stores: Platform, scratch: ScratchPool, workspace: Workspace
) -> None:
    backup = runs.list_backups(two_stores, workspace.slug)[0]
    path = objects_in(two_stores, "here", backup)["dump"]
    path.write_bytes(path.read_bytes()[:-1])
    assert runs.verify_one(two_stores, backup.id, scratch=scratch).state is BackupState.VERIFIED
    assert [one.store for one in copies_of(two_stores, workspace)] == ["there"]


def test_a_store_that_is_away_is_no_verdict(platform: Platform, scratch: ScratchPool, workspace: Workspace) -> None:
    backup = back_up(platform, scratch, workspace.id)
    path = platform.settings.local_store_dir / (backup.object or "")
    path.rename(path.with_suffix(".kept"))
    path.mkdir()  # reading fails as a broken disk does
    (checked,) = scrub.scrub(platform, copies_of(platform, workspace))
    assert isinstance(checked.error, FailedError)
    assert runs.show_backup(platform, backup.id).state is BackupState.VERIFIED


def test_the_worker_proves_what_was_stored_and_never_verified(
    platform: Platform, scratch: ScratchPool, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = take_backup(platform, open_store(platform.settings), workspace.id)
    assert backup.state is BackupState.STORED
    monkeypatch.setattr(tasks, "_scratch", lambda _: scratch)
    monkeypatch.setattr(scrub, "longest_unchecked", lambda *_: [])
    tasks.read_again(platform)
    assert runs.show_backup(platform, backup.id).state is BackupState.STORED  # its own job may be about to
    with platform.control.begin() as conn:
        conn.execute(text("UPDATE backup SET finished_at = now() - interval '2 h' WHERE id = :id"), {"id": backup.id})
    tasks.read_again(platform)
    assert runs.show_backup(platform, backup.id).state is BackupState.VERIFIED


def test_the_list_has_pages(platform: Platform, scratch: ScratchPool, workspace: Workspace) -> None:
    made = [back_up(platform, scratch, workspace.id, force=True).id for _ in range(3)]
    first = runs.list_backups(platform, workspace.slug, 2)
    rest = runs.list_backups(platform, workspace.slug, 2, before=first[-1].id)
    assert [one.id for one in (*first, *rest)] == made[::-1]
