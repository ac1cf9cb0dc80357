"""Whoever is killed -9 while erasing an account leaves an erasure that the next call, or the collector, finishes."""

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from strongroom.backup import names
from strongroom.backup.collect import collect
from strongroom.backup.erasure.certificate import verify
from strongroom.backup.erasure.erase import STEPS, certificate_of, erase
from strongroom.backup.stores.opening import open_store
from strongroom.config.errors import KeyMissingError
from strongroom.platform.control.platform import Platform
from strongroom.platform.keys.blobs import open_blobs
from strongroom.platform.tenants import placements
from strongroom.platform.tenants import queries as tenants
from strongroom.platform.tenants.records import PlacementState
from strongroom.platform.tenants.states import TenantState

# Forks one child after the other, each of which goes on with the erasure, and kills it at the moment of its turn.
KILLER = """
import os, signal, sys
from pathlib import Path
from strongroom.backup.erasure import closing, destroying, erase, queries, work
from strongroom.backup.stores.local import LocalStore
from strongroom.config.settings import load_settings
from strongroom.platform.control.platform import open_platform
from strongroom.platform.keys import KeyStore
from strongroom.platform.keys.blobs import LocalBlobs
from strongroom.platform.tenants import queries as tenants
from strongroom.provisioning import database

PLACES = {
    "work": work.Work, "erase": erase, "queries": queries, "keys": KeyStore, "store": LocalStore, "blobs": LocalBlobs,
    "database": database, "closing": closing, "destroying": destroying, "tenants": tenants,
}

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

for order in sys.argv[3:]:
    moment, place, name, count = order.split(":")
    if os.fork() == 0:
        real, calls = getattr(PLACES[place], name), []
        def instead(*arguments, **more):
            calls.append(1)
            if len(calls) < int(count):
                return real(*arguments, **more)
            return die() if moment == "before" else die(real(*arguments, **more))
        setattr(PLACES[place], name, instead)
        with open_platform(load_settings(Path(sys.argv[1]), tenant_cache_seconds=0.05)) as platform:
            erase.erase(platform, sys.argv[2], "olga")
        os._exit(0)
    assert os.WIFSIGNALED(os.wait()[1]), order
"""
RANDOM_KILLS = """
import random, time
for _ in range(8):
    pid = os.fork()
    if pid == 0:
        with open_platform(load_settings(Path(sys.argv[1]), tenant_cache_seconds=0.05)) as platform:
            erase.erase(platform, sys.argv[2], "olga")
        os._exit(0)
    time.sleep(random.uniform(0, 0.4))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
"""
MOMENTS = [
    "before:queries:begin:1",
    "after:queries:begin:1",  # not committed
    "before:keys:bury:1",
    "after:keys:bury:1",
    "before:work:done:1",
    "after:work:done:1",
    "after:database:close_to_tenant:1",
    "after:database:fence:1",
    "before:closing:nobody_writes:1",
    "after:work:done:1",
    "before:destroying:drop_placement:1",
    "after:database:drop:1",
    "after:keys:destroy_placement:1",
    "after:destroying:drop_placement:1",
    "after:work:done:1",
    "before:keys:destroy_tenant:1",
    "after:keys:destroy_tenant:1",
    "after:work:done:1",
    "before:store:delete:1",
    "after:store:delete:1",
    "after:store:delete:2",
    "after:work:done:1",
    "after:blobs:delete:1",
    "before:work:done:1",
    "after:queries:remove_rows:1",
    "after:work:done:1",
    "before:erase:compose:1",
    "after:erase:compose:1",
    "before:queries:finish:1",
    "after:tenants:release_slug:1",  # not committed
]
OBJECTS = ("20260101-000000-abcdefgh.age", "20260101-000000-abcdefgh.json", f"receipts/ab/{'ab' * 32}")


@pytest.fixture
def quick(platform: Platform) -> Platform:
    """The platform without the wait for other processes."""
    return replace(platform, settings=replace(platform.settings, tenant_cache_seconds=0.05))


@pytest.fixture
def account(platform, workspace):
    """A workspace with a database, keys, two receipts, and three objects in the store."""
    for name in OBJECTS:
        with open_store(platform.settings).create(f"{names.folder(workspace.id)}/{name}") as target:
            target.write(b"sealed")
    return workspace


def assert_complete(platform: Platform, account) -> None:
    certificate = certificate_of(platform, account.id)
    assert certificate is not None
    document = verify(dict(certificate.document), platform.keys.platform()).document
    assert document["account"]["slug"] == account.slug
    assert len(document["databases"]) == 1
    assert all("dropped_at" in one for one in document["databases"])
    assert [one["kind"] for one in document["keys"]] == ["placement", "tenant"]
    assert all("destroyed_at" in one for one in document["keys"])
    (store,) = document["stores"]
    assert [one["object"].rpartition("/")[2] for one in store["objects"]] == list(OBJECTS[:2])
    assert (store["receipts"]["count"], document["receipts"]["count"]) == (1, 2)
    assert [one["step"] for one in document["steps"]] == [name for name, _, _ in STEPS]
    with platform.control.connect() as conn:
        now, left = tenants.by_id(conn, account.id), placements.of_tenant(conn, account.id)
    assert (now.state, now.slug, now.name) == (TenantState.ERASED, account.id, "")
    assert {placement.state for placement in left} == {PlacementState.DROPPED}
    assert list(open_store(platform.settings).list(names.folder(account.id))) == []
    assert list(open_blobs(platform.settings).list(account.id)) == []
    with pytest.raises(KeyMissingError):
        platform.keys.tenant(account.id)
    assert account.id in platform.keys.buried()


def test_killed_at_every_moment_and_gone_on_with_it_is_complete(quick, account) -> None:
    home = str(quick.settings.home)
    subprocess.run([sys.executable, "-c", KILLER, home, account.id, *MOMENTS], check=True, timeout=200)
    assert certificate_of(quick, account.slug) is None
    erase(quick, account.slug, "somebody else")
    assert_complete(quick, account)
    certificate = certificate_of(quick, account.id)
    assert certificate is not None
    assert certificate.document["operator"] == "olga", "the word is that of whoever began it"


def test_killed_at_random_moments_it_is_complete(quick, account) -> None:
    code = KILLER.partition("for order")[0] + RANDOM_KILLS
    subprocess.run([sys.executable, "-c", code, str(quick.settings.home), account.id], check=True, timeout=200)
    erase(quick, account.id, "olga")
    assert_complete(quick, account)


def test_the_collector_goes_on_with_it(quick, account) -> None:
    home = str(quick.settings.home)
    subprocess.run([sys.executable, "-c", KILLER, home, account.id, "before:keys:destroy_tenant:1"], check=True)
    done = collect(quick)
    assert done["erasures finished"] >= 1
    assert_complete(quick, account)


def test_what_a_writer_leaves_after_the_end_is_collected(quick, account) -> None:
    erase(quick, account.slug, "olga")
    store, late = open_store(quick.settings), f"{names.folder(account.id)}/20260101-000000-zzzzzzzz.age"
    with store.create(late) as target:
        target.write(b"late")
    blobs, receipt = open_blobs(quick.settings), f"{account.id}/ab/{'ab' * 32}"
    blobs.put(receipt, b"an upload that was under way")
    assert collect(quick, datetime.now(UTC) + timedelta(minutes=1))["objects of erased accounts"] >= 2
    assert not store.exists(late)
    assert list(blobs.list(account.id)) == []
