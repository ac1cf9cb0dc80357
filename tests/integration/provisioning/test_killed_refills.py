"""A worker that is killed -9 while it makes spares leaves nothing half-made for longer than until the next refill."""

import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace

import pytest

from strongroom.platform.control.platform import Platform
from strongroom.platform.servers import queries as servers
from strongroom.platform.tenants import placements
from strongroom.platform.tenants.records import Placement, PlacementState
from strongroom.provisioning.gates import verify_gates
from strongroom.provisioning.locking import held
from strongroom.provisioning.postgres.embedded import EmbeddedServer
from strongroom.provisioning.spares import SPARE_STEPS, refill
from strongroom.tenant_schema.migrate import newest_revision

# Forks one child for each moment and kills it: before the step of that number, or (m…) after that many milliseconds.
KILLER = """
import os, signal, sys, time
from dataclasses import replace
from pathlib import Path
from strongroom.config.settings import load_settings
from strongroom.platform.control.platform import open_platform
from strongroom.platform.servers import queries as servers
from strongroom.provisioning import spares
from strongroom.provisioning.building import provisioner_sessions

def work(steps):
    spares.SPARE_STEPS = steps
    settings = replace(load_settings(Path(sys.argv[1])), spare_databases=100)
    with open_platform(settings) as platform, provisioner_sessions(platform) as sessions:
        with platform.control.connect() as conn:
            server = servers.by_name(conn, "embedded")
        spares.add_spare(platform, server, sessions)

def die(site):
    os.kill(os.getpid(), signal.SIGKILL)

for when in sys.argv[2:]:
    child = os.fork()
    if child == 0:
        steps = spares.SPARE_STEPS
        work(steps if when[0] == "m" else (*steps[: int(when)], die, *steps[int(when) :]))
        os._exit(0)
    if when[0] == "m":
        time.sleep(int(when[1:]) / 1000)
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or when[0] == "m", (when, status)
"""
BEFORE_EACH_STEP = [str(number) for number in range(len(SPARE_STEPS))]
AT_ANY_TIME = ["m20", "m60", "m120", "m200"]


@pytest.fixture
def wanted(platform: Platform) -> Generator[Platform]:
    """The shared platform with a pool of one, emptied afterwards."""
    yield replace(platform, settings=replace(platform.settings, spare_databases=1))
    refill(platform)


def in_pool(platform: Platform) -> list[Placement]:
    with platform.control.connect() as conn:
        return placements.spares(conn, "embedded", list(PlacementState)[:-1])


def test_the_next_refill_clears_all_of_it_away_and_fills_the_pool(
    wanted: Platform, on_the_server: Callable[[Sequence[str]], list[str]], embedded_server: EmbeddedServer
) -> None:
    moments = [*BEFORE_EACH_STEP, *AT_ANY_TIME]
    subprocess.run([sys.executable, "-c", KILLER, str(wanted.settings.home), *moments], check=True, timeout=280)
    await_end(embedded_server)
    left = in_pool(wanted)
    assert len([one for one in left if one.state is PlacementState.BUILDING]) >= len(BEFORE_EACH_STEP)
    while refill(wanted):
        pass
    (spare,) = in_pool(wanted)
    assert (spare.state, spare.schema_revision) == (PlacementState.READY, newest_revision())
    with wanted.control.connect() as conn:
        verify_gates(wanted, servers.by_name(conn, "embedded"), spare.id)
    gone = [one.id for one in left if one.id != spare.id]
    assert on_the_server(gone) == []
    assert set(gone).isdisjoint(wanted.keys.placement_ids())


def await_end(server: EmbeddedServer) -> None:
    """Until what the killed ones had begun at the server has ended; until then it counts as being made."""
    busy = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'strongroom_provisioner'"
    with server.connect_admin() as admin:
        while admin.execute(busy).fetchone() != (0,):
            time.sleep(0.05)


def test_one_that_is_being_made_is_left_to_its_maker(wanted: Platform) -> None:
    with wanted.control.begin() as conn:
        spare = placements.new_spare(conn, "embedded", "b" * 16)
    with held(wanted, f"placement:{spare.id}") as mine:
        assert mine
        while refill(wanted):  # other servers of this test process may want one as well
            pass
        assert [one.state for one in in_pool(wanted)] == [PlacementState.BUILDING]
    refill(wanted)
    assert spare.id not in {one.id for one in in_pool(wanted)}
