"""An account is erased while somebody works with it: nothing of it comes to be afterwards."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from waiting import wait_for

from strongroom.backup import clone as cloning
from strongroom.backup import names, pipeline, take
from strongroom.backup.clone import Wish, clone
from strongroom.backup.erasure import erase as erasing
from strongroom.backup.erasure.erase import erase
from strongroom.backup.queueing import CONTROL_TASK
from strongroom.backup.restore import restore
from strongroom.backup.runs import run_backup
from strongroom.backup.stores.opening import open_store
from strongroom.config.errors import BusyError, NotFoundError, StrongroomError
from strongroom.platform.jobs import queries as jobs
from strongroom.platform.tenants import queries as tenants
from strongroom.platform.tenants.requests import owner_email, request_tenant
from strongroom.platform.tenants.states import TenantState
from strongroom.provisioning import create
from strongroom.provisioning.create import tenant_lock


@pytest.fixture
def quick(platform):
    return replace(platform, settings=replace(platform.settings, tenant_cache_seconds=0.05))


@pytest.mark.parametrize("moment", ["before the dump", "before the receipts"])
def test_a_backup_at_work_leaves_nothing_behind(quick, workspace, monkeypatch, moment) -> None:
    """The erasure waits until it has ended; the backup fails, because the database is gone, or its row."""
    reached, go_on = threading.Event(), threading.Event()
    place, name = (pipeline, "write_object") if moment == "before the dump" else (take.receipts, "copy_missing")
    real = getattr(place, name)

    def wait(*arguments: object) -> object:
        reached.set()
        assert go_on.wait(120)
        return real(*arguments)

    monkeypatch.setattr(place, name, wait)
    with ThreadPoolExecutor(2) as pool:
        backup = pool.submit(run_backup, quick, workspace.id)
        assert reached.wait(120)
        erasure = pool.submit(erase, quick, workspace.slug, "olga")
        wait_for(lambda: workspace.tenant().state is TenantState.ERASED, seconds=60)
        with pytest.raises(TimeoutError):  # it waits for the backup, as long as that takes
            erasure.result(1)
        go_on.set()
        certificate = erasure.result(60)
        with pytest.raises(StrongroomError):
            backup.result(60)
    assert list(open_store(quick.settings).list(names.folder(workspace.id))) == []
    assert certificate.account["id"] == workspace.id


def test_a_backup_that_comes_later_is_refused(quick, workspace) -> None:
    erase(quick, workspace.slug, "olga")
    with pytest.raises(StrongroomError):
        run_backup(quick, workspace.id)
    with pytest.raises(NotFoundError):
        restore(quick, workspace.slug)


def test_a_request_that_is_under_way_ends(quick, workspace) -> None:
    with quick.registry.connect(workspace.tenant()) as conn, ThreadPoolExecutor(1) as pool:
        conn.begin()
        conn.exec_driver_sql("SELECT 1")
        pool.submit(erase, quick, workspace.slug, "olga").result(60)
        with pytest.raises(Exception, match=r"terminat|closed|lost"):
            conn.exec_driver_sql("SELECT 1")
        conn.invalidate()


def test_an_erasure_waits_for_a_restore_at_work_and_is_refused_if_that_takes_long(
    quick, workspace, monkeypatch
) -> None:
    monkeypatch.setattr(create, "PATIENCE", 0.1)
    with tenant_lock(quick, workspace.id), pytest.raises(BusyError, match="Another worker"):
        erase(quick, workspace.slug, "olga")
    assert workspace.tenant().state is TenantState.ACTIVE


def test_two_who_erase_at_once_get_the_same_certificate(quick, workspace) -> None:
    with ThreadPoolExecutor(2) as pool:
        first, second = (pool.submit(erase, quick, workspace.id, name) for name in ("olga", "oscar"))
        assert first.result(60).document == second.result(60).document


@pytest.mark.parametrize("state", [TenantState.SUSPENDED, TenantState.RESTORING, TenantState.MIGRATING])
def test_an_account_is_erased_from_any_state(quick, workspace, state) -> None:

    with quick.control.begin() as conn:
        tenants.set_state(conn, workspace.id, state)
    assert erase(quick, workspace.slug, "olga").account["slug"] == workspace.slug


def test_one_that_was_never_made_is_erased_too(quick) -> None:

    with quick.control.begin() as conn:
        made = request_tenant(
            conn, quick.settings, quick.keys, slug="never-made", name="Never", owner_email="never@example.com"
        )
    document = erase(quick, "never-made", "olga").document
    assert document["databases"] == []
    assert document["rows"]["job"] == 1
    with quick.control.connect() as conn, pytest.raises(NotFoundError):
        owner_email(conn, quick.keys, made.id)


def test_what_a_killed_copy_has_left_goes_with_the_account(quick, workspace, monkeypatch) -> None:

    steps = tuple((title, _die if title == "opening" else step) for title, step in cloning.STEPS)
    monkeypatch.setattr(cloning, "STEPS", steps)
    monkeypatch.setattr(cloning.traces, "undo", lambda *_: None)
    with pytest.raises(InterruptedError):
        cloning.clone(quick, workspace.slug, cloning.Wish(f"{workspace.slug}-copy"))
    document = erase(quick, workspace.slug, "olga").document
    assert len(document["databases"]) == 2
    assert len([one for one in document["keys"] if one["kind"] == "tenant"]) == 2
    assert document["receipts"]["count"] == 4


def _die(_work: object) -> None:
    raise InterruptedError


def test_workspaces_made_from_it_are_named_and_stay(quick, workspace) -> None:

    copy = clone(quick, workspace.slug, Wish(f"{workspace.slug}-copy")).tenant
    document = erase(quick, workspace.slug, "olga").document
    assert any(copy.id in one["what"] for one in document["remains"])
    assert workspace.named(copy.slug, copy.id).receipt()[0].startswith(b"%PDF")


def test_the_steps_stand_in_the_order_that_was_promised() -> None:
    assert [name for name, _, _ in erasing.STEPS][:4] == ["tombstone", "closed", "databases", "keys"]


def test_what_keeps_certificate_and_ledger_is_backed_up_next(quick, workspace) -> None:
    erase(quick, workspace.slug, "olga")
    with quick.control.connect() as conn:
        waiting = {job.task for job in jobs.unfinished(conn) if job.state == "todo"}
    assert CONTROL_TASK in waiting
