"""The key store: what is kept comes back, what is wrong is refused in one sentence, what is destroyed is gone."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyrage
import pytest

from strongroom.config.errors import (
    CallError,
    FailedError,
    KeyMissingError,
    RefusedError,
    StrongroomError,
    VerificationError,
)
from strongroom.config.settings import Settings
from strongroom.platform.keys import KeyStore
from strongroom.platform.keys.store import SERVICE_ROLES

TENANT = "abcdefghijklmnop"
OTHER = "ponmlkjihgfedcba"


def tenant_file(settings: Settings, tenant_id: str = TENANT) -> Path:
    return settings.keys_dir / "tenant" / f"{tenant_id}.json"


def copy_file(settings: Settings, store: KeyStore, tenant_id: str = TENANT) -> Path:
    return settings.key_copies_dir / store.master_id / "tenant" / f"{tenant_id}.json"


def all_files(settings: Settings) -> Iterator[Path]:
    for root in (settings.keys_dir, settings.key_copies_dir):
        yield from (path for path in root.rglob("*") if path.is_file())


def test_another_process_reads_what_was_created(settings: Settings, store: KeyStore) -> None:
    tenant, login = store.create_tenant(TENANT), store.create_placement(OTHER)
    again = KeyStore.open(settings)
    assert again.tenant(TENANT) == tenant
    assert again.placement(OTHER) == login
    assert again.platform() == store.platform()
    assert [again.service_credential(role).role for role in SERVICE_ROLES] == list(SERVICE_ROLES)


def test_creating_twice_keeps_the_first_keys(settings: Settings, store: KeyStore) -> None:
    first = store.create_tenant(TENANT), store.create_placement(TENANT), store.platform()
    again = KeyStore.create(settings)
    assert (again.create_tenant(TENANT), again.create_placement(TENANT), again.platform()) == first


def test_the_backup_identity_opens_what_its_recipient_seals(store: KeyStore) -> None:
    keys = store.create_tenant(TENANT)
    sealed = pyrage.encrypt(b"dump", [pyrage.x25519.Recipient.from_str(keys.backup_recipient)])
    assert pyrage.decrypt(sealed, [pyrage.x25519.Identity.from_str(keys.backup_identity)]) == b"dump"


def test_every_secret_of_every_tenant_is_its_own(store: KeyStore) -> None:
    a, b = store.create_tenant(TENANT), store.create_tenant(OTHER)
    secrets = [a.data_key, a.blind_key, a.backup_identity, b.data_key, b.blind_key, b.backup_identity]
    assert len(set(secrets)) == len(secrets)


def test_only_the_owner_may_touch_anything(settings: Settings, store: KeyStore) -> None:
    store.create_tenant(TENANT)
    folders = [settings.keys_dir, *(p for p in settings.keys_dir.rglob("*") if p.is_dir()), settings.key_copies_dir]
    assert {oct(path.stat().st_mode & 0o777) for path in folders} == {"0o700"}
    assert {oct(path.stat().st_mode & 0o777) for path in all_files(settings)} == {"0o600"}


def test_nothing_on_disk_is_readable_without_the_master_key(settings: Settings, store: KeyStore) -> None:
    keys = store.create_tenant(TENANT)
    for path in all_files(settings):
        assert keys.backup_identity.encode() not in path.read_bytes()


def test_records_do_not_print_their_secrets(store: KeyStore) -> None:
    keys, login, platform = store.create_tenant(TENANT), store.create_placement(TENANT), store.platform()
    for secret in (keys.data_key, keys.blind_key, keys.backup_identity, login.scram_client_key, login.verifier,
                   platform.pepper, platform.signing, platform.backup_identity):  # fmt: skip
        assert (secret if isinstance(secret, str) else repr(secret)) not in repr((keys, login, platform))


def test_the_copy_is_there_before_create_returns(settings: Settings, store: KeyStore) -> None:
    store.create_tenant(TENANT)
    assert copy_file(settings, store).read_bytes() == tenant_file(settings).read_bytes()


def test_without_a_place_for_the_copy_no_key_is_made(settings: Settings, store: KeyStore) -> None:
    copies = settings.key_copies_dir / store.master_id
    copies.rename(copies.with_name("elsewhere"))
    copies.write_text("in the way")
    with pytest.raises(FailedError, match="cannot be written"):
        store.create_tenant(TENANT)
    assert not tenant_file(settings).exists()


def test_a_killed_create_is_finished_with_the_key_of_the_copy(settings: Settings, store: KeyStore) -> None:
    keys = store.create_tenant(TENANT)
    tenant_file(settings).unlink()
    assert KeyStore.create(settings).create_tenant(TENANT) == keys
    assert tenant_file(settings).exists()


def test_a_lost_or_damaged_copy_is_made_again(settings: Settings, store: KeyStore) -> None:
    keys = store.create_tenant(TENANT)
    copy_file(settings, store).unlink()
    assert store.create_tenant(TENANT) == keys
    copy_file(settings, store).write_bytes(b"rubbish")
    assert store.create_tenant(TENANT) == keys
    assert copy_file(settings, store).read_bytes() == tenant_file(settings).read_bytes()


def test_a_lost_store_comes_back_from_the_copies_and_the_master_key(settings: Settings, store: KeyStore) -> None:
    keys, login = store.create_tenant(TENANT), store.create_placement(OTHER)
    for path in settings.keys_dir.rglob("*.json"):
        path.unlink()
    again = KeyStore.create(settings)
    assert again.recover() == 2
    assert (again.tenant(TENANT), again.placement(OTHER)) == (keys, login)


def test_destroyed_keys_are_gone_everywhere(settings: Settings, store: KeyStore) -> None:
    other_process = KeyStore.open(settings)
    store.create_tenant(TENANT)
    other_process.tenant(TENANT)
    left_by_a_killed_writer = tenant_file(settings).with_name(f".tmp-{TENANT}.json-00")
    os.link(tenant_file(settings), left_by_a_killed_writer)
    store.destroy_tenant(TENANT)
    store.destroy_tenant(TENANT)
    assert not [path for path in all_files(settings) if TENANT in path.name]
    for each in (store, other_process, KeyStore.open(settings)):
        with pytest.raises(KeyMissingError):
            each.tenant(TENANT)
    assert store.tenant_ids() == []


def test_a_placement_can_be_destroyed_alone(store: KeyStore) -> None:
    store.create_tenant(TENANT)
    store.create_placement(OTHER)
    assert store.placement_ids() == [OTHER]
    store.destroy_placement(OTHER)
    assert store.placement_ids() == []
    assert store.tenant_ids() == [TENANT]


@pytest.mark.parametrize("kept", [0, 1, 40, -1, -30])
def test_a_truncated_file_is_refused(settings: Settings, store: KeyStore, kept: int) -> None:
    store.create_tenant(TENANT)
    path = tenant_file(settings)
    path.write_bytes(path.read_bytes()[:kept] if kept != -1 else path.read_bytes()[:-3])
    with pytest.raises(VerificationError, match="second copy"):
        KeyStore.open(settings).tenant(TENANT)


@pytest.mark.parametrize("part", ["nonce", "wrapped"])
def test_a_flipped_bit_is_refused(settings: Settings, store: KeyStore, part: str) -> None:
    store.create_tenant(TENANT)
    path = tenant_file(settings)
    document = json.loads(path.read_bytes())
    text = document[part]
    document[part] = text[:4] + ("A" if text[4] != "A" else "B") + text[5:]
    path.write_text(json.dumps(document))
    with pytest.raises(VerificationError, match="changed or damaged"):
        store.tenant(TENANT)


def test_a_file_under_another_name_is_refused_even_when_relabelled(settings: Settings, store: KeyStore) -> None:
    store.create_tenant(TENANT)
    store.create_tenant(OTHER)
    document = json.loads(tenant_file(settings, OTHER).read_bytes())
    tenant_file(settings).write_text(json.dumps(document))
    with pytest.raises(VerificationError, match="another object"):
        store.tenant(TENANT)
    tenant_file(settings).write_text(json.dumps(document | {"id": TENANT}))
    with pytest.raises(VerificationError, match="changed or damaged"):
        store.tenant(TENANT)


def test_an_unknown_format_is_refused(settings: Settings, store: KeyStore) -> None:
    store.create_tenant(TENANT)
    document = json.loads(tenant_file(settings).read_bytes())
    tenant_file(settings).write_text(json.dumps(document | {"format": 2}))
    with pytest.raises(VerificationError, match="format"):
        store.tenant(TENANT)


def test_a_wrong_master_key_is_refused(settings: Settings, store: KeyStore, tmp_path: Path) -> None:
    other = Settings(home=tmp_path / "other", backup_root=tmp_path / "other-backups")
    KeyStore.create(other)
    (settings.keys_dir / "master.key").write_bytes((other.keys_dir / "master.key").read_bytes())
    for way in (KeyStore.open, KeyStore.create):
        with pytest.raises(VerificationError, match="another master key"):
            way(settings)


def test_a_truncated_master_key_is_refused_without_showing_it(settings: Settings, store: KeyStore) -> None:
    path = settings.keys_dir / "master.key"
    text = path.read_text()
    path.write_text(text[:-9])
    with pytest.raises(VerificationError, match="not a complete master key") as caught:
        KeyStore.open(settings)
    assert text[24:40] not in str(caught.value)


def test_a_missing_master_key_is_never_replaced(settings: Settings, store: KeyStore) -> None:
    (settings.keys_dir / "master.key").unlink()
    with pytest.raises(KeyMissingError, match="is missing"):
        KeyStore.open(settings)
    with pytest.raises(RefusedError, match="put it back"):
        KeyStore.create(settings)
    assert not (settings.keys_dir / "master.key").exists()


def test_without_a_store_the_sentence_says_what_to_run(settings: Settings) -> None:
    with pytest.raises(KeyMissingError, match="strongroom init"):
        KeyStore.open(settings)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_files_that_others_may_touch_are_refused(settings: Settings, store: KeyStore, mode: int) -> None:
    store.create_tenant(TENANT)
    tenant_file(settings).chmod(mode)
    with pytest.raises(RefusedError, match="chmod 0600"):
        KeyStore.open(settings).tenant(TENANT)
    (settings.keys_dir / "master.key").chmod(mode)
    with pytest.raises(RefusedError, match="chmod 0600"):
        KeyStore.open(settings)


def test_a_folder_that_others_may_enter_is_refused(settings: Settings, store: KeyStore) -> None:
    settings.keys_dir.chmod(0o750)
    for way in (KeyStore.open, KeyStore.create):
        with pytest.raises(RefusedError, match="chmod 0700"):
            way(settings)


@pytest.mark.parametrize("name", ["", "../platform/platform", "A" * 16, "a/b", "x" * 64, "a.json"])
def test_a_name_that_is_no_id_reaches_no_file(store: KeyStore, name: str) -> None:
    for way in (store.create_tenant, store.tenant, store.destroy_tenant):
        with pytest.raises(CallError):
            way(name)


KEEP_CREATING = """
import sys
from pathlib import Path
from strongroom.config.settings import Settings
from strongroom.platform.keys import KeyStore
store = KeyStore.create(Settings(home=Path(sys.argv[1]), backup_root=Path(sys.argv[2])))
print("ready", flush=True)
for number in range(10_000):
    name = f"{number:016x}"
    store.create_tenant(name)
    print(name, flush=True)
