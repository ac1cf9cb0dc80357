"""Clocks that jump, workers side by side, disks that are full, stores that are gone: a clear state and a next try."""

import itertools
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from strongroom.backup import catalogue, collect, names, runs, tasks
from strongroom.backup.records import Backup, BackupState
from strongroom.backup.restore import restore
from strongroom.backup.scratch import ScratchPool
from strongroom.backup.stores.opening import open_store
from strongroom.backup.take import take_backup
from strongroom.backup.writing import alone
from strongroom.config.errors import FailedError, RefusedError, StrongroomError, UnavailableError
from strongroom.platform.control.platform import Platform
from strongroom.platform.tenants import placements
from strongroom.platform.tenants import queries as tenants
from strongroom.platform.tenants.records import PlacementState
from strongroom.platform.tenants.states import TenantState
from strongroom.provisioning import create
from strongroom.provisioning.locking import held
from strongroom.provisioning.names import BACKUP, Names
from strongroom.provisioning.placements import drop_placement, prepare_database
from strongroom.provisioning.postgres.embedded import EmbeddedServer
from strongroom.provisioning.postgres.programs import clean_environment
from strongroom.tenant_schema.ids import new_uuid7

Workspace = Any  # of conftest.py, which no test can import
WithProgram = Callable[[str, str], Platform]
MEGABYTE = 1 << 20


def back_up(platform: Platform, scratch: ScratchPool, workspace: Workspace, *, force: bool = True) -> Backup:
    (outcome,) = runs.run_many(platform, [workspace.id], scratch=scratch, force=force)
    if outcome.error is not None:
        raise outcome.error
    assert outcome.backup is not None
    return outcome.backup


def entries(platform: Platform, workspace: Workspace) -> list[Backup]:
    return runs.list_backups(platform, workspace.slug)


def objects(platform: Platform, workspace: Workspace) -> list[str]:
    store, folder = open_store(platform.settings), names.folder(workspace.id)
    found = [one.name for one in [*store.list(folder), *store.abandoned()]]
    return [name for name in found if name.startswith(folder) and "/receipts/" not in name]


# Clocks


def test_a_lease_that_a_clock_ahead_has_written_keeps_nobody_waiting(
    platform: Platform, scratch: ScratchPool, workspace: Workspace
) -> None:
    ahead = datetime.now(UTC) + timedelta(days=365)
    backup_id = names.new_backup_id(ahead)
    with platform.control.begin() as conn:
        catalogue.begin(
            conn,
            backup_id,
            tenant_id=workspace.id,
            placement_id=None,
            object_name=names.dump_object(workspace.id, backup_id),
            started_at=ahead,
            lease_until=ahead + timedelta(minutes=5),
        )
    assert workspace.id in runs.due_now(platform)
    collect.collect(platform)
    assert runs.show_backup(platform, backup_id).state is BackupState.FAILED
    assert back_up(platform, scratch, workspace).state is BackupState.VERIFIED


@pytest.mark.parametrize("days", [-365, -1, 2])
def test_a_collector_whose_clock_is_wrong_takes_nothing_away_that_is_needed(
    platform: Platform, scratch: ScratchPool, workspace: Workspace, days: int
) -> None:
    backups = [back_up(platform, scratch, workspace) for _ in range(2)]
    kept = objects(platform, workspace)
    collect.collect(platform, datetime.now(UTC) + timedelta(days=days))
    assert objects(platform, workspace) == kept
    assert [one.id for one in reversed(entries(platform, workspace))] == [one.id for one in backups]
    assert workspace.merchants() == ["Before"]
    assert runs.verify_one(platform, backups[0].id, scratch=scratch).state is BackupState.VERIFIED


def test_a_collector_of_tomorrow_beside_a_backup_leaves_no_entry_without_object(
    platform: Platform, scratch: ScratchPool, workspace: Workspace, with_program: WithProgram
) -> None:
    """It takes the half-written object for one of yesterday; the backup fails, says so, and the next one succeeds."""
    with paused_dump(with_program, platform, workspace) as (slow, reached, go_on), ThreadPoolExecutor(1) as pool:
        running = pool.submit(back_up, slow, scratch, workspace)
        reached()
        collect.collect(platform, datetime.now(UTC) + timedelta(hours=25))
        go_on()
        with pytest.raises(FailedError):
            running.result()
    (entry,) = entries(platform, workspace)
    assert entry.state is BackupState.FAILED
    assert objects(platform, workspace) == []
    assert back_up(platform, scratch, workspace).state is BackupState.VERIFIED


