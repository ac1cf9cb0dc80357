"""Backups of workspaces on Debian's server: dumped over TLS by newer programs, proved here, restored into it."""

from collections.abc import Generator
from typing import Any

import pytest
from debian_server import NAME, REGION, DebianServer
from one_word import read, write

from strongroom.backup import runs
from strongroom.backup.records import BackupState
from strongroom.backup.restore import restore
from strongroom.backup.scratch import ScratchPool
from strongroom.backup.subject import target_for
from strongroom.backup.tools import restoring
from strongroom.config.errors import FailedError
from strongroom.platform.control.platform import Platform
from strongroom.platform.servers import queries as servers
from strongroom.platform.tenants import placements
from strongroom.platform.tenants import queries as tenants
from strongroom.platform.tenants.records import PlacementState, Tenant
from strongroom.provisioning.names import MIGRATOR


@pytest.fixture(scope="module")
def scratch(platform: Platform) -> Generator[ScratchPool]:
    pool = ScratchPool(platform.settings)
    yield pool
    pool.close()


@pytest.fixture(scope="module")
def backed_up(external_server: DebianServer, platform: Platform, tenant_factory: Any, scratch: ScratchPool) -> Tenant:
    """A workspace with a word in it and a verified backup, after which the word was changed."""
    made = tenant_factory(region=REGION)
    write(platform, made, "before")
    (outcome,) = runs.run_many(platform, [made.id], scratch=scratch)
    assert outcome.backup is not None
    assert outcome.backup.state is BackupState.VERIFIED
    write(platform, made, "after")
    return made


def test_a_restore_in_place_brings_back_what_was_and_keeps_the_replaced_closed(
    platform: Platform, backed_up: Tenant
) -> None:
    done = restore(platform, backed_up.slug)
    assert done.tenant.server == NAME
    assert read(platform, platform.registry.tenant_by_id(backed_up.id)) == "before"
    with platform.control.connect() as conn:
        states = [placement.state for placement in placements.of_tenant(conn, backed_up.id)]
    assert sorted(states) == [PlacementState.CURRENT, PlacementState.RETIRED]


def test_a_restore_as_a_new_workspace_works_beside_the_old_one(platform: Platform, backed_up: Tenant) -> None:
    done = restore(platform, backed_up.slug, as_slug=f"{backed_up.slug}-b")
    assert (done.tenant.server, read(platform, done.tenant)) == (NAME, "before")


def test_a_dump_that_is_cut_off_leaves_nothing_and_says_so(platform: Platform, backed_up: Tenant) -> None:
    with platform.control.connect() as conn:
        server = servers.by_name(conn, NAME)
        present = tenants.by_id(conn, backed_up.id)
    with pytest.raises(FailedError, match="pg_restore failed"):
        with target_for(platform, server, MIGRATOR, present.database) as target:
            with restoring(target, server_version=150000) as archive:
                archive.write(b"PGDMP and then nothing")
