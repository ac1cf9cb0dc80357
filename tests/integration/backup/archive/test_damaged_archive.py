"""What is missing, damaged or swapped in the archive: a clear sentence, and nothing half done."""

import io
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO

import pytest

from strongroom.backup import keycopies
from strongroom.backup.archive import embedded, expiry, names, pieces, window
from strongroom.backup.archive.base import run_base_backup
from strongroom.backup.archive.moment import restore_at
from strongroom.backup.archive.tasks import base_is_due
from strongroom.backup.stores.local import LocalStore
from strongroom.backup.stores.opening import open_store
from strongroom.config.errors import FailedError, KeyMissingError, NotFoundError, RefusedError, VerificationError
from strongroom.platform.control.platform import Platform
from strongroom.platform.servers import bases
from strongroom.platform.servers.bases import BaseBackup
from strongroom.platform.tenants import placements
from strongroom.platform.tenants.ids import new_id
from strongroom.platform.tenants.records import PlacementState
from strongroom.provisioning.locking import held
from strongroom.provisioning.postgres.embedded import EmbeddedServer
from strongroom.provisioning.postgres.spool import Spool

Workspace = Any  # of conftest.py above, which no test can import
Change = Callable[[LocalStore, str], bytes]


def flipped(store: LocalStore, name: str) -> bytes:
    with store.open(name) as file:
        content = bytearray(file.read())
    content[len(content) // 2] ^= 1
    return bytes(content)


def truncated(store: LocalStore, name: str) -> bytes:
    with store.open(name) as file:
        return file.read()[:-100]


def swapped(store: LocalStore, name: str) -> bytes:
    """Another object of the same folder."""
    folder = name.rpartition("/")[0] if "/base/" in name else name.rsplit("/", 2)[0]  # the next piece may be tomorrow's
    other = next(found.name for found in store.list(folder) if found.name > name)
    with store.open(other) as file:
        return file.read()


def missing(_store: LocalStore, name: str) -> bytes:
    raise NotFoundError(f"The backup store has no object {name}.")


class TamperedStore(LocalStore):
    """The store, in which one object is not what it should be."""

    def __init__(self, store: LocalStore, ending: str, change: Change) -> None:
        super().__init__(store.root)
        self._ending = ending
        self._change = change

    @contextmanager
    def open(self, name: str) -> Generator[BinaryIO]:
        if name.endswith(self._ending):
            yield io.BytesIO(self._change(LocalStore(self.root), name))
            return
        with super().open(name) as file:
            yield file


@pytest.fixture(scope="module")
def standing(platform: Platform, base: BaseBackup, make_workspace: Callable[[Platform, str], Workspace]) -> Workspace:
    """A workspace that every one of these tests leaves as it was."""
    return make_workspace(platform, f"d-{new_id()}")


@pytest.mark.parametrize(
    ("part", "change", "sentence"),
    [
        ("base.json", flipped, "descriptor of the base backup is damaged"),
        ("base.json", missing, "no object"),
        ("cluster.age", flipped, "cannot be decrypted"),
        ("cluster.age", truncated, "cannot be decrypted|not the one|ends too early"),
        ("cluster.age", missing, "no object"),
        ("1.age", swapped, "another backup than|not the one"),
        ("piece", flipped, "cannot be decrypted|cannot be decompressed"),
        ("piece", truncated, "cannot be decrypted|cannot be decompressed"),
        ("piece", swapped, "holds something else"),
        ("piece", missing, "The archive lacks the piece"),
    ],
)
def test_damage_is_said_and_leaves_the_workspace_as_it_was(
    base: BaseBackup, standing: Workspace, monkeypatch: pytest.MonkeyPatch, part: str, change: Change, sentence: str
) -> None:
    workspace, platform, moment = standing, standing.platform, datetime.now(UTC)
    store = open_store(platform.settings)
    assert isinstance(store, LocalStore)
    ending = f"{base.start_wal}.age".lower() if part == "piece" else f"{base.id}/{part}"
    monkeypatch.setattr(embedded, "archive_store", lambda *_: TamperedStore(store, ending, change))
    with pytest.raises((VerificationError, NotFoundError), match=sentence):
        restore_at(platform, workspace.slug, moment)
    assert workspace.merchants() == ["Before"]
    with platform.control.connect() as conn:
        states = [placement.state for placement in placements.of_tenant(conn, workspace.id)]
    assert sorted(set(states)) in ([PlacementState.CURRENT], [PlacementState.CURRENT, PlacementState.DROPPED])
    assert not list(EmbeddedServer(platform.settings).root.glob("scratch-*"))


def test_without_its_key_a_base_backup_is_closed(base: BaseBackup, standing: Workspace) -> None:
    workspace, platform = standing, standing.platform
    moment = datetime.now(UTC)
    key = platform.settings.keys_dir / "archive" / f"{base.archive_key}.json"
    away = key.with_suffix(".away")
    key.rename(away)
    try:
        with pytest.raises(KeyMissingError):
            restore_at(platform, workspace.slug, moment)
    finally:
        away.rename(key)


def test_a_base_backup_that_fails_says_why_and_leaves_nothing(
    platform: Platform, base: BaseBackup, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = FailedError("The object x cannot be written to the backup store: No space left on device.")

    def fail(*_: object) -> None:
        raise full

    monkeypatch.setattr("strongroom.backup.archive.base._store_descriptor", fail)
    with pytest.raises(FailedError, match="No space left"):
        run_base_backup(platform)
    with platform.control.connect() as conn:
        failed = bases.in_state(conn, bases.FAILED)[-1]
    assert failed.failure == str(full)
    assert (
        list(open_store(platform.settings).list(names.base_folder("embedded", failed.system_id or "", failed.id))) == []
    )


def test_a_base_backup_whose_process_died_is_given_up_and_removed(platform: Platform, base: BaseBackup) -> None:
    store = open_store(platform.settings)
    dead = f"dead-{base.id}"
    with platform.control.begin() as conn:
        fields = {name: getattr(base, name) for name in base.__slots__}
        lease = datetime.now(UTC) - timedelta(minutes=1)
        bases.begin(conn, BaseBackup(**fields | {"id": dead, "lease_until": lease}))
    folder = names.base_folder("embedded", base.system_id or "", dead)
    with store.create(names.part_object(folder, "5")) as target:
        target.write(b"half")
    assert expiry.give_up_lost(platform, datetime.now(UTC)) == 1
    assert list(store.list(folder)) == []
    with platform.control.connect() as conn:
        assert bases.by_id(conn, dead).failure == "The process that made it ended in the middle of it."


def test_one_base_backup_at_a_time(platform: Platform, base: BaseBackup) -> None:
    with held(platform, "base backup embedded") as mine:
        assert mine
        with pytest.raises(RefusedError, match="being taken already"):
            run_base_backup(platform)


def test_a_base_backup_is_due_once_a_day(platform: Platform, base: BaseBackup) -> None:
    assert not base_is_due(platform, datetime.now(UTC))
    assert base_is_due(platform, datetime.now(UTC) + timedelta(hours=25))
    gap = EmbeddedServer(platform.settings).spool.folder / ".gap"
    gap.touch()
    assert base_is_due(platform, datetime.now(UTC))
    gap.unlink()


def test_what_has_had_its_time_cannot_be_read_and_then_is_gone(
    platform: Platform, base: BaseBackup, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, old = open_store(platform.settings), names.day_of(datetime.now(UTC) - timedelta(days=20))
    platform.keys.create_archive(old)
    opened = platform.keys.archive(old)
    sealed = pieces.seal(pieces.Origin("embedded", "1"), "0000000100000000000000A1", b"canary", opened)
    piece = names.piece_object("embedded", "1", old, "0000000100000000000000A1")
    orphan = f"{names.base_folder('embedded', '1', 'forgotten')}/base.json"
    for name in (piece, orphan):
        with store.create(name) as target:
            target.write(sealed)
    destroyed = keycopies.destroy

    def fail(*_: object) -> None:
        raise FailedError("The store does not answer.")

    monkeypatch.setattr(keycopies, "destroy", fail)
    expiry.expire(platform)
    assert old not in platform.keys.archive_days()  # whatever a store does; its copy goes when it is back
    monkeypatch.setattr(keycopies, "destroy", destroyed)
    expiry.expire(platform)
    assert not list(platform.settings.key_copies_dir.rglob(f"{old}.json"))
    assert not store.exists(piece)
    assert not store.exists(orphan)
    assert base.archive_key in platform.keys.archive_days()
    with platform.control.connect() as conn:
        assert bases.by_id(conn, base.id).state == bases.STORED
    assert expiry.expire(platform) == 0


def test_an_erasure_is_told_a_date_at_which_the_key_is_gone(platform: Platform, base: BaseBackup) -> None:
    moment = datetime.now(UTC)
    promised = expiry.last_log_key_expiry(platform, moment)
    assert promised is not None
    for day in (names.day_of(moment), names.day_of(moment + timedelta(days=1))):
        assert day in window.expired([], [day], platform.settings.point_in_time_days, promised).days
    assert promised - moment <= timedelta(days=platform.settings.point_in_time_days + 4)


def test_a_base_backup_during_which_log_was_let_go_does_not_count(
    platform: Platform, base: BaseBackup, monkeypatch: pytest.MonkeyPatch
) -> None:
    soon = datetime.now(UTC) + timedelta(minutes=1)
    monkeypatch.setattr(Spool, "gap_since", lambda _: soon)
    monkeypatch.setattr(Spool, "forget_gap", lambda _: pytest.fail("the gap is still there"))
    with pytest.raises(FailedError, match="let a part of its log go"):
        run_base_backup(platform)
    with platform.control.connect() as conn:
        assert bases.in_state(conn, bases.STORED)[-1].id == base.id