@contextmanager
def paused_dump(
    with_program: WithProgram, platform: Platform, workspace: Workspace
) -> Generator[tuple[Platform, Callable[[], None], Callable[[], None]]]:
    """A platform whose `pg_dump` stops in the middle; functions to wait until it does, and to let it go on."""
    marker = platform.settings.run_dir / f"dumping-{workspace.id}"
    waiting = f"touch {marker}; while [ -e {marker} ]; do sleep 0.02; done"
    slow = with_program("pg_dump", f'"$REAL" "$@" > {marker}.dump || exit 1; head -c 3000 {marker}.dump; {waiting}; '
                                   f'tail -c +3001 {marker}.dump; rm {marker}.dump')  # fmt: skip
    tick = threading.Event()

    def reached() -> None:
        for _ in range(6000):
            if marker.exists():
                return
            tick.wait(0.02)
        raise AssertionError("it never began")

    try:
        yield slow, reached, lambda: marker.unlink(missing_ok=True)
    finally:
        marker.unlink(missing_ok=True)


# Side by side


def test_two_workers_never_back_up_the_same_workspace_at_the_same_moment(
    platform: Platform, scratch: ScratchPool, workspace: Workspace, another: Workspace
) -> None:
    both = [workspace.id, another.id]
    with ThreadPoolExecutor(3) as pool:
        done = [pool.submit(runs.run_many, platform, both, scratch=scratch, force=True) for _ in range(3)]
    assert [outcome.error for one in done for outcome in one.result()] == [None] * 6
    for one in (workspace, another):
        spans = sorted((entry.started_at, entry.finished_at) for entry in entries(platform, one))
        assert len(spans) == 3
        assert all(earlier[1] and earlier[1] <= later[0] for earlier, later in itertools.pairwise(spans))


def test_who_waits_too_long_for_another_backup_of_the_same_is_told(platform: Platform, workspace: Workspace) -> None:
    with ThreadPoolExecutor(1) as pool, alone(platform, workspace.id):

        def wait() -> None:
            with alone(platform, workspace.id, patience=0.1):
                raise AssertionError("two at once")

        with pytest.raises(RefusedError, match="Another process is making a backup"):
            pool.submit(wait).result()


def test_as_many_backups_as_may_run_at_once_find_connections_for_their_locks(platform: Platform) -> None:
    with ExitStack() as stack:
        assert all(stack.enter_context(held(platform, f"{number}")) for number in range(64))
        with platform.control.connect() as conn:
            assert conn.scalar(text("SELECT 1")) == 1


def test_two_restores_and_a_backup_at_once_leave_one_database_and_no_false_entry(
    platform: Platform, scratch: ScratchPool, workspace: Workspace
) -> None:
    back_up(platform, scratch, workspace)
    with ThreadPoolExecutor(3) as pool:
        works = [
            pool.submit(restore, platform, workspace.slug),
            pool.submit(restore, platform, workspace.slug),
            pool.submit(back_up, platform, scratch, workspace),
        ]
    for work in works:
        error = work.exception()
        assert error is None or isinstance(error, StrongroomError)
    assert isinstance(works[0].exception() or works[1].exception(), RefusedError | type(None))
    with platform.control.connect() as conn:
        current = [p for p in placements.of_tenant(conn, workspace.id) if p.state is PlacementState.CURRENT]
    assert [p.id for p in current] == [workspace.tenant().placement_id]
    assert workspace.tenant().state is TenantState.ACTIVE
    assert workspace.merchants() == ["Before"]
    for entry in entries(platform, workspace):
        assert entry.state is BackupState.FAILED or runs.verify_one(platform, entry.id, scratch=scratch)


def test_suspending_and_renaming_in_the_middle_of_a_backup_do_it_no_harm(
    platform: Platform, scratch: ScratchPool, workspace: Workspace, with_program: WithProgram
) -> None:
    with paused_dump(with_program, platform, workspace) as (slow, reached, go_on), ThreadPoolExecutor(1) as pool:
        running = pool.submit(back_up, slow, scratch, workspace)
        reached()
        with platform.control.begin() as conn:
            tenants.set_slug(conn, workspace.id, f"r-{workspace.slug}")
            tenants.set_state(conn, workspace.id, TenantState.SUSPENDED)
        go_on()
        assert running.result().state is BackupState.VERIFIED
    assert restore(platform, f"r-{workspace.slug}").tenant.state is TenantState.SUSPENDED


