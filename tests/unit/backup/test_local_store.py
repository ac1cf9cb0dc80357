import resource
import stat
from pathlib import Path

import pytest

from strongroom.backup.stores.contract import Store
from strongroom.backup.stores.local import LocalStore
from strongroom.backup.stores.opening import open_store
from strongroom.config.errors import CallError, FailedError, NotFoundError, RefusedError
from strongroom.config.settings import Settings


@pytest.fixture(params=["local"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Every store passes this suite."""
    return LocalStore(tmp_path / "store")


def put(store: Store, name: str, content: bytes) -> None:
    with store.create(name) as target:
        target.write(content)


def get(store: Store, name: str) -> bytes:
    with store.open(name) as file:
        return file.read()


def test_an_object_is_read_as_it_was_written(store: Store) -> None:
    with store.create("tenants/a/1.age") as target:
        assert target.write(b"first ") == 6
        target.write(b"second")
    assert get(store, "tenants/a/1.age") == b"first second"
    assert store.exists("tenants/a/1.age")


def test_nothing_is_overwritten(store: Store) -> None:
    put(store, "a/1", b"old")
    with pytest.raises(RefusedError, match="nothing is overwritten"):
        put(store, "a/1", b"new")
    assert get(store, "a/1") == b"old"


def test_of_two_writers_of_one_name_the_second_is_refused(store: Store) -> None:
    def write_slowly() -> None:
        with store.create("a/1") as slow:
            slow.write(b"slow")
            put(store, "a/1", b"fast")

    with pytest.raises(RefusedError):
        write_slowly()
    assert get(store, "a/1") == b"fast"


def test_an_object_whose_writer_failed_is_not_there(store: Store) -> None:
    def fail() -> None:
        with store.create("a/1") as target:
            target.write(b"half")
            raise ValueError("broke")

    with pytest.raises(ValueError, match="broke"):
        fail()
    assert not store.exists("a/1")
    assert list(store.list()) == []
    assert list(store.abandoned()) == []


def test_an_unfinished_object_is_not_listed_but_found_as_abandoned(store: Store) -> None:
    with store.create("a/1") as target:
        target.write(b"half")
        assert not store.exists("a/1")
        assert list(store.list()) == []
        (found,) = store.abandoned()
        assert found.name.startswith("a/")
    assert list(store.abandoned()) == []


def test_nothing_but_what_a_killed_writer_left_is_removed_as_abandoned(store: Store) -> None:
    put(store, "a/1", b"whole")
    with store.create("a/2") as target:
        target.write(b"half")
        (found,) = store.abandoned()
        with pytest.raises(CallError):
            store.delete_abandoned("a/1")
    assert not store.delete_abandoned(found.name)
    assert [o.name for o in store.list()] == ["a/1", "a/2"]


def test_listing_gives_name_and_size_below_a_folder_in_order(store: Store) -> None:
    for name in ("b/2", "b/1", "a/1"):
        put(store, name, name.encode() * 2)
    assert [(o.name, o.size) for o in store.list("b")] == [("b/1", 6), ("b/2", 6)]
    assert [o.name for o in store.list()] == ["a/1", "b/1", "b/2"]


def test_a_deleted_object_is_gone(store: Store) -> None:
    put(store, "a/1", b"x")
    assert store.delete("a/1")
    assert not store.delete("a/1")
    with pytest.raises(NotFoundError):
        get(store, "a/1")


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../b", "A", "", "a//b", "a/.tmp-1", "a\n"])
def test_a_name_that_could_leave_the_store_is_refused(store: Store, name: str) -> None:
    with pytest.raises(CallError):
        put(store, name, b"")


def test_only_the_owner_may_read_the_files(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    put(store, "a/1", b"x")
    assert stat.S_IMODE((tmp_path / "store/a/1").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "store/a").stat().st_mode) == 0o700


@pytest.mark.parametrize("size", [2_000, 2_000_000])
def test_a_full_disk_leaves_nothing(store: Store, size: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, hard))
    try:
        with pytest.raises(FailedError, match="a/1 cannot be written"):
            put(store, "a/1", b"x" * size)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(store.list()) == []
    assert list(store.abandoned()) == []


def test_the_root_of_the_data_is_refused_as_store_even_through_a_link(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "backups").symlink_to(home)
    with pytest.raises(RefusedError, match="must not contain each other"):
        open_store(Settings(home=home, backup_root=tmp_path / "backups"))
