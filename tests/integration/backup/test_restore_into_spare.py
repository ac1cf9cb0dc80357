from collections.abc import Generator
from dataclasses import replace
from typing import Any

import pytest

from strongroom.backup import restore as restoring
from strongroom.backup import runs
from strongroom.backup.restore import restore
from strongroom.backup.scratch import ScratchPool
from strongroom.config.errors import FailedError
from strongroom.platform.control.platform import Platform
from strongroom.platform.servers import queries as servers
from strongroom.platform.tenants import placements
from strongroom.platform.tenants.records import Placement, PlacementState
from strongroom.provisioning.gates import gate_findings
from strongroom.provisioning.spares import refill

Workspace = Any  # of conftest.py, which no test can import


@pytest.fixture
def spare(platform: Platform, workspace: Workspace) -> Generator[Placement]:
    """The only spare of the server that the workspace lives on; other tests may have added servers."""
    refill(replace(platform, settings=replace(platform.settings, spare_databases=0)))
    wanting = replace(platform, settings=replace(platform.settings, spare_databases=1))
    while refill(wanting):
        pass
    (found,) = spares(workspace)
    yield found
    refill(replace(platform, settings=replace(platform.settings, spare_databases=0)))


def spares(workspace: Workspace) -> list[Placement]:
    with workspace.platform.control.connect() as conn:
        return placements.spares(conn, workspace.tenant().server, (PlacementState.READY,))


def test_a_restore_in_place_takes_a_database_that_is_ready(
    platform: Platform, scratch: ScratchPool, workspace: Workspace, spare: Placement
) -> None:
    runs.run_many(platform, [workspace.id], scratch=scratch)
    workspace.spend("After")
    done = restore(platform, workspace.slug)
    assert done.placement_id == spare.id
    assert spares(workspace) == []
    assert workspace.merchants() == ["Before"]
    with platform.control.connect() as conn:
        server, placement = servers.by_name(conn, workspace.tenant().server), placements.by_id(conn, spare.id)
    assert (placement.state, placement.tenant_id, placement.spare) == (PlacementState.CURRENT, workspace.id, False)
    assert gate_findings(platform, server, spare.id) == []


def test_a_restore_that_fails_leaves_neither_the_spare_nor_anything_in_it(
    platform: Platform,
    scratch: ScratchPool,
    workspace: Workspace,
    spare: Placement,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs.run_many(platform, [workspace.id], scratch=scratch)

    def fail(_work: restoring.Work) -> None:
        raise FailedError("The disk is full.")

    steps = tuple((title, fail if title.startswith("comparing") else step) for title, step in restoring.STEPS)
    monkeypatch.setattr(restoring, "STEPS", steps)
    with pytest.raises(FailedError, match="disk is full"):
        restore(platform, workspace.slug)
    with platform.control.connect() as conn:
        assert placements.by_id(conn, spare.id).state is PlacementState.DROPPED
    assert spares(workspace) == []
    assert workspace.merchants() == ["Before"]


def test_a_copy_for_a_new_workspace_takes_none(
    platform: Platform, scratch: ScratchPool, workspace: Workspace, spare: Placement
) -> None:
    runs.run_many(platform, [workspace.id], scratch=scratch)
    done = restore(platform, workspace.slug, as_slug=f"{workspace.slug}-b")
    assert done.placement_id != spare.id
    assert spares(workspace) == [spare]
