"""What every store must do, whatever its kind. Run against real servers of the protocols."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from obstore.store import MemoryStore
from store_servers import S3Server, SftpServer
from whole_objects import get, put

from strongroom.backup.stores.clouds import StreamedUploads
from strongroom.backup.stores.contract import Store
from strongroom.backup.stores.credentials import read_credentials
from strongroom.backup.stores.objects import PART, BucketStore, Patience
from strongroom.backup.stores.opening import open_place
from strongroom.backup.stores.s3 import Access, Bucket
from strongroom.config.errors import CallError, NotFoundError, RefusedError
from strongroom.config.stores import StoreSettings

KINDS = ("local", "s3", "s3 with object lock", "sftp", "cloud")
SMALL, LARGE = 5_000, PART + 300_000  # bytes; the large one needs several requests


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store of each kind."""
    if request.param == "cloud":  # what Google and Azure share, without their servers
        memory = MemoryStore()
        return BucketStore("cloud", memory, StreamedUploads("cloud", memory))
    if request.param.startswith("s3"):  # a client of S3 takes half a second to make
        bucket: Bucket = request.getfixturevalue("locked_bucket" if "lock" in request.param else "bucket")
        return Bucket(bucket.access, bucket.bucket, f"strongroom-{tmp_path.name}/store").store()
    return open_place(describe(request.param, request, tmp_path)).backups


@pytest.fixture(scope="module")
def bucket(s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Bucket:
    described = s3_server.store(tmp_path_factory.mktemp("bucket"))
    return Bucket.of(Access(described, read_credentials(described, described.credentials), Patience()), described.url)


@pytest.fixture(scope="module")
def locked_bucket(s3_server: S3Server, bucket: Bucket) -> Bucket:
    return Bucket(bucket.access, s3_server.bucket(lock=True), "")


def describe(kind: str, request: pytest.FixtureRequest, folder: Path) -> StoreSettings:
    if kind == "local":
        return StoreSettings("local", (folder / "root").as_uri())
    if kind == "s3":
        return request.getfixturevalue("s3_server").store(folder)
    server: SftpServer = request.getfixturevalue("sftp_server")
    return server.store(folder)


def names(store: Store, prefix: str = "") -> list[str]:
    return [found.name for found in store.list(prefix)]


def test_an_object_is_read_as_it_was_written(store: Store) -> None:
    with store.create("tenants/a/1.age") as target:
        assert target.write(b"first ") == 6
        target.write(b"second")
    assert get(store, "tenants/a/1.age") == b"first second"
    assert store.exists("tenants/a/1.age")
    assert not store.exists("tenants/a")


def test_an_sftp_server_is_entered_with_a_key(sftp_server: SftpServer, tmp_path: Path) -> None:
    described = sftp_server.store(tmp_path, private_key=sftp_server.client_key(), password="wrong, and not used")
    store = open_place(described).backups
    put(store, "a/1", b"x")
    assert get(store, "a/1") == b"x"


def test_an_empty_object_is_one(store: Store) -> None:
    put(store, "a/empty", b"")
    assert get(store, "a/empty") == b""
    assert [(found.name, found.size) for found in store.list()] == [("a/empty", 0)]


def test_a_large_object_is_read_in_pieces_of_any_size(store: Store) -> None:
    content = os.urandom(LARGE)
    with store.create("a/large") as target:
        for start in range(0, LARGE, 65_536):
            target.write(content[start : start + 65_536])
    pieces: list[bytes] = []
    with store.open("a/large") as file:
        for size in (1, 7, 100_000, 5_000_000):
            pieces.append(file.read(size))
            assert len(pieces[-1]) == size
        pieces.append(file.read())
        assert file.read(1) == b""
    assert b"".join(pieces) == content
    assert [found.size for found in store.list()] == [LARGE]


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_nothing_is_overwritten(store: Store, size: int) -> None:
    put(store, "a/1", b"old")
    with pytest.raises(RefusedError, match="nothing is overwritten"):
        put(store, "a/1", b"n" * size)
    assert get(store, "a/1") == b"old"
    assert names(store) == ["a/1"]
    assert list(store.abandoned()) == []


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_of_two_writers_of_one_name_the_second_is_refused(store: Store, size: int) -> None:
    def write_slowly() -> None:
        with store.create("a/1") as slow:
            slow.write(b"s" * size)
            put(store, "a/1", b"fast")

    with pytest.raises(RefusedError):
        write_slowly()
    assert get(store, "a/1") == b"fast"
    assert list(store.abandoned()) == []


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_an_object_whose_writer_failed_is_not_there(store: Store, size: int) -> None:
    def fail() -> None:
        with store.create("a/1") as target:
            target.write(b"h" * size)
            raise ValueError("broke")

    with pytest.raises(ValueError, match="broke"):
        fail()
    assert not store.exists("a/1")
    assert list(store.list()) == []
    assert list(store.abandoned()) == []


def test_an_unfinished_object_is_not_there_yet(store: Store) -> None:
    with store.create("a/1") as target:
        target.write(b"h" * LARGE)
        assert not store.exists("a/1")
        assert list(store.list()) == []
    assert names(store) == ["a/1"]
    assert list(store.abandoned()) == []


def test_nothing_but_what_a_killed_writer_left_is_removed_as_abandoned(store: Store) -> None:
    put(store, "a/1", b"whole")
    for name in ("a/1", "../a/1", "a/2"):
        with pytest.raises(CallError):
            store.delete_abandoned(name)
    assert names(store) == ["a/1"]


def test_listing_gives_name_size_and_time_below_a_folder_in_order(store: Store) -> None:
    for name in ("b/2", "b/1", "a-b/1", "a/1", "bb/1"):
        put(store, name, name.encode() * 2)
    assert [(found.name, found.size) for found in store.list("b")] == [("b/1", 6), ("b/2", 6)]
    assert names(store) == ["a-b/1", "a/1", "b/1", "b/2", "bb/1"]
    assert names(store, "none") == []
    for found in store.list():
        assert abs(datetime.now(UTC) - found.modified) < timedelta(minutes=5)


def test_a_deleted_object_is_gone(store: Store) -> None:
    put(store, "a/1", b"x")
    assert store.delete("a/1")
    assert not store.delete("a/1")
    with pytest.raises(NotFoundError):
        get(store, "a/1")
    assert names(store) == []


def test_a_replaced_object_has_the_new_content(store: Store, request: pytest.FixtureRequest) -> None:
    if "lock" in request.node.name:
        return  # key copies, which this is for, never lie under a lock
    store.replace("m/tenant/a.json", b"first")
    store.replace("m/tenant/a.json", b"second")
    assert get(store, "m/tenant/a.json") == b"second"
    assert names(store) == ["m/tenant/a.json"]
    assert list(store.abandoned()) == []


def test_a_name_that_could_leave_the_store_is_refused(store: Store) -> None:
    for name in ("../x", "/etc/passwd", "a/../b", "A", "", "a//b", "a/.tmp-1", "a\n", "a/"):
        for use in (store.exists, store.delete, lambda wrong: put(store, wrong, b""), lambda wrong: get(store, wrong)):
            with pytest.raises(CallError):
                use(name)


def test_many_threads_use_a_store_at_the_same_time(store: Store) -> None:
    def use(number: int) -> bool:
        content = bytes([number]) * (100_000 + number)
        put(store, f"t/{number}", content)
        return get(store, f"t/{number}") == content and store.exists(f"t/{number}")

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(use, range(18)))
    assert len(names(store, "t")) == 18


