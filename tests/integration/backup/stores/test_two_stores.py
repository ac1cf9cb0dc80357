"""A workspace backed up into two stores on two machines, and what happens when one of them is away."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select
from store_servers import S3Server

from strongroom.backup import catalogue, collect, copies, copy_queries, keycopies, names, runs
from strongroom.backup.erasure.erase import certificate_of, erase
from strongroom.backup.records import Backup, BackupState
from strongroom.backup.restore import restore
from strongroom.backup.scratch import ScratchPool
from strongroom.backup.stores.contract import Store
from strongroom.backup.stores.opening import open_keys, open_store
from strongroom.backup.tasks import copy_to_stores
from strongroom.config.errors import FailedError, RefusedError
from strongroom.config.stores import StoreSettings
from strongroom.platform.control.platform import Platform
from strongroom.platform.control.tables import backup, backup_copy
from strongroom.platform.metrics.collector import ControlDatabaseCollector
from strongroom.platform.metrics.queries import store_copies

Build = Callable[..., Platform]


@pytest.fixture
def with_stores(platform: Platform) -> Build:
    """Returns the platform with other stores in its settings, and without backups of other tests in its catalogue."""
    with platform.control.begin() as conn:
        conn.execute(backup.delete())

    def build(*stores: StoreSettings) -> Platform:
        return replace(platform, settings=replace(platform.settings, backup_store=stores))

    return build


@pytest.fixture
def near(tmp_path: Path) -> StoreSettings:
    return StoreSettings("near", (tmp_path / "near").as_uri())


@pytest.fixture
def far(s3_server: S3Server, tmp_path: Path) -> StoreSettings:
    return s3_server.store(tmp_path)


def back_up(platform: Platform, scratch: ScratchPool, tenant_id: str | None) -> Backup:
    (outcome,) = runs.run_many(platform, [tenant_id], scratch=scratch)
    if outcome.error is not None:
        raise outcome.error
    assert outcome.backup is not None
    return outcome.backup


def states(platform: Platform, made: Backup) -> dict[str, str]:
    with platform.control.connect() as conn:
        rows = conn.execute(select(backup_copy.c.store, backup_copy.c.state).where(backup_copy.c.backup_id == made.id))
        return {row.store: row.state for row in rows}


def objects(store: Store, tenant_id: str) -> dict[str, int]:
    return {found.name: found.size for found in store.list(names.folder(tenant_id))}


def test_a_backup_is_copied_and_restored_from_the_second_store_when_the_first_is_gone(
    with_stores: Build, scratch: ScratchPool, workspace, near: StoreSettings, far: StoreSettings
) -> None:
    platform = with_stores(near, far)
    made = back_up(platform, scratch, workspace.id)
    assert made.state is BackupState.VERIFIED
    assert states(platform, made) == {"near": "stored", "far": "pending"}

    copies.replicate(platform)
    assert states(platform, made) == {"near": "stored", "far": "stored"}
    first, second = (open_store(platform.settings, name) for name in ("near", "far"))
    assert objects(first, workspace.id) == objects(second, workspace.id)
    assert len(objects(second, workspace.id)) == 4  # dump, descriptor, a receipt and its preview

    shutil.rmtree(near.folder)
    workspace.spend("After")
    shutil.rmtree(platform.settings.receipts_dir / workspace.id)
    restored = restore(platform, workspace.slug)
    assert restored.receipts == 2
    assert workspace.merchants() == ["Before"]
    assert workspace.receipt()[0].startswith(b"%PDF")
    assert runs.verify_one(platform, made.id, scratch=scratch).state is BackupState.VERIFIED


def test_the_keys_that_open_a_backup_are_beside_it_before_it_is(
    with_stores: Build, scratch: ScratchPool, workspace, far: StoreSettings
) -> None:
    platform = with_stores(far)
    back_up(platform, scratch, workspace.id)
    keys, folder = open_keys(platform.settings), platform.settings.keys_dir
    master = platform.keys.master_id
    for kind, name in (("tenant", workspace.id), ("platform", "platform")):
        with keys.open(f"{master}/{kind}/{name}.json") as file:
            assert file.read() == (folder / kind / f"{name}.json").read_bytes()
    workspace.spend("More")
    workspace.settle()
    broken = with_stores(replace(far, keys_url="s3://no-such-bucket-here/keys"))
    with pytest.raises(FailedError, match="has no bucket; run: strongroom store init far"):
        back_up(broken, scratch, workspace.id)


def test_all_keys_and_logins_are_copied_and_those_destroyed_go(
    with_stores: Build, another, workspace, far: StoreSettings
) -> None:
    platform = with_stores(far)
    keycopies.sync(platform)
    keys, master = open_keys(platform.settings), platform.keys.master_id
    here = {f"{master}/{path.parent.name}/{path.name}" for path in platform.settings.keys_dir.glob("*/*.json")}
    assert {found.name for found in keys.list()} == here
    assert f"{master}/placement/{workspace.tenant().placement_id}.json" in here
    assert keycopies.sync(platform) == 0

    lost = platform.settings.keys_dir / "tenant" / f"{workspace.id}.json"
    content = lost.read_bytes()
    lost.unlink()  # by accident: nobody has destroyed it
    keycopies.sync(platform)
    assert keys.exists(f"{master}/tenant/{workspace.id}.json")
    lost.write_bytes(content)
    lost.chmod(0o600)

    assert keycopies.destroy(platform, "tenant", another.id) == [f"far: {master}/tenant/{another.id}.json"]
    assert not keys.exists(f"{master}/tenant/{another.id}.json")
    assert keycopies.destroy(platform, "tenant", another.id) == []


def test_while_the_second_store_is_away_backups_go_on_and_its_lag_is_told(
    with_stores: Build, scratch: ScratchPool, workspace, near: StoreSettings, own_s3_server: S3Server, tmp_path: Path
) -> None:
    far = own_s3_server.store(tmp_path)
    platform = with_stores(near, far)
    own_s3_server.stop()
    made = back_up(platform, scratch, workspace.id)
    assert made.state is BackupState.VERIFIED

    now = datetime.now(UTC)
    done = copies.replicate(platform, now)
    assert list(done.failures) == ["far"]
    assert done.failures["far"].endswith("not reachable.")
    assert states(platform, made)["far"] == "failed"
    assert copies.replicate(platform, now + timedelta(seconds=30)).failures == {}  # it waits for its next try
    with platform.control.connect() as conn:
        assert copy_queries.due(conn, "far", now + timedelta(seconds=90))

    own_s3_server.start()
    own_s3_server.client.create_bucket(Bucket=far.url.split("/")[2])
    copies.replicate(platform, now + timedelta(hours=2))
    assert states(platform, made)["far"] == "stored"


def test_while_the_first_store_is_away_a_backup_fails_in_a_sentence_and_nothing_is_listed(
    with_stores: Build, scratch: ScratchPool, workspace, near: StoreSettings, own_s3_server: S3Server, tmp_path: Path
) -> None:
    far = own_s3_server.store(tmp_path)
    platform = with_stores(far, near)
    own_s3_server.stop()
    with pytest.raises(FailedError, match=r"The backup store “far” could not .*: not reachable"):
        back_up(platform, scratch, workspace.id)
    (entry,) = runs.list_backups(platform, workspace.slug)
    assert entry.state is BackupState.FAILED
    assert entry.failure is not None and "not reachable" in entry.failure
    assert states(platform, entry) == {}


def test_a_workspace_of_another_region_than_every_store_is_refused_before_anything_is_recorded(
    with_stores: Build, scratch: ScratchPool, workspace, near: StoreSettings
) -> None:
    platform = with_stores(replace(near, region="eu"))
    with pytest.raises(RefusedError, match="No backup store takes workspaces of the region “uk”"):
        back_up(platform, scratch, workspace.id)
    assert runs.list_backups(platform, workspace.slug) == []


def test_copies_go_only_to_stores_of_the_region_but_the_control_database_to_all(
    with_stores: Build, scratch: ScratchPool, workspace, near: StoreSettings, far: StoreSettings, tmp_path: Path
) -> None:
    platform = with_stores(near, replace(far, region="eu"))
    tenant, control = back_up(platform, scratch, workspace.id), back_up(platform, scratch, None)
    copies.replicate(platform)
    assert states(platform, tenant) == {"near": "stored"}
    assert states(platform, control) == {"near": "stored", "far": "stored"}
    assert objects(open_store(platform.settings, "far"), workspace.id) == {}


def test_a_store_that_is_added_later_gets_what_is_there(
    with_stores: Build, scratch: ScratchPool, workspace, near: StoreSettings, far: StoreSettings
) -> None:
    made = back_up(with_stores(near), scratch, workspace.id)
    platform = with_stores(near, far)
    copies.replicate(platform)
    assert states(platform, made) == {"near": "stored", "far": "stored"}


def test_an_object_that_was_changed_in_the_first_store_is_not_copied(
    with_stores: Build, scratch: ScratchPool, workspace, near: StoreSettings, far: StoreSettings
) -> None:
    platform = with_stores(near, far)
    made = back_up(platform, scratch, workspace.id)
    assert made.object is not None
    path = near.folder / "store" / made.object
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    copies.replicate(platform)
    assert states(platform, made)["far"] == "failed"
    second = open_store(platform.settings, "far")
    assert not second.exists(made.object)
    assert not second.exists(names.descriptor_object(made.object))


def test_copying_goes_on_where_it_was_killed_and_trusts_nothing_that_it_finds(
    with_stores: Build, scratch: ScratchPool, workspace, near: StoreSettings, far: StoreSettings
) -> None:
    platform = with_stores(near, far)
    made = back_up(platform, scratch, workspace.id)
    assert made.object is not None
    first, second = (open_store(platform.settings, name) for name in ("near", "far"))
    with first.open(made.object) as file, second.create(made.object) as target:
        target.write(file.read())
    copies.replicate(platform)
    assert states(platform, made)["far"] == "stored"

    workspace.spend("More")
    workspace.settle()
    later = back_up(platform, scratch, workspace.id)
    assert later.object is not None
    with second.create(later.object) as target:
        target.write(b"something else")
    copies.replicate(platform)
    with platform.control.connect() as conn:
        failure = conn.scalar(
            select(backup_copy.c.failure).where(backup_copy.c.backup_id == later.id, backup_copy.c.store == "far")
        )
    assert failure == f"The backup store “far” has another object {later.object}."


def test_pruned_backups_and_orphans_go_from_all_stores(
    with_stores: Build, scratch: ScratchPool, workspace, near: StoreSettings, far: StoreSettings
) -> None:
    platform = with_stores(near, far)
    old = back_up(platform, scratch, workspace.id)
    workspace.spend("More")
    workspace.settle()
    new = back_up(platform, scratch, workspace.id)
    copies.replicate(platform)
    second = open_store(platform.settings, "far")
    assert old.object is not None and new.object is not None
    assert second.exists(old.object)
    with platform.control.begin() as conn:
        catalogue.forget(conn, old.id)  # killed between the entry and the objects
    collect.collect(platform, datetime.now(UTC) + timedelta(days=31))
    for name in ("near", "far"):
        store = open_store(platform.settings, name)
        assert not store.exists(old.object)
        assert not store.exists(names.descriptor_object(old.object))
        assert store.exists(new.object)


def test_an_upload_whose_process_was_killed_is_ended_by_the_collector(
    with_stores: Build, far: StoreSettings, s3_server: S3Server
) -> None:
    platform, bucket = with_stores(far), far.url.split("/")[2]
    s3_server.client.create_multipart_upload(Bucket=bucket, Key="strongroom/store/tenants/x/killed.age")
    s3_server.client.create_multipart_upload(Bucket=bucket, Key="elsewhere/of-somebody-else")
    assert len(list(open_store(platform.settings).abandoned())) == 1
    collect.collect(platform, datetime.now(UTC) + timedelta(hours=25))
    assert list(open_store(platform.settings).abandoned()) == []
    assert len(s3_server.client.list_multipart_uploads(Bucket=bucket)["Uploads"]) == 1


def test_an_erased_account_leaves_nothing_in_any_store_but_its_tombstone(
    with_stores: Build, scratch: ScratchPool, workspace, near: StoreSettings, far: StoreSettings
) -> None:
    platform = with_stores(near, far)
    back_up(platform, scratch, workspace.id)
    keycopies.sync(platform)
    copies.replicate(platform)
    erase(platform, workspace.slug, "tester")
    for name in ("near", "far"):
        assert objects(open_store(platform.settings, name), workspace.id) == {}
        left = [found.name for found in open_keys(platform.settings, name).list() if workspace.id in found.name]
        assert left == [f"{platform.keys.master_id}/erased/{workspace.id}.json"]
    keycopies.sync(platform)
    assert not open_keys(platform.settings, "far").exists(f"{platform.keys.master_id}/tenant/{workspace.id}.json")


def test_an_erasure_waits_for_a_store_that_is_away(
    with_stores: Build, scratch: ScratchPool, workspace, near: StoreSettings, own_s3_server: S3Server, tmp_path: Path
) -> None:
    platform = with_stores(near, own_s3_server.store(tmp_path))
    back_up(platform, scratch, workspace.id)
    own_s3_server.stop()
    with pytest.raises(FailedError, match=r"“far” could not .*: not reachable"):
        erase(platform, workspace.slug, "tester")
    assert certificate_of(platform, workspace.id) is None


def test_the_worker_copies_and_the_metrics_and_status_tell(
    with_stores: Build, scratch: ScratchPool, workspace, near: StoreSettings, far: StoreSettings
) -> None:
    platform = with_stores(near, far)
    back_up(platform, scratch, workspace.id)

    def told() -> dict[str, tuple[int, int]]:
        with platform.control.connect() as conn:
            return {one.store: (one.held, one.waiting) for one in store_copies(conn)}

    assert told() == {"far": (0, 1), "near": (1, 0)}
    copy_to_stores(platform)
    assert told() == {"far": (1, 0), "near": (1, 0)}
    values = {
        (sample.name, sample.labels.get("store")): sample.value
        for metric in ControlDatabaseCollector(platform.control, platform.settings).collect()
        for sample in metric.samples
    }
    assert values["strongroom_backup_store_backups", "far"] == 1
    assert values["strongroom_backup_store_waiting", "far"] == 0
    assert values["strongroom_backup_store_lag_seconds", "far"] == 0
