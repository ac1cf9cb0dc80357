"""Stores that are away, slow, full, closed to us or not who they should be: a clear sentence, nothing half-made."""

import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from store_servers import ACCESS, PASSWORD, SECRET, S3Server, SftpServer, silence, write_private
from whole_objects import get, put

from strongroom.backup.stores.contract import Store
from strongroom.backup.stores.credentials import read_credentials
from strongroom.backup.stores.objects import PART, Patience
from strongroom.backup.stores.opening import open_place
from strongroom.backup.stores.s3 import Access, Bucket
from strongroom.backup.stores.sftp import SftpStore
from strongroom.backup.stores.ssh import login_to
from strongroom.config.errors import CallError, FailedError, NotFoundError, RefusedError, StrongroomError
from strongroom.config.stores import StoreSettings

SHORT = Patience(connect=0.3, request=0.5, silence=0.5, retries=1)
USUAL = Patience(retries=1)


USES: dict[str, Callable[[Store], object]] = {
    "write": lambda store: put(store, "a/1", b"x"),
    "write much": lambda store: put(store, "a/1", b"x" * (PART + 1)),
    "read": lambda store: get(store, "a/1"),
    "ask": lambda store: store.exists("a/1"),
    "list": lambda store: list(store.list()),
    "delete": lambda store: store.delete("a/1"),
    "replace": lambda store: store.replace("a/1", b"x"),
    "look for leavings": lambda store: list(store.abandoned()),
}


def assert_fails(store: Store, cause: str) -> None:
    for what, use in USES.items():
        with pytest.raises(FailedError, match=cause) as caught:
            use(store)
        assert caught.value.__cause__ is None, what
        said = str(caught.value)
        for secret in (ACCESS, SECRET, PASSWORD, "http:", "<", "Traceback", "Error("):
            assert secret not in said, what


def s3(described: StoreSettings, patience: Patience = USUAL) -> Store:
    return Bucket.of(
        Access(described, read_credentials(described, described.credentials), patience), described.url
    ).store()


def sftp(described: StoreSettings, patience: Patience = USUAL) -> Store:
    login = login_to(described, read_credentials(described, described.credentials), patience)
    return SftpStore(described.name, login, "/folder")


def test_a_store_that_is_away_is_said_to_be_not_reachable(own_s3_server: S3Server, tmp_path: Path) -> None:
    far = own_s3_server.store(tmp_path)
    own_s3_server.stop()
    assert_fails(s3(far), "The backup store “far” could not .*: not reachable")
    server = SftpServer(tmp_path / "root", tmp_path)
    server.start()
    away = server.store(tmp_path)
    server.stop()
    assert_fails(sftp(away), "The backup store “away” could not .*: not reachable")


def test_a_store_that_does_not_answer_times_out(sftp_server: SftpServer, tmp_path: Path) -> None:
    credentials = tmp_path / "slow.toml"
    with silence() as port:
        write_private(credentials, access_key_id=ACCESS, secret_access_key=SECRET)
        slow = StoreSettings("slow", "s3://bucket/x", endpoint=f"http://127.0.0.1:{port}", credentials=credentials)
        began = time.monotonic()
        with pytest.raises(FailedError, match="timed out"):
            put(s3(slow, SHORT), "a/1", b"x")
        with pytest.raises(FailedError, match="timed out"):
            list(s3(slow, SHORT).list())
        write_private(credentials, host_key=sftp_server.host_key, password=PASSWORD)
        mute = StoreSettings("mute", f"sftp://backup@127.0.0.1:{port}/x", credentials=credentials)
        with pytest.raises(FailedError, match="no SSH server answers"):
            list(sftp(mute, SHORT).list())
        assert time.monotonic() - began < 60


def test_a_missing_bucket_is_named_with_the_command_that_makes_it(s3_server: S3Server, tmp_path: Path) -> None:
    far = s3_server.store(tmp_path, bucket="never-made-by-anyone")
    uses = dict(USES)
    for what, use in uses.items():
        with pytest.raises(FailedError, match="“far” has no bucket; run: strongroom store init far"):
            use(s3(far, Patience()))
            pytest.fail(what)


def test_wrong_credentials_are_not_accepted(sftp_server: SftpServer, tmp_path: Path) -> None:
    away = sftp_server.store(tmp_path, password="guessed")
    assert_fails(sftp(away, Patience()), "the credentials are not accepted")


def test_another_host_is_refused_before_it_gets_the_password(sftp_server: SftpServer, tmp_path: Path) -> None:
    other = SftpServer(tmp_path / "root", tmp_path)
    other.start()
    try:
        genuine = sftp_server.store(tmp_path)
        impostor = replace(genuine, url=f"sftp://backup@127.0.0.1:{other.port}/x")
        with pytest.raises(RefusedError, match="has another key than its credentials say"):
            list(sftp(impostor).list())
        assert PASSWORD not in (tmp_path / "sftp.log").read_text()
    finally:
        other.stop()


def test_an_upload_that_is_cut_off_leaves_nothing_visible_and_can_be_repeated(
    own_s3_server: S3Server, tmp_path: Path
) -> None:
    far = own_s3_server.store(tmp_path)
    store = s3(far)

    def write_and_lose() -> None:
        with store.create("a/1") as target:
            target.write(b"x" * (PART + 1))
            own_s3_server.stop()
            target.write(b"x" * PART * 3)

    with pytest.raises(FailedError, match="could not take a/1: not reachable"):
        write_and_lose()
    own_s3_server.start()
    own_s3_server.client.create_bucket(Bucket=far.url.split("/")[2])
    assert list(store.list()) == []
    put(store, "a/1", b"again")
    assert get(store, "a/1") == b"again"


