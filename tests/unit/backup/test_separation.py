from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from strongroom.backup.stores.causes import cause
from strongroom.backup.stores.opening import described, open_place, open_store, stores_for
from strongroom.backup.stores.separation import check_separate
from strongroom.config.errors import NotFoundError, RefusedError
from strongroom.config.settings import Settings
from strongroom.config.stores import StoreSettings, local_store
from strongroom.platform.metrics.records import StoreCopies
from strongroom.provisioning.healthy import stores_check


def settings(tmp_path: Path, *stores: StoreSettings, receipts_url: str = "") -> Settings:
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    return Settings(home=home, backup_root=tmp_path / "backups", backup_store=stores, receipts_url=receipts_url)


def store(url: str, name: str = "far", **more) -> StoreSettings:
    return StoreSettings(name, url, **more)


@pytest.mark.parametrize("folder", ["home", "home/inside", "", "link"])
def test_a_store_around_or_inside_the_home_is_refused(tmp_path: Path, folder: str) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "home")
    where = settings(tmp_path, store((tmp_path / folder).as_uri()))
    with pytest.raises(RefusedError, match="must not contain each other"):
        open_store(where)


def test_key_copies_inside_the_home_are_refused(tmp_path: Path) -> None:
    keys = (tmp_path / "home" / "copies").as_uri()
    where = settings(tmp_path, store((tmp_path / "backups").as_uri(), keys_url=keys))
    with pytest.raises(RefusedError, match="must not contain each other"):
        open_store(where)


@pytest.mark.parametrize("receipts", ["s3://acme", "s3://acme/strongroom", "s3://acme/strongroom/store/x"])
def test_a_store_in_the_place_of_the_receipts_is_refused(tmp_path: Path, receipts: str) -> None:
    far = store("s3://acme/strongroom")
    with pytest.raises(RefusedError, match="must not share a place with receipts_url"):
        check_separate(settings(tmp_path, far, receipts_url=receipts), far)


def test_another_bucket_or_folder_than_that_of_the_receipts_is_right(tmp_path: Path) -> None:
    far = store("s3://acme/strongroom")
    for receipts in ("s3://acme-receipts/strongroom", "s3://acme/strongroom-receipts", "gs://acme/strongroom"):
        check_separate(settings(tmp_path, far, receipts_url=receipts), far)


def test_a_store_inside_another_is_refused(tmp_path: Path) -> None:
    outer, inner = store("s3://acme/a", "outer"), store("s3://acme/a/b", "inner")
    for one in (outer, inner):
        with pytest.raises(RefusedError, match="must not contain each other"):
            check_separate(settings(tmp_path, outer, inner), one)
    check_separate(settings(tmp_path, outer, replace(inner, endpoint="https://elsewhere.example")), outer)


@pytest.mark.parametrize("keys_url", ["", "s3://acme/other-folder"])
def test_key_copies_under_a_lock_are_refused(keys_url: str) -> None:
    with pytest.raises(RefusedError, match="set keys_url"):
        open_place(store("s3://acme/strongroom", lock_days=30, keys_url=keys_url))


def test_a_lock_where_there_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="has no object lock"):
        open_place(store(tmp_path.as_uri(), lock_days=30))


def test_key_copies_in_another_kind_of_store_are_refused() -> None:
    with pytest.raises(RefusedError, match="must begin with s3://"):
        open_place(store("s3://acme/strongroom", keys_url="file:///keys"))
    with pytest.raises(RefusedError, match="on the same host"):
        open_place(store("sftp://a@one/x", keys_url="sftp://a@two/keys"))


def test_a_folder_with_a_space_in_its_name_is_that_folder(tmp_path: Path) -> None:
    place = open_place(local_store(tmp_path / "two words"))
    with place.backups.create("a/1") as target:
        target.write(b"x")
    assert (tmp_path / "two words" / "store" / "a" / "1").read_bytes() == b"x"


def test_each_region_has_its_stores_and_the_first_is_where_backups_are_made(tmp_path: Path) -> None:
    uk, eu, every = store("s3://uk", "uk", region="uk"), store("s3://eu", "eu", region="eu"), store("s3://any", "any")
    where = settings(tmp_path, uk, eu, every)
    assert stores_for(where, "uk") == [uk, every]
    assert stores_for(where, "eu") == [eu, every]
    assert stores_for(where, None) == [uk, eu, every]
    with pytest.raises(RefusedError, match="No backup store takes workspaces of the region “us”"):
        stores_for(settings(tmp_path, uk, eu), "us")


def test_a_store_that_no_setting_names_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no backup store “nope”"):
        described(settings(tmp_path), "nope")


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("<Code>NoSuchBucket</Code>", "no such bucket"),
        ("404 ... <Code>AccessDenied</Code> for AKIA", "access denied"),
        ("HTTP error: operation timed out", "timed out"),
        ("after 3 retries, max_retries: 3, retry_timeout: 480s - HTTP error: error sending request", "not reachable"),
        ("status code: 503 Service Unavailable", "it is overloaded"),
        ("[Errno 28] No space left on device", "no space left"),
        ("https://timed-out.example/no-such-bucket 418", "it answered with an error"),
    ],
)
def test_a_cause_is_a_few_words_of_ours(said: str, meant: str) -> None:
    assert cause(RuntimeError(said)) == meant


def test_status_says_which_store_lacks_backups_for_too_long() -> None:
    now, hours = datetime(2026, 1, 31, 12, tzinfo=UTC), timedelta(hours=6)
    young, old = now - timedelta(hours=6, minutes=59), now - timedelta(hours=7, minutes=1)
    near, late = StoreCopies("near", 3, 0, None, None), StoreCopies("far", 1, 2, old, "It is full.")
    assert stores_check(["near"], [near, late], hours, now).ok  # “far” is in no settings any more
    assert stores_check(["near", "far", "new"], [near, replace(late, waiting_since=young)], hours, now).ok
    check = stores_check(["near", "far"], [near, late], hours, now)
    assert (check.ok, check.detail) == (False, "far lacks 2 (It is full.)")
