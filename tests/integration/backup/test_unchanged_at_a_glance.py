from typing import Any

import pytest
from sqlalchemy import text

from strongroom.backup import catalogue, runs, tasks
from strongroom.backup.records import Backup, BackupState
from strongroom.backup.scratch import ScratchPool
from strongroom.backup.unchanged import note_unchanged
from strongroom.platform.control.platform import Platform

Workspace = Any  # of conftest.py, which no test can import


def back_up(platform: Platform, scratch: ScratchPool, *workspaces: Workspace) -> list[Backup]:
    outcomes = runs.run_many(platform, [one.id for one in workspaces], scratch=scratch)
    assert [outcome.error for outcome in outcomes] == [None] * len(outcomes)
    for one in workspaces:
        one.settle()  # a session of the backup itself may just be leaving
    return [outcome.backup for outcome in outcomes if outcome.backup]


def test_unchanged_workspaces_of_a_run_are_recorded_without_entering_them(
    platform: Platform, scratch: ScratchPool, workspace: Workspace, another: Workspace
) -> None:
    workspace.settle()
    another.settle()
    first = back_up(platform, scratch, workspace, another)
    noted = note_unchanged(platform, [workspace.id, another.id])
    with platform.control.connect() as conn:
        entries = [catalogue.by_id(conn, noted[one.id]) for one in (workspace, another)]
    assert [(entry.state, entry.unchanged_since, entry.object) for entry in entries] == [
        (BackupState.UNCHANGED, backup.id, None) for backup in first
    ]
    again = back_up(platform, scratch, workspace, another)
    assert [entry.unchanged_since for entry in again] == [backup.id for backup in first]


def test_only_what_was_written_to_or_may_have_been_is_dumped_again(
    platform: Platform, scratch: ScratchPool, workspace: Workspace, another: Workspace
) -> None:
    workspace.settle()
    another.settle()
    back_up(platform, scratch, workspace, another)
    workspace.spend("After")
    workspace.settle()
    another.merchants()  # leaves an idle session, whose counters the server may not have published yet
    assert note_unchanged(platform, [workspace.id, another.id]) == {}
    another.settle()
    changed, same = back_up(platform, scratch, workspace, another)
    assert (changed.state, same.state) == (BackupState.VERIFIED, BackupState.UNCHANGED)


def test_a_backup_that_was_never_verified_is_nothing_to_refer_to(
    platform: Platform, scratch: ScratchPool, workspace: Workspace
) -> None:
    workspace.settle()
    (backup,) = back_up(platform, scratch, workspace)
    with platform.control.begin() as conn:
        conn.exec_driver_sql("UPDATE backup SET state = 'stored' WHERE id = %s", (backup.id,))
    assert note_unchanged(platform, [workspace.id]) == {}


def test_what_is_due_and_unchanged_gets_an_entry_and_no_job(
    platform: Platform, scratch: ScratchPool, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.settle()
    (first,) = back_up(platform, scratch, workspace)
    monkeypatch.setattr(tasks, "due_now", lambda _platform: [workspace.id])  # pyright: ignore[reportUnknownLambdaType]
    tasks.queue_due(platform)
    with platform.control.connect() as conn:
        newest = catalogue.listing(conn, workspace.id)[0]
        asked = text("SELECT count(*) FROM procrastinate_jobs WHERE lock = :name")
        jobs = conn.scalar(asked, {"name": f"backup {workspace.id}"})
    assert (newest.state, newest.unchanged_since, jobs) == (BackupState.UNCHANGED, first.id, 0)
