"""Many tenants on one server, for benches that need them."""

import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from measuring import pending_tenant
from sqlalchemy import update

from strongroom.config.settings import Settings, load_settings
from strongroom.platform.control.platform import open_platform
from strongroom.platform.control.tables import server as table
from strongroom.provisioning.building import provisioner_sessions
from strongroom.provisioning.create import provision
from strongroom.provisioning.postgres.embedded import EmbeddedServer

_BATCH = 20


def let_in(server: EmbeddedServer, settings: Settings, connections: int) -> None:
    """Let so many connections of tenants into the server, which has to be restarted for that."""
    with server.admin_door(), server.connect_admin() as admin:
        admin.execute(f"ALTER SYSTEM SET max_connections = {connections + 50}")
    server.stop()
    server.start()
    with open_platform(settings) as platform, platform.control.begin() as conn:
        conn.execute(update(table).values(connection_limit=connections))


def make_tenants(home: Path, count: int, processes: int = 2, prefix: str = "bench") -> float:
    """Make tenants `bench-0000` … with so many processes; return the milliseconds for each."""
    began = time.monotonic()
    size = min(_BATCH, max(1, count // processes))
    batches = [range(first, min(first + size, count)) for first in range(0, count, size)]
    with ProcessPoolExecutor(processes, get_context("spawn")) as makers:
        for made in makers.map(partial(_make, home, prefix), batches):
            say(f"\r{made} of {count} tenants, {made / (time.monotonic() - began):.1f} a second")
    say("\n")
    return (time.monotonic() - began) * 1000 / count


def say(words: str) -> None:
    """Tell whoever watches, on standard error."""
    sys.stderr.write(words)
    sys.stderr.flush()


def _make(home: Path, prefix: str, batch: range) -> int:
    with open_platform(load_settings(home)) as platform, provisioner_sessions(platform) as sessions:
        for number in batch:
            provision(platform, pending_tenant(platform, f"{prefix}-{number:04}").id, sessions)
    return batch[-1] + 1
