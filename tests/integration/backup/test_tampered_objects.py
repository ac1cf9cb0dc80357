"""Whatever is wrong with the objects of a backup or with its keys, verification and restores say so and change nothing.

Each case damages something, tries a restore in place, a restore as a new workspace and a verification, and puts the
right bytes back: then the backup proves itself again.
"""

import base64
import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from strongroom import cli
from strongroom.backup import names, runs
from strongroom.backup.records import Backup, BackupState
from strongroom.backup.restore import restore
from strongroom.backup.scratch import ScratchPool
from strongroom.config.errors import NotFoundError, StrongroomError
from strongroom.platform.control.platform import Platform
from strongroom.platform.keys import KeyStore
from strongroom.platform.tenants import placements
from strongroom.platform.tenants.records import PlacementState

Workspace = Any  # of conftest.py, which no test can import


@dataclass(frozen=True)
class Scene:
    """A workspace with an older and a newer backup, and another workspace with one."""

    platform: Platform
    scratch: ScratchPool
    workspace: Workspace
    another: Workspace
    older: Backup
    backup: Backup
    foreign: Backup

    @property
    def root(self) -> Path:
        return self.platform.settings.local_store_dir

    @property
    def dump(self) -> Path:
        return self.root / (self.backup.object or "")

    @property
    def descriptor(self) -> Path:
        return self.root / names.descriptor_object(self.backup.object or "")

    @property
    def key(self) -> Path:
        return self.platform.settings.keys_dir / "tenant" / f"{self.workspace.id}.json"

    def receipts_of(self, workspace: Workspace) -> list[Path]:
        return sorted((self.root / names.folder(workspace.id) / "receipts").rglob("??/*"))


@pytest.fixture(scope="module")
def scene(platform: Platform, scratch: ScratchPool, request: pytest.FixtureRequest) -> Scene:
    workspace, another = (request.getfixturevalue("fresh_workspace")() for _ in range(2))
    older, backup = (run(platform, scratch, workspace) for _ in range(2))
    return Scene(platform, scratch, workspace, another, older, backup, run(platform, scratch, another))


def run(platform: Platform, scratch: ScratchPool, workspace: Workspace) -> Backup:
    (outcome,) = runs.run_many(platform, [workspace.id], scratch=scratch, force=True)
    assert outcome.backup is not None
    return outcome.backup


# What is done to a file: the content that takes the place of the right one; None: the file is gone.
Change = Callable[[Scene, bytes], bytes | None]


def cut(at: float) -> Change:
    """Keep a part of it (a number of bytes from the start, or from the end)."""
    return lambda _, content: content[: int(at * len(content)) if isinstance(at, float) else at]


def flip(at: float) -> Change:
    """Change one bit there."""

    def change(_: Scene, content: bytes) -> bytes:
        where = int(at * len(content)) if isinstance(at, float) else at % len(content)
        return content[:where] + bytes([content[where] ^ 1]) + content[where + 1 :]

    return change


def append(_: Scene, content: bytes) -> bytes:
    return content + b"\0"


def gone(_: Scene, _content: bytes) -> None:
    return None


def reads(which: str, part: str) -> Change:
    """Put that of another backup in its place."""

    def change(scene: Scene, _: bytes) -> bytes:
        dump = getattr(scene, which).object
        return (scene.root / (dump if part == "dump" else names.descriptor_object(dump))).read_bytes()

    return change


def field(path: str, value: object) -> Change:
    """Say something else in the descriptor, leaving everything else and the signature as it is."""

    def change(_: Scene, content: bytes) -> bytes:
        document = json.loads(content)
        *outer, last = path.split("/")
        inner = document
        for name in outer:
            inner = inner[name]
        if value is ...:
            del inner[last]
        else:
            inner[last] = value(inner[last]) if callable(value) else value
        return json.dumps(document, indent=1, sort_keys=True).encode()

    return change


def resealed(scene: Scene, content: bytes) -> bytes:
    """Seal another list of contents to the workspace's public key, which is no secret, and keep the signature."""
    import pyrage

    recipient = pyrage.x25519.Recipient.from_str(scene.platform.keys.tenant(scene.workspace.id).backup_recipient)
    sealed = pyrage.encrypt(b'{"manifest":{},"receipts":[]}', [recipient])
    return json.dumps(json.loads(content) | {"sealed": base64.b64encode(sealed).decode()}).encode()


def text(content: str) -> Change:
    return lambda _scene, _content: content.encode()


