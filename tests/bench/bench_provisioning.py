"""Provisioning a workspace against a bare CREATE DATABASE from the same template."""

import statistics
import time
from collections.abc import Callable

from measuring import Row, installation, new_tenant, pending_tenant, ratio

from strongroom.platform.servers import queries as servers
from strongroom.provisioning.create import provision
from strongroom.provisioning.names import TEMPLATE
from strongroom.provisioning.sessions import provisioner

ROUNDS = 15


def measure() -> list[Row]:
    ours: list[float] = []
    bare: list[float] = []
    with installation() as platform:
        new_tenant(platform, "bench-warm-up")
        with platform.control.connect() as conn:
            server = servers.list_all(conn)[0]
        with provisioner(platform, server) as session:
            session.execute("SET synchronous_commit = on")
            for number in range(ROUNDS):
                waiting = pending_tenant(platform, f"bench-{number}")
                statement = f"CREATE DATABASE bench_{number} TEMPLATE {TEMPLATE} STRATEGY wal_log"
                bare.append(timed(lambda statement=statement: session.execute(statement)))
                ours.append(timed(lambda waiting=waiting: provision(platform, waiting.id)))
    made, copied = statistics.median(ours), statistics.median(bare)
    return [ratio("provisioning a workspace, all steps", made, "CREATE DATABASE … TEMPLATE", copied, 1.3)]


def timed(function: Callable[[], object]) -> float:
    began = time.perf_counter()
    function()
    return (time.perf_counter() - began) * 1000
