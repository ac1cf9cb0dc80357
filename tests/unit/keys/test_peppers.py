"""A fresh pepper for new hashes: those made with earlier ones go on working, and a killed rotation is finished."""

from pathlib import Path

import bcrypt
import pytest

from strongroom.config.errors import FailedError, NotFoundError
from strongroom.config.settings import Settings, load_settings
from strongroom.platform.keys import KeyStore, durable, hash_password, passwords, peppers, verify_password
from strongroom.platform.keys.passwords import needs_renewal, pepper_id, prefix_of

FAST = 4


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(tmp_path / "home")


@pytest.fixture
def store(settings: Settings) -> KeyStore:
    return KeyStore.create(settings)


def test_hashes_of_earlier_peppers_go_on_working_and_are_due_for_renewal(store: KeyStore) -> None:
    before = store.platform()
    old = hash_password("correct horse", before.pepper, FAST)
    peppers.rotate_pepper(store)
    now = peppers.rotate_pepper(store)
    assert len({now.pepper, *now.earlier_peppers}) == 3
    assert now.earlier_peppers[0] == before.pepper
    assert verify_password("correct horse", old, now.pepper, now.earlier_peppers, FAST)
    assert not verify_password("wrong horse", old, now.pepper, now.earlier_peppers, FAST)
    assert needs_renewal(old, now.pepper, FAST)
    new = hash_password("correct horse", now.pepper, FAST)
    assert new.startswith(prefix_of(pepper_id(now.pepper)))
    assert not needs_renewal(new, now.pepper, FAST)


def test_everything_else_of_the_platform_stays(store: KeyStore) -> None:
    before, after = store.platform(), peppers.rotate_pepper(store)
    assert (after.signing, after.backup_identity) == (before.signing, before.backup_identity)


def test_another_process_sees_it_at_its_next_look(settings: Settings, store: KeyStore) -> None:
    other = KeyStore.open(settings)
    other.platform()
    assert peppers.rotate_pepper(store) == other.platform()


def test_store_and_copy_are_the_same_afterwards(store: KeyStore) -> None:
    assert peppers.rotate_pepper(store) == store.platform_copy()


def test_one_killed_between_copy_and_store_is_finished_not_begun_again(
    settings: Settings, store: KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, replace = store.platform(), durable.replace

    def die_before_the_store(path: Path, content: bytes) -> None:
        if path.is_relative_to(settings.keys_dir):
            raise FailedError("killed")
        replace(path, content)

    with monkeypatch.context() as killed:
        killed.setattr(durable, "replace", die_before_the_store)
        with pytest.raises(FailedError, match="killed"):
            peppers.rotate_pepper(store)
    assert store.platform() == before
    begun = store.platform_copy()
    assert peppers.rotate_pepper(store) == begun
    assert begun.earlier_peppers == (before.pepper,)


def test_a_copy_of_another_time_is_never_taken_for_a_begun_rotation(settings: Settings, store: KeyStore) -> None:
    _, copy = store.places("platform", "platform")
    old = copy.read_bytes()
    first = peppers.rotate_pepper(store)
    durable.replace(copy, old)  # from an older backup of the copies
    assert peppers.rotate_pepper(store).earlier_peppers == (*first.earlier_peppers, first.pepper)
    copy.write_bytes(b"rubbish")
    assert len(peppers.rotate_pepper(store).earlier_peppers) == 3


def test_a_retired_pepper_fits_nothing_and_costs_the_same(store: KeyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    old = store.platform().pepper
    stored = hash_password("correct horse", old, FAST)
    peppers.rotate_pepper(store)
    now = peppers.retire_pepper(store, pepper_id(old))
    assert now.earlier_peppers == ()
    counted = count_hashes(monkeypatch)
    assert not verify_password("correct horse", stored, now.pepper, now.earlier_peppers, FAST)
    assert counted == [FAST]


def test_the_present_pepper_cannot_be_retired(store: KeyStore) -> None:
    with pytest.raises(NotFoundError, match="key status"):
        peppers.retire_pepper(store, pepper_id(store.platform().pepper))


def test_no_pepper_is_printed(store: KeyStore) -> None:
    keys = peppers.rotate_pepper(store)
    assert all(repr(one) not in repr(keys) for one in (keys.pepper, *keys.earlier_peppers))


def test_a_cheaper_hash_costs_what_a_present_one_does(store: KeyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    pepper = store.platform().pepper
    stored = hash_password("correct horse", pepper, 4)
    counted = count_hashes(monkeypatch)
    assert verify_password("correct horse", stored, pepper, (), 7)
    assert sum(2**cost for cost in counted) == 2**7
    assert needs_renewal(stored, pepper, 7)


def test_the_same_letters_are_the_same_password_however_they_are_composed() -> None:
    stored = hash_password("café crème brûlée", b"pepper", FAST)
    assert verify_password("cafe\u0301 cre\u0300me bru\u0302le\u0301e", stored, b"pepper", (), FAST)
    assert not verify_password("cafe creme brulee", stored, b"pepper", (), FAST)
    assert not verify_password("ｃafé crème brûlée", stored, b"pepper", (), FAST)  # no other letters count as these


def count_hashes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The costs of all bcrypt hashes from now on."""
    counted, real = list[int](), bcrypt.hashpw

    def noted(secret: bytes, salt: bytes) -> bytes:
        counted.append(int(salt[4:6]))
        return real(secret, salt)

    monkeypatch.setattr(passwords.bcrypt, "hashpw", noted)
    return counted