DUMP: dict[str, Change] = {
    "cut to nothing": cut(0),
    "cut in age's header": cut(40),
    "cut after age's header": cut(200),
    "cut in the middle": cut(0.5),
    "without the last 16 bytes": cut(-16),
    "without the last byte": cut(-1),
    "with a byte more": append,
    "flipped in age's first line": flip(3),
    "flipped in age's header": flip(60),
    "flipped in the nonce": flip(205),
    "flipped in the middle": flip(0.5),
    "flipped in the last byte": flip(-1),
    "that of the backup before": reads("older", "dump"),
    "that of another workspace": reads("foreign", "dump"),
    "its own descriptor": reads("backup", "descriptor"),
    "gone": gone,
}
DESCRIPTOR: dict[str, Change] = {
    "cut to nothing": cut(0),
    "cut in the middle": cut(0.5),
    "without its last bracket": cut(-3),
    "flipped at the start": flip(0),
    "that of the backup before": reads("older", "descriptor"),
    "that of another workspace": reads("foreign", "descriptor"),
    "another size": field("bytes", lambda size: size + 1),
    "another hash": field("sha256", "0" * 64),
    "another object": field("object", lambda name: name.replace("tenants/", "tenants/x")),
    "another kind": field("header/kind", "control"),
    "another id": field("header/backup_id", "20200101-000000-aaaaaaaa"),
    "another tenant": field("header/tenant_id", "a" * 16),
    "another revision": field("header/schema_revision", "0000"),
    "another server version": field("header/server_version", 90000),
    "another time": field("header/created_at", "2020-01-01T00:00:00+00:00"),
    "another format": field("header/format", 2),
    "a field more": field("header/surprise", 1),
    "a header less": field("header", ...),
    "no signature": field("mac", ...),
    "a number as signature": field("mac", 7),
    "an empty signature": field("mac", ""),
    "a signature that is no text": field("mac", "\ud800"),
    "another signature": field("mac", lambda mac: mac[:-1] + ("0" if mac[-1] != "0" else "1")),
    "sealed by somebody else": resealed,
    "flipped where it is sealed": field("sealed", lambda sealed: sealed[:400] + "A" + sealed[401:] + "AAAA"),
    "nothing sealed": field("sealed", ""),
    "a list": text("[]"),
    "deeply nested": text("[" * 100_000),
    "a number without end": text('{"mac": 1' + "0" * 10_000 + "}"),
    "gone": gone,
}
RECEIPT: dict[str, Change] = {
    "cut to nothing": cut(0),
    "cut": cut(-1),
    "flipped": flip(0.5),
    "another of the same workspace": lambda scene, content: next(
        other for path in scene.receipts_of(scene.workspace) if (other := path.read_bytes()) != content
    ),
    "one of another workspace": lambda scene, _: scene.receipts_of(scene.another)[0].read_bytes(),
    "gone": gone,
}


@pytest.mark.parametrize("case", DUMP)
def test_a_dump_that_is_not_the_right_one(scene: Scene, case: str) -> None:
    refused_everywhere(scene, scene.dump, DUMP[case])


@pytest.mark.parametrize("case", DESCRIPTOR)
def test_a_descriptor_that_is_not_the_right_one(scene: Scene, case: str) -> None:
    refused_everywhere(scene, scene.descriptor, DESCRIPTOR[case])


@pytest.mark.parametrize("case", RECEIPT)
def test_a_receipt_that_is_not_the_right_one(scene: Scene, case: str) -> None:
    refused_everywhere(scene, scene.receipts_of(scene.workspace)[0], RECEIPT[case])


@pytest.mark.parametrize("which", ["older", "foreign"])
def test_dump_and_descriptor_of_another_backup_together(scene: Scene, which: str) -> None:
    right = scene.descriptor.read_bytes()
    scene.descriptor.write_bytes(reads(which, "descriptor")(scene, b"") or b"")
    try:
        refused_everywhere(scene, scene.dump, reads(which, "dump"), proves_again=False)
    finally:
        scene.descriptor.write_bytes(right)
    proves_itself(scene)


@pytest.mark.parametrize("part", ["dump", "descriptor"])
def test_an_object_that_was_renamed(scene: Scene, part: str) -> None:
    path: Path = getattr(scene, part)
    elsewhere = path.with_name(f"20200101-000000-renamed2{path.suffix}")
    elsewhere.write_bytes(path.read_bytes())
    try:
        refused_everywhere(scene, path, gone)
    finally:
        elsewhere.unlink()


