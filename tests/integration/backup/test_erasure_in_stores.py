"""An erasure reaches every store and every copy of the keys; what a lock keeps is named with its date."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from strongroom.backup import keycopies, names
from strongroom.backup.copies import replicate
from strongroom.backup.erasure import objects
from strongroom.backup.erasure.erase import certificate_of, erase
from strongroom.backup.runs import run_backup
from strongroom.backup.stores.local import LocalStore
from strongroom.backup.stores.opening import open_keys, open_store
from strongroom.config.errors import FailedError, RefusedError
from strongroom.config.stores import local_store


@pytest.fixture
def two_stores(platform, tmp_path):
    """The platform with a second store; every backup goes to both."""
    second = replace(local_store(tmp_path / "second"), name="second")
    settings = replace(
        platform.settings, backup_store=(*platform.settings.backup_stores, second), tenant_cache_seconds=0.05
    )
    return replace(platform, settings=settings)


@pytest.fixture
def backed_up(two_stores, workspace):
    run_backup(two_stores, workspace.id)
    replicate(two_stores)
    keycopies.sync(two_stores)
    assert {name for name in ("local", "second") if stored(two_stores, name, workspace)} == {"local", "second"}
    assert f"tenant/{workspace.id}" in keys_in_second(two_stores)
    return workspace


def stored(platform, store: str, workspace) -> list[str]:
    return [one.name for one in open_store(platform.settings, store).list(names.folder(workspace.id))]


def keys_in_second(platform) -> set[str]:
    found = open_keys(platform.settings, "second").list(platform.keys.master_id)
    return {one.name.partition("/")[2].removesuffix(".json") for one in found}


def test_objects_and_key_copies_are_gone_from_both_stores(two_stores, backed_up) -> None:
    pid = backed_up.tenant().placement_id
    document = erase(two_stores, backed_up.slug, "olga").document
    assert [store["store"] for store in document["stores"]] == ["local", "second"]
    first, second = ([one["sha256"] for one in store["objects"]] for store in document["stores"])
    assert first == second
    assert all(first)
    for name in ("local", "second"):
        assert stored(two_stores, name, backed_up) == []
    assert keys_in_second(two_stores) & {f"tenant/{backed_up.id}", f"placement/{pid}"} == set()
    assert f"erased/{backed_up.id}" in keys_in_second(two_stores)
    places = {one["kind"]: one["places"] for one in document["keys"]}
    assert places["tenant"] == ["key store", "second copy", "store “second”"]


def test_copying_and_the_keys_of_an_erased_account_do_not_come_back(two_stores, backed_up) -> None:
    erase(two_stores, backed_up.slug, "olga")
    replicate(two_stores)
    keycopies.sync(two_stores)
    assert stored(two_stores, "second", backed_up) == []
    assert f"tenant/{backed_up.id}" not in keys_in_second(two_stores)
    assert f"erased/{backed_up.id}" in keys_in_second(two_stores)


def test_a_store_that_is_away_keeps_the_erasure_from_ending_and_the_next_call_ends_it(
    two_stores, backed_up, monkeypatch
) -> None:
    real = LocalStore.list

    def away(self: LocalStore, prefix: str = "") -> Iterator[object]:
        if self.name == "second" and prefix.startswith("tenants"):
            raise FailedError("The backup store “second” does not answer.")
        return real(self, prefix)

    monkeypatch.setattr(LocalStore, "list", away)
    with pytest.raises(FailedError, match="does not answer"):
        erase(two_stores, backed_up.slug, "olga")
    assert certificate_of(two_stores, backed_up.slug) is None
    monkeypatch.undo()
    document = erase(two_stores, backed_up.slug, "olga").document
    assert [len(store["objects"]) for store in document["stores"]] == [2, 2]


def test_what_a_lock_keeps_is_listed_with_its_date_and_cannot_be_read(two_stores, backed_up, monkeypatch) -> None:
    until = datetime.now(UTC) + timedelta(days=5)
    monkeypatch.setattr(objects, "_locked_until", lambda settings, _one: until if settings.name == "second" else None)
    real = LocalStore.delete

    def locked(self: LocalStore, name: str) -> bool:
        if self.name == "second" and name.startswith("tenants"):
            raise RefusedError("It is locked.")
        return real(self, name)

    monkeypatch.setattr(LocalStore, "delete", locked)
    document = erase(two_stores, backed_up.slug, "olga").document
    first, second = document["stores"]
    assert not any("locked_until" in one for one in first["objects"])
    dates = {one["locked_until"] for one in (*second["objects"], *second["receipts"]["objects"])}
    assert dates == {until.isoformat(timespec="seconds")}
    (said,) = [one for one in document["remains"] if "locked objects" in one["what"]]
    assert (said["until"], "4 objects" in said["sentence"]) == (until.isoformat(timespec="seconds"), True)
    assert len(stored(two_stores, "second", backed_up)) == 4


def test_a_store_that_the_settings_no_longer_name_is_said(two_stores, backed_up) -> None:
    fewer = replace(
        two_stores, settings=replace(two_stores.settings, backup_store=two_stores.settings.backup_store[:1])
    )
    document = erase(fewer, backed_up.slug, "olga").document
    assert any("“second”" in one["what"] for one in document["remains"])


def test_an_upload_that_was_cut_off_goes_too(two_stores, workspace) -> None:
    @contextmanager
    def cut_off() -> Generator[None]:
        folder = two_stores.settings.local_store_dir / names.folder(workspace.id)
        folder.mkdir(parents=True, mode=0o700)
        (folder / ".tmp-0123456789abcdef").write_bytes(b"sealed")
        yield
        assert not list(folder.iterdir())

    with cut_off():
        document = erase(two_stores, workspace.slug, "olga").document
    assert [one["kind"] for one in document["stores"][0]["objects"]] == ["unfinished"]
