"""What must not be removed, or called bad, by mistake: found by reading the code as an enemy would."""

import os
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, text

from strongroom.backup import catalogue, collect, names, runs, scrub
from strongroom.backup.archive.expiry import _promised
from strongroom.backup.clock import is_trusted
from strongroom.backup.copy_checks import Copy
from strongroom.backup.erasure.erase import certificate_of, erase
from strongroom.backup.records import Backup, BackupState
from strongroom.backup.scratch import ScratchPool
from strongroom.backup.stores.opening import open_store
from strongroom.config.errors import FailedError
from strongroom.platform.control.platform import Platform

Workspace = Any  # of conftest.py, which no test can import
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def backup(platform: Platform, scratch: ScratchPool, workspace: Workspace) -> Backup:
    (outcome,) = runs.run_many(platform, [workspace.id], scratch=scratch)
    assert outcome.backup is not None
    return outcome.backup


def test_a_whole_backup_that_the_catalogue_lost_stays_until_its_time_is_over(
    platform: Platform, backup: Backup
) -> None:
    store = open_store(platform.settings)
    with platform.control.begin() as conn:
        catalogue.forget(conn, backup.id)  # as after a recovery from an older copy of the control database
    collect.remove_orphans(platform, store, datetime.now(UTC) + 25 * HOUR)
    assert store.exists(backup.object or "")
    collect.remove_orphans(platform, store, datetime.now(UTC) + 31 * DAY)
    assert not store.exists(backup.object or "")


def test_half_a_backup_that_no_entry_names_goes_after_a_day(platform: Platform, backup: Backup) -> None:
    store = open_store(platform.settings)
    with platform.control.begin() as conn:
        catalogue.forget(conn, backup.id)
    store.delete(names.descriptor_object(backup.object or ""))
    collect.remove_orphans(platform, store, datetime.now(UTC) + 25 * HOUR)
    assert not store.exists(backup.object or "")


def test_backups_of_a_workspace_of_which_only_the_keys_are_known_stay(platform: Platform) -> None:
    store, tenant_id = open_store(platform.settings), "lostlostlostlost"
    platform.keys.create_tenant(tenant_id)
    name = names.dump_object(tenant_id, "20260101-000000-aaaaaaaa")
    with store.create(name) as target:
        target.write(b"sealed")
    collect.remove_orphans(platform, store, datetime.now(UTC) + 400 * DAY)
    assert store.exists(name)
    platform.keys.destroy_tenant(tenant_id)
    collect.remove_orphans(platform, store, datetime.now(UTC) + 400 * DAY)
    assert not store.exists(name)


def test_a_store_whose_disk_is_not_mounted_blames_no_backup(
    platform: Platform, scratch: ScratchPool, backup: Backup
) -> None:
    root = platform.settings.local_store_dir
    aside = root.with_name("store-aside")
    root.rename(aside)
    root.mkdir()
    try:
        (checked,) = scrub.scrub(platform, [Copy(backup, "local")])
        with pytest.raises(FailedError, match="is its disk mounted"):
            runs.verify_one(platform, backup.id, scratch=scratch)
    finally:
        root.rmdir()
        aside.rename(root)
    assert isinstance(checked.error, FailedError)
    assert runs.show_backup(platform, backup.id).state is BackupState.VERIFIED


def test_who_has_an_erased_accounts_address_now_is_not_taken_for_it(
    platform: Platform, workspace: Workspace, make_workspace: Any
) -> None:
    old = erase(platform, workspace.slug, "olga")
    assert certificate_of(platform, workspace.slug) == old
    heir = make_workspace(platform, workspace.slug)
    assert certificate_of(platform, workspace.slug) is None
    erase(platform, workspace.slug, "olga")
    found = certificate_of(platform, heir.id)
    assert found is not None
    assert found.document["account"]["id"] == heir.id


@pytest.fixture
def entries(platform: Platform) -> Any:
    """A transaction, rolled back, in which the catalogue is empty; adds an entry of a time."""
    with platform.control.connect() as conn, conn.begin() as transaction:
        conn.execute(text("DELETE FROM backup"))

        def add(at: datetime) -> Connection:
            values = {"id": os.urandom(8).hex(), "at": at}
            conn.execute(
                text("INSERT INTO backup (id, kind, state, started_at) VALUES (:id, 'control', 'failed', :at)"), values
            )
            return conn

        yield add
        transaction.rollback()


def test_a_clock_that_has_jumped_removes_nothing_for_a_day(entries: Any) -> None:
    now = datetime(2026, 11, 20, 12, tzinfo=UTC)
    conn = entries(now - 2 * DAY)
    assert is_trusted(conn, now)
    jumped = now + 365 * DAY
    assert not is_trusted(conn, jumped)
    entries(jumped)
    assert not is_trusted(conn, jumped + 23 * HOUR)
    assert is_trusted(conn, jumped + 25 * HOUR)


def test_a_fresh_installation_trusts_its_clock(entries: Any) -> None:
    now = datetime(2026, 11, 20, 12, tzinfo=UTC)
    assert is_trusted(entries(now - HOUR), now)


def test_keys_of_the_log_die_when_a_certificate_says_so_whatever_the_window_is_now() -> None:
    signed, until = datetime(2026, 11, 1, 9, tzinfo=UTC), datetime(2026, 11, 12, tzinfo=UTC)
    days = ["20261031", "20261101", "20261102", "20261103"]
    assert _promised([(signed, until)], days, until - HOUR) == set()
    assert _promised([(signed, until)], days, until) == {"20261031", "20261101", "20261102"}


def test_clearing_goes_on_where_one_part_fails(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(collect, "remove_service_files", fail)
    monkeypatch.setattr(collect, "end_throw_away_servers", lambda _: 7)
    done = collect.collect(platform, keep_all=True)
    assert (done["service files"], done["throw-away servers"]) == (0, 7)
    assert "backups past their date" not in done