def refused_everywhere(scene: Scene, path: Path, change: Change, *, proves_again: bool = True) -> None:
    right = path.read_bytes()
    wrong = change(scene, right)
    assert wrong != right
    missing = wrong is None
    if missing:
        path.unlink()
    else:
        path.write_bytes(wrong)
    try:
        for as_slug in (None, f"x-{scene.workspace.slug}"):
            code = refused(scene, lambda as_slug=as_slug: restored(scene, as_slug))
            assert code in ({5, 3} if missing else {5})
        assert refused(scene, lambda: verified(scene)) == 5
    finally:
        path.write_bytes(right)
    if proves_again:
        proves_itself(scene)


def restored(scene: Scene, as_slug: str | None, platform: Platform | None = None) -> None:
    restore(platform or scene.platform, scene.workspace.slug, scene.backup.id, as_slug=as_slug)


def verified(scene: Scene, platform: Platform | None = None) -> None:
    runs.verify_one(platform or scene.platform, scene.backup.id, scratch=scene.scratch)


def refused(scene: Scene, work: Callable[[], None]) -> int:
    """Do it; return the exit code of its one sentence. Nothing has changed, and the workspace is served."""
    before = everything(scene)
    with pytest.raises(StrongroomError) as caught:
        work()
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert "Traceback" not in sentence
    assert everything(scene) == before
    return cli.exit_code(caught.value)


def everything(scene: Scene) -> list[object]:
    """What a refused restore or verification must leave as it is."""
    with scene.platform.control.connect() as conn:
        unfinished = {p.id for p in placements.in_state(conn, *PlacementState) if p.state is not PlacementState.DROPPED}
    files = [path for path in scene.root.rglob("*") if path.is_file()]
    tenant = replace(scene.workspace.tenant(), last_backup_at=None, last_verified_at=None)  # these may fall back
    stored = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    keys: set[str] = set()
    with suppress(StrongroomError):  # where the key is what is damaged
        keys = set(scene.platform.keys.tenant_ids())
    return [tenant, unfinished, stored, keys, scene.workspace.merchants()]


def proves_itself(scene: Scene) -> None:
    proved = runs.verify_one(scene.platform, scene.backup.id, scratch=scene.scratch)
    assert (proved.state, proved.failure) == (BackupState.VERIFIED, None)


def another_key(scene: Scene, _: bytes) -> bytes:
    return (scene.key.with_name(f"{scene.another.id}.json")).read_bytes()


KEY: dict[str, tuple[Change, int]] = {
    "missing": (gone, 3),
    "of another workspace": (another_key, 5),
    "cut": (cut(0.5), 5),
    "flipped": (field("wrapped", lambda wrapped: ("B" if wrapped[0] != "B" else "C") + wrapped[1:]), 5),
}


@pytest.mark.parametrize("case", KEY)
def test_a_key_that_is_not_the_right_one_is_no_fault_of_the_backup(scene: Scene, case: str) -> None:
    change, code = KEY[case]
    right = scene.key.read_bytes()
    wrong = change(scene, right)
    if wrong is None:
        scene.key.unlink()
    else:
        scene.key.write_bytes(wrong)
    try:
        for work in (lambda: restored(scene, None), lambda: restored(scene, "x-new"), lambda: verified(scene)):
            with pytest.raises(StrongroomError) as caught:
                work()
            assert cli.exit_code(caught.value) == code
            assert str(caught.value).endswith(".")
        assert runs.show_backup(scene.platform, scene.backup.id).state is BackupState.VERIFIED
    finally:
        scene.key.write_bytes(right)
        scene.key.chmod(0o600)
    assert scene.workspace.merchants() == ["Before"]
    proves_itself(scene)


def test_under_another_master_key_nothing_opens_and_nothing_is_called_bad(scene: Scene) -> None:
    path = scene.platform.settings.keys_dir / "master.key"
    right = path.read_bytes()
    path.write_bytes(b"strongroom-master-key-1 " + base64.b64encode(bytes(32)) + b"\n")
    try:
        with pytest.raises(StrongroomError) as caught:
            KeyStore.open(scene.platform.settings)
    finally:
        path.write_bytes(right)
    assert cli.exit_code(caught.value) == 5
    assert "another master key" in str(caught.value)
    proves_itself(scene)


def test_a_missing_object_is_named(scene: Scene) -> None:
    right = scene.dump.read_bytes()
    scene.dump.unlink()
    try:
        with pytest.raises(NotFoundError, match=scene.backup.id):
            restored(scene, None)
    finally:
        scene.dump.write_bytes(right)
