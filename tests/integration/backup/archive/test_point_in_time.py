"""One workspace back to a moment between two transactions; all others go on."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql

from strongroom.backup.archive.archiver import archive_once, only_one
from strongroom.backup.archive.moment import restore_at
from strongroom.backup.collect import collect
from strongroom.backup.restore import restore
from strongroom.backup.runs import run_backup
from strongroom.config.errors import CallError, NotFoundError, RefusedError
from strongroom.platform.control.platform import Platform
from strongroom.platform.keys.blobs import open_blobs
from strongroom.platform.servers import queries as servers
from strongroom.platform.servers.bases import BaseBackup
from strongroom.platform.tenants import placements
from strongroom.platform.tenants import queries as tenants
from strongroom.platform.tenants.ids import new_id
from strongroom.platform.tenants.records import PlacementState
from strongroom.platform.tenants.states import TenantState
from strongroom.provisioning.isolation.standing import standing
from strongroom.provisioning.placements import drop_placement
from strongroom.provisioning.postgres import postmaster
from strongroom.provisioning.postgres.embedded import EmbeddedServer
from strongroom.provisioning.postgres.locks import exclusive
from strongroom.provisioning.postgres.programs import clean_environment
from strongroom.provisioning.postgres.scratch import instances, sweep

Workspace = Any  # of conftest.py above, which no test can import


def now() -> datetime:
    """A moment that no transaction has: after all that is committed, before all that will be."""
    time.sleep(0.01)
    moment = datetime.now(UTC)
    time.sleep(0.01)
    return moment


@contextmanager
def superuser(platform: Platform, database: str = "postgres") -> Generator[psycopg.Connection[Any]]:
    server = EmbeddedServer(platform.settings)
    with server.admin_door(), server.connect_admin(database) as session:
        yield session


def states(platform: Platform, workspace: Workspace) -> list[PlacementState]:
    with platform.control.connect() as conn:
        return [placement.state for placement in placements.of_tenant(conn, workspace.id)]


def test_what_was_committed_until_then_is_there_and_nothing_after_it(
    base: BaseBackup, workspace: Workspace, another: Workspace
) -> None:
    platform = workspace.platform
    workspace.spend("Until")
    moment = now()
    workspace.spend("After")
    another.spend("After")
    steps: list[str] = []
    done = restore_at(platform, workspace.slug, moment, progress=lambda event: steps.append(event.step))
    assert workspace.merchants() == ["Before", "Until"]
    assert another.merchants() == ["After", "Before"]
    assert workspace.receipt()[0]
    assert workspace.member()
    assert workspace.tenant().state is TenantState.ACTIVE
    assert states(platform, workspace) == [PlacementState.CURRENT, PlacementState.RETIRED]
    assert done.rows > 0
    assert done.retired is not None
    assert {"fetching the base backup", "replaying the log", "switching"} <= set(steps)
    with platform.control.connect() as conn:
        embedded = servers.by_name(conn, "embedded")
    mine = (workspace.tenant().database, done.retired)
    assert [finding for finding in standing(platform, embedded).findings if finding.where in mine] == []
    assert not list(EmbeddedServer(platform.settings).root.glob("scratch-*"))


def test_a_schema_that_was_dropped_comes_back_as_another_workspace(base: BaseBackup, workspace: Workspace) -> None:
    platform, slug = workspace.platform, f"c-{new_id()}"
    moment = now()
    with superuser(platform, workspace.tenant().database) as session:
        session.execute("TRUNCATE app.expense CASCADE")
        session.execute("DROP TABLE app.receipt CASCADE")
    blobs = open_blobs(platform.settings)
    done = restore_at(platform, workspace.slug, moment, as_slug=slug)
    copy = workspace.named(slug, done.tenant.id)
    assert copy.merchants() == ["Before"]
    assert copy.receipt() == (copy.receipt()[0], copy.receipt()[1])
    assert copy.member() == copy.member()
    assert workspace.merchants() == []  # the original stays as it was
    assert states(platform, workspace) == [PlacementState.CURRENT]
    assert done.retired is None
    assert list(blobs.list(done.tenant.id))
    restore_at(platform, workspace.slug, moment)
    assert workspace.merchants() == ["Before"]


def test_receipts_that_were_removed_since_come_back_from_the_backup_store(
    base: BaseBackup, workspace: Workspace
) -> None:
    platform = workspace.platform
    run_backup(platform, workspace.id)
    moment = now()
    blobs = open_blobs(platform.settings)
    for blob in list(blobs.list(workspace.id)):
        blobs.delete(blob.name)
    done = restore_at(platform, workspace.slug, moment)
    assert done.receipts == 2
    assert workspace.receipt()[0].startswith(b"%PDF")


def test_a_moment_before_an_earlier_restore_is_found_in_the_database_of_that_time(
    base: BaseBackup, workspace: Workspace
) -> None:
    platform = workspace.platform
    backup = run_backup(platform, workspace.id)
    workspace.spend("First life")
    first = now()
    retired = restore(platform, workspace.slug, backup.id).retired
    assert retired
    drop_placement(platform, retired)  # its week is over
    workspace.spend("Second life")
    second = now()
    workspace.spend("Too late")
    restore_at(platform, workspace.slug, first)
    assert workspace.merchants() == ["Before", "First life"]
    restore_at(platform, workspace.slug, second)
    assert workspace.merchants() == ["Before", "Second life"]


def test_databases_that_come_and_go_meanwhile_do_not_stop_the_way_back(base: BaseBackup, workspace: Workspace) -> None:
    platform, left = workspace.platform, list[str]()
    with superuser(platform) as session:
        for strategy in ("file_copy", "wal_log"):
            left += [f"x_{new_id()}" for _ in range(2)]
            gone, create = f"x_{new_id()}", f"CREATE DATABASE {{}} TEMPLATE {{}} STRATEGY {strategy}"
            for name, template in ((gone, "template0"), (left[-2], gone), (left[-1], "strongroom_template")):
                session.execute(sql.SQL(create).format(sql.Identifier(name), sql.Identifier(template)))  # pyright: ignore[reportArgumentType]
            session.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(gone)))
        session.execute("CHECKPOINT")
    try:
        moment = now()
        workspace.spend("After")
        restore_at(platform, workspace.slug, moment)
        assert workspace.merchants() == ["Before"]
    finally:
        with superuser(platform) as session:
            for name in left:
                session.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))


def test_several_at_once_do_not_disturb_each_other(base: BaseBackup, workspace: Workspace, another: Workspace) -> None:
    moments: list[datetime] = []
    for one in (workspace, another):
        one.spend(one.slug)
        moments.append(now())
        one.spend("After")
    with ThreadPoolExecutor(2) as pool:
        slugs = (workspace.slug, another.slug)
        list(pool.map(restore_at, (workspace.platform, another.platform), slugs, moments))
    assert workspace.merchants() == ["Before", workspace.slug]
    assert another.merchants() == ["Before", another.slug]


def test_a_moment_from_before_postgresql_was_killed_can_be_had_back(base: BaseBackup, workspace: Workspace) -> None:
    platform, server = workspace.platform, EmbeddedServer(workspace.platform.settings)
    workspace.spend("Until")
    moment = now()
    workspace.spend("After")
    pid = postmaster.running_pid(server.data)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    while postmaster.running_pid(server.data):
        time.sleep(0.01)
    server.start()
    platform.control.dispose()
    platform.registry.forget(workspace.tenant())
    restore_at(platform, workspace.slug, moment)
    assert workspace.merchants() == ["Before", "Until"]


def test_an_archiver_that_is_at_work_is_waited_for(base: BaseBackup, workspace: Workspace) -> None:
    platform = workspace.platform
    moment = now()
    workspace.spend("After")
    with ThreadPoolExecutor(1) as beside:
        with only_one(platform.settings) as mine:
            assert mine
            done = beside.submit(restore_at, platform, workspace.slug, moment)
            while not EmbeddedServer(platform.settings).spool.waiting():
                time.sleep(0.02)
            assert archive_once(platform.settings) is None
        done.result()
    assert workspace.merchants() == ["Before"]


KILLED = """
import os, signal, sys
from datetime import datetime
from pathlib import Path
from strongroom.backup import content
from strongroom.backup.archive.moment import restore_at
from strongroom.config.settings import load_settings
from strongroom.platform.control.platform import open_platform

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