def test_an_sftp_server_that_goes_and_comes_back_is_used_again(tmp_path: Path) -> None:
    server = SftpServer(tmp_path / "root", tmp_path)
    server.start()
    store = sftp(server.store(tmp_path))
    put(store, "a/1", b"before")

    def write_and_lose() -> None:
        with store.create("a/2") as target:
            target.write(b"x" * 1_000_000)
            server.stop()
            target.write(b"x" * 5_000_000)

    try:
        with pytest.raises(FailedError, match="could not take a/2: not reachable"):
            write_and_lose()
        server.start()
        assert [found.name for found in store.list()] == ["a/1"]
        (left,) = store.abandoned()
        assert store.delete_abandoned(left.name)
        put(store, "a/2", b"again")
    finally:
        server.stop()


def test_a_server_without_hard_links_and_fsync_keeps_the_contract(tmp_path: Path) -> None:
    server = SftpServer(tmp_path / "root", tmp_path)
    server.start(bare=True)
    try:
        store = sftp(server.store(tmp_path))
        put(store, "a/1", b"old")
        with pytest.raises(RefusedError, match="nothing is overwritten"):
            put(store, "a/1", b"new")
        store.replace("a/2", b"one")
        store.replace("a/2", b"two")
        assert (get(store, "a/1"), get(store, "a/2")) == (b"old", b"two")
        assert list(store.abandoned()) == []
    finally:
        server.stop()


@pytest.mark.parametrize("size", [100_000, 3_000_000])
def test_a_full_disk_on_the_other_side_leaves_nothing(tmp_path: Path, size: int) -> None:
    server = SftpServer(tmp_path / "root", tmp_path)
    server.start(most=50_000)
    try:
        store = sftp(server.store(tmp_path))
        with pytest.raises(FailedError, match="could not take a/1"):
            put(store, "a/1", b"x" * size)
        assert list(store.list()) == []
        assert list(store.abandoned()) == []
        put(store, "a/2", b"small")
        assert get(store, "a/2") == b"small"
    finally:
        server.stop()


def test_a_writing_credential_that_may_not_delete_is_enough_and_pruning_has_its_own(tmp_path: Path) -> None:
    server = S3Server(tmp_path)
    server.start()
    try:
        bucket = server.bucket()
        writer, pruner = server.account("s3:GetObject", "s3:PutObject", "s3:ListBucket"), server.account("s3:*")
        server.enforce_rights()
        write_private(tmp_path / "writer.toml", **writer)
        write_private(tmp_path / "pruner.toml", **pruner)
        settings = StoreSettings(
            "far",
            f"s3://{bucket}/x",
            endpoint=server.endpoint,
            credentials=tmp_path / "writer.toml",
            prune_credentials=tmp_path / "pruner.toml",
        )
        store, pruning = open_place(settings).backups, open_place(settings, pruning=True).backups
        put(store, "a/1", b"x")
        assert get(store, "a/1") == b"x"
        with pytest.raises(FailedError, match="could not delete a/1: access denied"):
            store.delete("a/1")
        assert store.exists("a/1")
        assert pruning.delete("a/1")
        assert not store.exists("a/1")
    finally:
        server.stop()


def test_credentials_that_others_may_read_are_refused_and_never_quoted(s3_server: S3Server, tmp_path: Path) -> None:
    far = s3_server.store(tmp_path)
    path = far.credentials
    assert path is not None
    path.chmod(0o640)
    with pytest.raises(RefusedError, match="may be touched by others"):
        open_place(far)
    path.chmod(0o600)
    for text, message in (
        ('access_key_id = "AKIA', "is not valid TOML"),
        ('access_key_id = "AKIA"\nsecret = "canary-secret-key"\n', "has a key “secret” that is none of"),
        ('access_key_id = "AKIA"\n', "lacks: secret_access_key"),
        ("access_key_id = 7\nsecret_access_key = 'canary-secret-key'\n", "must be text"),
    ):
        path.write_text(text)
        with pytest.raises(CallError, match=re.escape(message)) as caught:
            read_credentials(far, path)
        assert "canary" not in str(caught.value)
    path.unlink()
    with pytest.raises(NotFoundError, match="are missing"):
        read_credentials(far, path)
    with pytest.raises(CallError, match="needs `credentials`"):
        read_credentials(replace(far, credentials=None), None)


def test_secrets_are_in_no_representation(s3_server: S3Server, sftp_server: SftpServer, tmp_path: Path) -> None:
    far, away = s3_server.store(tmp_path), sftp_server.store(tmp_path)
    found = read_credentials(far, far.credentials)
    login = login_to(away, read_credentials(away, away.credentials), SHORT)
    for shown in (repr(found), repr(login), repr(open_place(far)), repr(open_place(away))):
        assert SECRET not in shown and PASSWORD not in shown


def test_an_endpoint_without_tls_is_refused_unless_it_is_on_this_machine(s3_server: S3Server, tmp_path: Path) -> None:
    far = replace(s3_server.store(tmp_path), endpoint="http://10.0.0.1:9000")
    with pytest.raises(CallError, match="must begin with https"):
        open_place(far)


def test_a_store_is_opened_anew_when_its_credentials_change(sftp_server: SftpServer, tmp_path: Path) -> None:
    away = sftp_server.store(tmp_path, password="guessed")
    with pytest.raises(StrongroomError):
        list(open_place(away).backups.list())
    assert away.credentials is not None
    write_private(away.credentials, host_key=sftp_server.host_key, password=PASSWORD)
    assert list(open_place(away).backups.list()) == []
