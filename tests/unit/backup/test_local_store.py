"""What only a folder does; what every store does is in tests/integration/backup/stores."""

import resource
import stat
from pathlib import Path

import pytest
from whole_objects import put

from strongroom.backup.stores.contract import Store
from strongroom.backup.stores.local import LocalStore
from strongroom.config.errors import FailedError


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return LocalStore(tmp_path / "store")


def test_an_unfinished_object_is_not_listed_but_found_as_abandoned(store: Store) -> None:
    with store.create("a/1") as target:
        target.write(b"half")
        assert not store.exists("a/1")
        assert list(store.list()) == []
        (found,) = store.abandoned()
        assert found.name.startswith("a/")
    assert list(store.abandoned()) == []


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
