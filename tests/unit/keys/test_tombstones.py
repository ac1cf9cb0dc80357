"""An account that was erased never has keys again, whatever older copies bring back."""

from datetime import UTC, datetime

import pytest

from strongroom.config.errors import KeyMissingError, RefusedError, VerificationError
from strongroom.config.settings import Settings
from strongroom.platform.keys import KeyStore

TENANT, OTHER = "abcdefghijklmnop", "ponmlkjihgfedcba"
MOMENT = datetime(2026, 1, 31, 12, tzinfo=UTC)


def test_a_tombstone_is_kept_with_its_copy_and_the_first_one_stays(store: KeyStore, settings: Settings) -> None:
    assert store.bury(TENANT, MOMENT) == MOMENT
    assert store.bury(TENANT, datetime.now(UTC)) == MOMENT
    assert KeyStore.open(settings).buried() == {TENANT: MOMENT}
    assert all(path.exists() for path in store.places("erased", TENANT))


def test_what_is_buried_gets_no_keys(store: KeyStore) -> None:
    store.bury(TENANT, MOMENT)
    with pytest.raises(RefusedError, match="was erased"):
        store.create_tenant(TENANT)
    assert store.create_tenant(OTHER).tenant_id == OTHER


@pytest.mark.parametrize("place", [0, 1])
def test_keys_from_an_older_copy_are_destroyed_when_the_store_is_opened(
    store: KeyStore, settings: Settings, place: int
) -> None:
    store.create_tenant(TENANT)
    path = store.places("tenant", TENANT)[place]
    before = path.read_bytes()
    store.bury(TENANT, MOMENT)
    store.destroy_tenant(TENANT)
    path.touch(mode=0o600)
    path.write_bytes(before)
    again = KeyStore.open(settings)
    assert again.recover() == 0
    with pytest.raises(KeyMissingError):
        again.tenant(TENANT)
    assert not path.exists()


def test_a_recovery_of_the_copies_brings_the_tombstone_and_not_the_keys(store: KeyStore) -> None:
    store.create_tenant(TENANT)
    copy = store.places("tenant", TENANT)[1].read_bytes()
    store.create_tenant(OTHER)
    store.bury(TENANT, MOMENT)
    store.destroy_tenant(TENANT)
    for kind, name in (("tenant", OTHER), ("erased", TENANT)):
        store.places(kind, name)[0].unlink()
    path = store.places("tenant", TENANT)[1]
    path.touch(mode=0o600)
    path.write_bytes(copy)
    store.recover()
    assert store.tenant_ids() == [OTHER]
    assert store.buried() == {TENANT: MOMENT}


def test_a_tombstone_that_nobody_put_up_destroys_nothing(store: KeyStore, settings: Settings) -> None:
    keys = store.create_tenant(TENANT)
    store.bury(OTHER, MOMENT)
    forged = store.places("erased", TENANT)[0]
    forged.touch(mode=0o600)
    forged.write_bytes(store.places("erased", OTHER)[0].read_bytes())
    with pytest.raises(VerificationError, match="another object"):
        KeyStore.open(settings)
    forged.unlink()
    assert KeyStore.open(settings).tenant(TENANT) == keys