def test_of_many_writers_of_one_name_exactly_one_wins(store: Store) -> None:
    if store.name == "cloud":
        return  # its memory has no server to decide
    together = threading.Barrier(4)

    def write(number: int) -> bool:
        try:
            with store.create("a/1") as target:
                target.write(bytes([number]) * SMALL)
                together.wait(120)
        except RefusedError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        won = list(pool.map(write, range(4)))
    assert sum(won) == 1
    assert get(store, "a/1") == bytes([won.index(True)]) * SMALL


_WRITE_FOREVER = """
import sys
from pathlib import Path
from strongroom.config.stores import StoreSettings
from strongroom.backup.stores.opening import open_place

name, url, endpoint, credentials = sys.argv[1:]
store = open_place(StoreSettings(name, url, endpoint=endpoint, credentials=Path(credentials) if credentials else None))
with store.backups.create("a/killed") as target:
    for _ in range(25):
        target.write(b"k" * 1_000_000)
    print("half", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("kind", ["local", "s3", "sftp"])
def test_what_a_killed_writer_leaves_is_found_and_removed(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    described = describe(kind, request, tmp_path)
    store = open_place(described).backups
    arguments = [described.name, described.url, described.endpoint, str(described.credentials or "")]
    with subprocess.Popen(
        [sys.executable, "-c", _WRITE_FOREVER, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"half\n"
        writer.kill()
    assert names(store) == []
    (found,) = store.abandoned()
    assert found.name.startswith("a/")
    if kind != "s3":  # moto says 2010 of every upload
        assert abs(datetime.now(UTC) - found.modified) < timedelta(minutes=5)
    assert store.delete_abandoned(found.name)
    assert not store.delete_abandoned(found.name)
    assert list(store.abandoned()) == []


_MUCH = """
import resource, sys
from pathlib import Path
from strongroom.config.stores import StoreSettings
from strongroom.backup.stores.opening import open_place

name, url, endpoint, credentials = sys.argv[1:]
store = open_place(StoreSettings(name, url, endpoint=endpoint, credentials=Path(credentials))).backups

def copy(name, megabytes):
    with store.create(name) as target:
        for _ in range(megabytes):
            target.write(b"m" * 1_000_000)
    with store.open(name) as file:
        while file.read(65536):
            pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

before = copy("a/warm", 1)
print(copy("a/large", 80) - before)
"""


def test_memory_is_bounded_whatever_the_size(s3_server: S3Server, tmp_path: Path) -> None:
    described = s3_server.store(tmp_path)
    arguments = [described.name, described.url, described.endpoint, str(described.credentials)]
    done = subprocess.run([sys.executable, "-c", _MUCH, *arguments], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 45_000  # KiB, for 80 MB; three parts of 10 MB are in memory at most