def test_a_database_that_is_taken_away_in_the_middle_of_its_backup_fails_it_with_a_sentence(
    platform: Platform, scratch: ScratchPool, workspace: Workspace, with_program: WithProgram
) -> None:
    back_up(platform, scratch, workspace)
    gate = platform.settings.run_dir / f"gate-{workspace.id}"
    slow = with_program("pg_dump", f'touch {gate}; while [ -e {gate} ]; do sleep 0.02; done; "$REAL" "$@"')
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(back_up, slow, scratch, workspace)
        while not gate.exists() and not running.done():
            threading.Event().wait(0.02)
        restore(platform, workspace.slug)
        gate.unlink()
        with pytest.raises(FailedError, match=r"^[^\n]+\.$"):
            running.result()
    assert entries(platform, workspace)[0].state is BackupState.FAILED
    assert back_up(platform, scratch, workspace).state is BackupState.VERIFIED


def test_no_write_that_was_acknowledged_is_lost_by_a_restore(
    platform: Platform, scratch: ScratchPool, workspace: Workspace
) -> None:
    """What was written before the switch is in the old database, what came after it in the new one."""
    back_up(platform, scratch, workspace)
    host = f"{workspace.slug}.{platform.settings.base_domain}"
    acknowledged: list[str] = []
    stop = threading.Event()

    def write(writer: int) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            try:
                with platform.registry.connect(platform.registry.resolve(host)) as conn, conn.begin():
                    conn.execute(text("INSERT INTO app.setting VALUES (:key, '1')"), {"key": f"{writer}/{number}"})
            except (UnavailableError, RefusedError):
                stop.wait(0.01)
            except Exception as error:
                if "connection" not in str(error).lower():
                    raise
            else:
                acknowledged.append(f"{writer}/{number}")

    with ThreadPoolExecutor(3) as pool:
        writers = [pool.submit(write, writer) for writer in range(3)]
        done = restore(platform, workspace.slug)
        before = len(acknowledged)
        while len(acknowledged) < before + 10 and not any(writer.done() for writer in writers):
            stop.wait(0.02)
        stop.set()
    for writer in writers:
        writer.result()
    assert done.retired is not None
    old, new = (written_in(platform, workspace, pid) for pid in (done.retired, done.placement_id))
    assert old
    assert new
    assert not old & new
    assert set(acknowledged) <= old | new


def written_in(platform: Platform, workspace: Workspace, pid: str) -> set[str]:
    """Read a database of the workspace, also one that lets nobody in any more."""
    server, name = EmbeddedServer(platform.settings), Names(pid).database
    with server.admin_door():
        with server.connect_admin() as admin:
            admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        with server.connect_admin(name) as admin:
            return {row[0] for row in admin.execute("SELECT key FROM app.setting WHERE key LIKE '%/%'")}


