"""Back to the database of before, tables for support, and backups of another schema revision."""

import csv
import io
import shutil
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from strongroom.backup import adapt, runs, undo
from strongroom.backup.extract import extract
from strongroom.backup.progress import Event
from strongroom.backup.records import Backup
from strongroom.backup.restore import restore
from strongroom.backup.scratch import ScratchPool
from strongroom.config.errors import CallError, FailedError, NotFoundError, RefusedError, VerificationError
from strongroom.platform.audit import queries as operators_audit
from strongroom.platform.control.platform import Platform
from strongroom.platform.servers import queries as servers
from strongroom.platform.tenants import placements
from strongroom.platform.tenants import queries as tenants
from strongroom.platform.tenants.records import PlacementState
from strongroom.platform.tenants.states import TenantState
from strongroom.provisioning.gates import gate_findings
from strongroom.tenant_schema.migrate import REVISIONS, newest_revision, upgrade

Workspace = Any  # of conftest.py, which no test can import

NEXT_REVISION = """
from alembic import op

revision = "0999"
down_revision = "{before}"

def upgrade():
    op.execute("ALTER TABLE app.expense ADD COLUMN added_later integer NOT NULL DEFAULT 7")
"""


@pytest.fixture
def backup(platform: Platform, scratch: ScratchPool, workspace: Workspace) -> Backup:
    """A verified backup of `workspace`, in which there is one expense: “Before”."""
    (outcome,) = runs.run_many(platform, [workspace.id], scratch=scratch)
    assert outcome.backup is not None
    return outcome.backup


@pytest.fixture
def restored(platform: Platform, workspace: Workspace, backup: Backup) -> str:
    """The workspace had “After”, too, and was then put back to its backup; the placement with “After”."""
    workspace.spend("After")
    done = restore(platform, workspace.slug, backup.id)
    assert done.retired is not None
    assert workspace.merchants() == ["Before"]
    return done.retired


def states(platform: Platform, workspace: Workspace) -> dict[str, PlacementState]:
    with platform.control.connect() as conn:
        return {one.id: one.state for one in placements.of_tenant(conn, workspace.id)}


def accepts(platform: Platform, workspace: Workspace, pid: str) -> bool:
    with platform.control.connect() as conn:
        server = servers.by_name(conn, workspace.tenant().server)
    credential: dict[str, Any] = platform.keys.placement(pid).conninfo_params()
    try:
        psycopg.connect(host=server.host, port=server.port, dbname=f"t_{pid}", **credential).close()
    except psycopg.OperationalError:
        return False
    return True


def test_one_command_goes_back_and_the_same_one_forth(platform: Platform, workspace: Workspace, restored: str) -> None:
    current = workspace.tenant().placement_id
    done = undo.undo(platform, workspace.slug, operator="root")
    assert workspace.merchants() == ["After", "Before"]
    assert (done.placement_id, done.retired, workspace.tenant().placement_id) == (restored, current, restored)
    assert states(platform, workspace) == {restored: PlacementState.CURRENT, current: PlacementState.RETIRED}
    assert accepts(platform, workspace, restored)
    assert not accepts(platform, workspace, current)
    with platform.control.connect() as conn:
        server = servers.by_name(conn, workspace.tenant().server)
        assert placements.by_id(conn, restored).drop_after is None
        assert operators_audit.newest(conn, 1, workspace.id)[0].detail["undone"]
    assert gate_findings(platform, server, restored) == []
    undo.undo(platform, workspace.slug)
    assert workspace.merchants() == ["Before"]


def test_sessions_do_not_come_back_to_life(platform: Platform, workspace: Workspace, restored: str) -> None:
    undo.undo(platform, workspace.slug, restored)
    with platform.registry.connect(workspace.tenant()) as conn, conn.begin():
        assert conn.scalar(text("SELECT count(*) FROM app.session WHERE revoked_at IS NULL")) == 0


def test_without_a_database_of_before_there_is_nothing_to_go_back_to(
    platform: Platform, workspace: Workspace, restored: str
) -> None:
    with pytest.raises(NotFoundError, match="kept"):
        undo.undo(platform, workspace.slug, "nosuchplacement")
    with platform.control.begin() as conn:
        placements.set_drop_after(conn, restored, datetime.now(UTC))
    with pytest.raises(NotFoundError, match="kept"):
        undo.undo(platform, workspace.slug)
    with platform.control.begin() as conn:
        tenants.set_state(conn, workspace.id, TenantState.MIGRATING)
    with pytest.raises(RefusedError, match="is migrating"):
        undo.undo(platform, workspace.slug)