content.copy_content = die
with open_platform(load_settings(Path(sys.argv[1]), bcrypt_cost=4)) as platform:
    restore_at(platform, sys.argv[2], datetime.fromisoformat(sys.argv[3]))
"""


def test_a_restore_that_is_killed_leaves_the_workspace_as_it_was_and_nothing_behind(
    base: BaseBackup, workspace: Workspace
) -> None:
    platform, server = workspace.platform, EmbeddedServer(workspace.platform.settings)
    moment = now()
    workspace.spend("After")
    command = [sys.executable, "-c", KILLED, str(platform.settings.home), workspace.slug, moment.isoformat()]
    assert subprocess.run(command, env=clean_environment(), cwd="/", check=False).returncode == -signal.SIGKILL
    (left,) = instances(server)
    pid = postmaster.running_pid(left / "data")
    assert pid is not None
    with exclusive(server.start_lock):
        assert sweep(server)
    assert instances(server) == []
    assert postmaster.running_pid(left / "data") is None
    assert workspace.merchants() == ["After", "Before"]
    collect(platform, datetime.now(UTC) + timedelta(hours=25))
    assert states(platform, workspace) == [PlacementState.DROPPED, PlacementState.CURRENT]


def test_only_moments_of_the_window_can_be_had(base: BaseBackup, workspace: Workspace) -> None:
    platform, slug = workspace.platform, workspace.slug
    with pytest.raises(CallError, match="has not come yet"):
        restore_at(platform, slug, datetime.now(UTC) + timedelta(minutes=1))
    with pytest.raises(NotFoundError, match="There was no workspace"):
        restore_at(platform, slug, datetime.now(UTC) - timedelta(days=2))
    with platform.control.begin() as conn:
        conn.execute(
            tenants.tenant.update()
            .where(tenants.tenant.c.id == workspace.id)
            .values(created_at=datetime.now(UTC) - timedelta(days=90))
        )
    with pytest.raises(RefusedError, match="cannot be had back any more; what can is 20"):
        restore_at(platform, slug, datetime.now(UTC) - timedelta(days=2))
    with pytest.raises(NotFoundError):
        restore_at(platform, "nobody", now())
    with pytest.raises(RefusedError, match="taken"):
        restore_at(platform, slug, now(), as_slug=slug)
    assert states(platform, workspace) == [PlacementState.CURRENT]