"""


@pytest.mark.parametrize("delay", [0.0, 0.02, 0.05])
def test_a_killed_writer_leaves_every_promised_key_and_nothing_false(settings: Settings, delay: float) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", KEEP_CREATING, str(settings.home), str(settings.backup_root)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == "ready\n"
    time.sleep(delay)
    writer.send_signal(signal.SIGKILL)
    promised = writer.stdout.read().split()
    writer.wait()
    writer.stdout.close()
    store = KeyStore.create(settings)
    assert set(promised) <= set(store.tenant_ids())
    for name in store.tenant_ids():
        keys = store.tenant(name)
        assert copy_file(settings, store, name).read_bytes() == tenant_file(settings, name).read_bytes()
        assert store.create_tenant(name) == keys


def test_two_processes_creating_at_once_agree(settings: Settings) -> None:
    KeyStore.create(settings)
    code = KEEP_CREATING.replace("10_000", "15").replace("print(name", "print(store.tenant(name).data_key.hex()")
    arguments = [sys.executable, "-c", code, str(settings.home), str(settings.backup_root)]
    writers = [subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    first, second = (writer.communicate()[0] for writer in writers)
    assert len(first.split()) == 16
    assert first == second


def test_every_refusal_is_one_of_ours(settings: Settings) -> None:
    settings.home.write_text("a file where a folder should be")
    with pytest.raises(StrongroomError):
        KeyStore.create(settings)