@pytest.mark.parametrize("step", range(len(undo.STEPS)))
def test_going_back_that_fails_leaves_everything_as_it_was_and_can_be_repeated(
    platform: Platform, workspace: Workspace, restored: str, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = workspace.tenant().placement_id
    with monkeypatch.context() as patched, pytest.raises(FailedError, match="no luck"):
        patched.setattr(undo, "STEPS", (*undo.STEPS[:step], ("failing", _failing(undo.STEPS, step))))
        undo.undo(platform, workspace.slug)
    assert workspace.merchants() == ["Before"]
    assert states(platform, workspace) == {before: PlacementState.CURRENT, restored: PlacementState.RETIRED}
    assert not accepts(platform, workspace, restored)
    undo.undo(platform, workspace.slug)
    assert workspace.merchants() == ["After", "Before"]


def _failing(steps: tuple[tuple[str, Callable[[undo.Work], None]], ...], number: int) -> Callable[[undo.Work], None]:
    """The step of this number, which then fails; the last one, the switch, fails before."""

    def run(work: undo.Work) -> None:
        if number < len(steps) - 1:
            steps[number][1](work)
        raise FailedError("no luck")

    return run


# Tables for support


def read(path: Path, table: str) -> list[dict[str, str]]:
    with zipfile.ZipFile(path) as archive:
        return list(csv.DictReader(io.StringIO(archive.read(f"{table}.csv").decode())))


def test_tables_of_a_backup_come_out_as_they_were_and_sealed_and_the_log_says_who_has_them(
    platform: Platform, scratch: ScratchPool, workspace: Workspace, backup: Backup, tmp_path: Path
) -> None:
    workspace.spend("After")
    path = tmp_path / "for-support.zip"
    done = extract(platform, workspace.slug, ["expense", "app.member"], path, operator="root", scratch=scratch)
    assert done.rows == {"expense": 1, "member": 1}
    assert [row["merchant"] for row in read(path, "expense")] == ["Before"]
    assert read(path, "member")[0]["name"].startswith("\\x")
    assert not any(canary in path.read_bytes() for canary in workspace.canaries)
    with zipfile.ZipFile(path) as archive:
        assert not any(canary in archive.read(name) for canary in workspace.canaries for name in archive.namelist())
    assert path.stat().st_mode & 0o777 == 0o600
    with platform.control.connect() as conn:
        (entry,) = operators_audit.newest(conn, 1, workspace.id)
    assert (entry.operator, entry.action) == ("root", "backup.extracted")
    assert entry.detail == {"backup": backup.id, "tables": ["expense", "member"]}


def test_what_cannot_be_extracted_leaves_no_file(
    platform: Platform, scratch: ScratchPool, workspace: Workspace, another: Workspace, backup: Backup, tmp_path: Path
) -> None:
    path = tmp_path / "x.zip"
    with pytest.raises(NotFoundError, match=r"no table “secrets”; it has: .*expense"):
        extract(platform, workspace.slug, ["secrets"], path, scratch=scratch)
    with pytest.raises(NotFoundError, match="not one of"):
        extract(platform, another.slug, ["expense"], path, backup.id, scratch=scratch)
    with pytest.raises(FailedError, match="cannot be written"):
        extract(platform, workspace.slug, ["expense"], tmp_path / "no" / "x.zip", scratch=scratch)
    stored = platform.settings.local_store_dir / (backup.object or "")
    content = bytearray(stored.read_bytes())
    content[-30] ^= 1
    stored.write_bytes(content)
    with pytest.raises(VerificationError):
        extract(platform, workspace.slug, ["expense"], path, scratch=scratch)
    assert list(tmp_path.iterdir()) == []
    path.write_text("mine")
    with pytest.raises(CallError, match="exists already"):
        extract(platform, workspace.slug, ["expense"], path, scratch=scratch)
    assert path.read_text() == "mine"


# Schema revisions, and progress


def test_a_backup_of_an_older_schema_is_brought_to_the_newest(
    platform: Platform, workspace: Workspace, backup: Backup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "revisions"
    shutil.copytree(REVISIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    source = NEXT_REVISION.format(before=newest_revision())
    (folder / "versions" / "next_0999.py").write_text(source, encoding="utf-8")
    monkeypatch.setattr(adapt, "upgrade", lambda conn: upgrade(conn, folder))
    assert backup.schema_revision == newest_revision()
    done = restore(platform, workspace.slug, backup.id)
    assert done.tenant.schema_revision == "0999"
    with platform.registry.connect(workspace.tenant()) as conn, conn.begin():
        assert list(conn.scalars(text("SELECT added_later FROM app.expense"))) == [7]
        assert conn.scalar(text("SELECT version_num FROM app.alembic_version")) == "0999"


def test_a_restore_says_how_fast_it_is_and_how_long_it_will_take(
    platform: Platform, workspace: Workspace, backup: Backup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("strongroom.backup.progress._PAUSE", 0.0)
    seen: list[Event] = []
    restore(platform, workspace.slug, backup.id, progress=seen.append)
    loading = [event for event in seen if event.step == "loading the dump" and event.moved]
    assert loading[-1].moved == loading[-1].size == backup.size
    assert all(event.rate and event.remaining is not None for event in loading)
    assert {event.total for event in seen} == {8}