def test_a_workspace_that_a_killed_restore_has_left_closed_is_opened_within_minutes_and_one_at_work_is_left_alone(
    platform: Platform, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(create, "PATIENCE", 0.1)
    with platform.control.begin() as conn:
        tenants.set_state(conn, workspace.id, TenantState.RESTORING)
    with create.tenant_lock(platform, workspace.id), ThreadPoolExecutor(1) as pool:
        pool.submit(tasks.reopen_killed, platform).result()
        assert workspace.tenant().state is TenantState.RESTORING
    tasks.reopen_killed(platform)
    assert workspace.tenant().state is TenantState.ACTIVE
    assert workspace.merchants() == ["Before"]


# Disks, stores, servers, programs


LIMITED = """
import resource, sys
from pathlib import Path
from strongroom.backup import runs
from strongroom.config.errors import StrongroomError
from strongroom.config.settings import load_settings
from strongroom.platform.control.platform import open_platform
home, tenant_id, limit = sys.argv[1:]
with open_platform(load_settings(Path(home))) as platform:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), resource.RLIM_INFINITY))
    try:
        runs.run_backup(platform, tenant_id, force=True)
    except StrongroomError as error:
        sys.exit(f"{type(error).__name__}: {error}")
"""


@pytest.fixture(scope="module")
def large(platform: Platform, make_workspace: Callable[[Platform, str], Workspace]) -> Workspace:
    """A workspace with 24 MB that do not compress: more than one file of the server's log can hold."""
    workspace = make_workspace(platform, f"l-{new_uuid7().hex[8:20]}")
    with platform.registry.connect(workspace.tenant()) as conn, conn.begin():
        for number in range(24):
            filler = {"key": f"filler {number}", "value": os.urandom(MEGABYTE // 2).hex()}
            conn.execute(text("INSERT INTO app.setting VALUES (:key, to_jsonb(CAST(:value AS text)))"), filler)
    workspace.settle()
    return workspace


def test_a_store_that_is_full_in_the_middle_of_a_backup(
    platform: Platform, scratch: ScratchPool, large: Workspace
) -> None:
    command = [sys.executable, "-c", LIMITED, str(platform.settings.home), large.id, str(5 * MEGABYTE)]
    done = subprocess.run(command, env=clean_environment(), cwd="/", check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("FailedError: The object tenants/")
    assert done.stderr.endswith("cannot be written to the backup store: File too large.\n")
    assert entries(platform, large)[0].state is BackupState.FAILED
    assert entries(platform, large)[0].object not in objects(platform, large)
    assert not [name for name in objects(platform, large) if ".tmp-" in name]
    assert back_up(platform, scratch, large).state is BackupState.VERIFIED


def test_a_scratch_server_whose_disk_is_full_makes_no_backup_count_as_bad(
    platform: Platform, large: Workspace, limit_files: Callable[[Path, int | None], None]
) -> None:
    pool, known = ScratchPool(platform.settings), set(data_folders(platform))
    try:
        backup = take_backup(platform, open_store(platform.settings), large.id, force=True)
        with pool.database():
            (data,) = set(data_folders(platform)) - known
        limit_files(data, 5 * MEGABYTE)
        with pytest.raises(FailedError, match="File too large"):
            runs.verify_one(platform, backup.id, scratch=pool)
        assert runs.show_backup(platform, backup.id).state is BackupState.STORED
        limit_files(data, None)
        assert runs.verify_one(platform, backup.id, scratch=pool).state is BackupState.VERIFIED
    finally:
        pool.close()


def test_a_server_whose_disk_is_full_in_the_middle_of_a_restore_goes_on_serving(
    platform: Platform, scratch: ScratchPool, large: Workspace, limit_files: Callable[[Path, int | None], None]
) -> None:
    back_up(platform, scratch, large)
    before, data = large.tenant(), EmbeddedServer(platform.settings).root / "data"
    limit_files(data, 17 * MEGABYTE)
    with pytest.raises(FailedError, match=r"File too large"):
        restore(platform, large.slug)
    assert replace(large.tenant(), last_backup_at=None) == replace(before, last_backup_at=None)
    assert large.merchants() == ["Before"]
    with platform.control.connect() as conn:
        left = {p.state for p in placements.of_tenant(conn, large.id)}
    assert left == {PlacementState.CURRENT, PlacementState.DROPPED}
    limit_files(data, None)
    large.settle()
    assert restore(platform, large.slug).tenant.state is TenantState.ACTIVE


def data_folders(platform: Platform) -> list[Path]:
    return list(EmbeddedServer(platform.settings).root.glob("scratch-*/data"))


@pytest.fixture
def limit_files(platform: Platform) -> Generator[Callable[[Path, int | None], None]]:
    """Limit how large files may become that new processes of a server write: what a full disk answers, to root too."""
    limited: set[Path] = set()
    account = EmbeddedServer(platform.settings).account

    def limit(data: Path, size: int | None) -> None:
        pid = (data / "postmaster.pid").read_text().split("\n", 1)[0]
        command = ["prlimit", f"--pid={pid}", f"--fsize={size or 'unlimited'}:unlimited"]
        subprocess.run(command, check=True, cwd="/", **account.keywords)
        limited.add(data)

    yield limit
    for data in limited:
        if data.exists():
            limit(data, None)


def test_a_store_on_a_read_only_disk(platform: Platform, scratch: ScratchPool, workspace: Workspace) -> None:
    back_up(platform, scratch, workspace)
    read_only = replace(platform, settings=replace(platform.settings, backup_root=Path("/sys/strongroom")))
    with pytest.raises(FailedError, match=r"cannot be (written|made)"):
        back_up(read_only, scratch, workspace)
    assert [entry.state for entry in entries(platform, workspace)] == [BackupState.FAILED, BackupState.VERIFIED]


def test_a_store_that_was_emptied_is_noticed_even_where_nothing_has_changed(
    platform: Platform, scratch: ScratchPool, workspace: Workspace
) -> None:
    workspace.settle()
    back_up(platform, scratch, workspace)
    assert back_up(platform, scratch, workspace, force=False).state is BackupState.UNCHANGED
    shutil.rmtree(platform.settings.local_store_dir / names.folder(workspace.id))
    proved = back_up(platform, scratch, workspace, force=False)
    assert (proved.state, proved.receipts) == (BackupState.VERIFIED, 2)
    assert restore(platform, workspace.slug).backup.id == proved.id


def test_a_receipt_that_was_damaged_in_the_store_is_copied_again(
    platform: Platform, scratch: ScratchPool, workspace: Workspace
) -> None:
    first = back_up(platform, scratch, workspace)
    folder = platform.settings.local_store_dir / names.folder(workspace.id) / "receipts"
    damaged = next(folder.rglob("??/*"))
    damaged.write_bytes(b"rotten")
    with pytest.raises(StrongroomError, match="damaged"):
        runs.verify_one(platform, first.id, scratch=scratch)
    assert back_up(platform, scratch, workspace).state is BackupState.VERIFIED
    assert runs.verify_one(platform, first.id, scratch=scratch).state is BackupState.VERIFIED


def test_a_server_without_a_free_connection(platform: Platform, scratch: ScratchPool, workspace: Workspace) -> None:
    with (
        connections_of_backup(platform, 0),
        pytest.raises(FailedError, match=r"cannot be reached as strongroom_backup\.$"),
    ):
        back_up(platform, scratch, workspace)
    (entry,) = entries(platform, workspace)
    assert entry.state is BackupState.FAILED
    assert objects(platform, workspace) == []
    assert back_up(platform, scratch, workspace).state is BackupState.VERIFIED


@contextmanager
def connections_of_backup(platform: Platform, limit: int) -> Generator[None]:
    server = EmbeddedServer(platform.settings)
    with server.admin_door():
        try:
            with server.connect_admin() as admin:
                admin.execute(f"ALTER ROLE {BACKUP} CONNECTION LIMIT {limit}")
            yield
        finally:
            with server.connect_admin() as admin:
                admin.execute(f"ALTER ROLE {BACKUP} CONNECTION LIMIT -1")


def test_a_pg_dump_that_is_older_than_the_server(
    scratch: ScratchPool, workspace: Workspace, with_program: WithProgram
) -> None:
    says = "pg_dump: error: aborting because of server version mismatch"
    older = with_program("pg_dump", f'echo "{says}" >&2; exit 1')
    with pytest.raises(FailedError, match="server version mismatch"):
        back_up(older, scratch, workspace)
    (entry,) = entries(older, workspace)
    assert entry.state is BackupState.FAILED
    assert "server version mismatch" in (entry.failure or "")


def arguments(pid: int) -> bytes:
    """Those of a process; none when it has ended, whether or not anybody has waited for it."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


KILLED = """
import os, signal, sys
from pathlib import Path
from strongroom.config.settings import load_settings
from strongroom.provisioning.postgres.scratch import scratch
with scratch(load_settings(Path(sys.argv[1]))):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_scratch_server_whose_process_was_killed_is_ended_by_the_collector_and_one_at_work_is_not(
    platform: Platform, scratch: ScratchPool, workspace: Workspace
) -> None:
    back_up(platform, scratch, workspace)
    at_work = set(data_folders(platform))
    subprocess.run([sys.executable, "-c", KILLED, str(platform.settings.home)], check=False, cwd="/")
    (left,) = set(data_folders(platform)) - at_work
    pid = int((left / "postmaster.pid").read_text().split("\n", 1)[0])
    assert collect.collect(platform)["throw-away servers"] == 1
    assert set(data_folders(platform)) == at_work
    assert arguments(pid) == b""
    assert back_up(platform, scratch, workspace).state is BackupState.VERIFIED


def test_a_scratch_server_that_died_is_replaced(platform: Platform, workspace: Workspace, another: Workspace) -> None:
    pool = ScratchPool(platform.settings)
    known = set(data_folders(platform))
    try:
        back_up(platform, pool, workspace)
        (data,) = set(data_folders(platform)) - known
        os.kill(int((data / "postmaster.pid").read_text().split("\n", 1)[0]), 9)
        assert back_up(platform, pool, another).state is BackupState.VERIFIED
        assert not data.exists()
    finally:
        pool.close()


def test_a_database_that_a_crash_has_left_half_dropped_is_dropped_all_the_same(
    platform: Platform, workspace: Workspace
) -> None:
    placement, server = prepare_database(platform, "embedded", workspace.id), EmbeddedServer(platform.settings)
    with server.admin_door(), server.connect_admin() as admin:  # as DROP DATABASE marks it before it begins
        admin.execute("UPDATE pg_database SET datconnlimit = -2 WHERE datname = %s", (placement.database,))
    drop_placement(platform, placement.id)
    with server.admin_door(), server.connect_admin() as admin:
        assert not admin.execute("SELECT FROM pg_database WHERE datname = %s", (placement.database,)).fetchall()
