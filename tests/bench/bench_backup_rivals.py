"""A whole server of workspaces, and one of them back: ours beside pgBackRest and Barman, on Debian's PostgreSQL."""

import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "common"))
sys.path.insert(0, str(Path(__file__).parent.parent / "integration" / "servers"))

import debian_server
import repository
from bench_backup import fill
from bench_backup_fleet import absent, faster
from measuring import Row, installed
from repository import Repository
from servers import BarmanWay, PgBackRestWay

from strongroom.backup import runs
from strongroom.backup.restore import restore
from strongroom.backup.scratch import ScratchPool
from strongroom.config.errors import StrongroomError
from strongroom.platform.control.platform import Platform, open_platform
from strongroom.platform.tenants.records import Tenant
from strongroom.provisioning.create import provision, request_tenant

WORKSPACES = 20
EXPENSES = 12_000  # of each: a dump of 4 MB
# As a server in production has it; the tests' own needs to survive nothing.
SETTINGS = "fsync = on\nsynchronous_commit = on\nshared_buffers = 512MB\nmax_wal_senders = 10\nmax_wal_size = 4GB\n"

Way = PgBackRestWay | BarmanWay


def measure() -> list[Row]:
    if not (debian_server.is_installed() and repository.is_installed()):
        return [absent("a whole server", "not installed: postgresql, pgbackrest")]
    with installed() as (_, settings), open_platform(settings) as platform, _archived() as made:
        debian_server.take_into_service(platform, made.server)
        some = [_workspace(platform, f"rival-{number:02}") for number in range(WORKSPACES)]
        return _rows(platform, made, some)


@contextmanager
def _archived() -> Generator[Repository]:
    with tempfile.TemporaryDirectory(prefix="strongroom-bench-") as folder:
        Path(folder).chmod(0o755)
        made = repository.start_archived(Path(folder), SETTINGS)
        try:
            yield made
        finally:
            made.server.cluster.stop()


def _workspace(platform: Platform, slug: str) -> Tenant:
    asked = {"slug": slug, "name": "Rival", "owner_email": "owner@example.com", "region": debian_server.REGION}
    with platform.control.begin() as conn:
        pending = request_tenant(conn, platform.settings, platform.keys, **asked)
    tenant = provision(platform, pending.id)
    fill(platform, tenant, EXPENSES, "gen_random_uuid()")
    return tenant


def _rows(platform: Platform, made: Repository, some: Sequence[Tenant]) -> list[Row]:
    ids = [tenant.id for tenant in some]
    pool = ScratchPool(platform.settings)
    try:
        with pool.database():
            pass  # its server is started before anything is timed
        all_of_them = _milliseconds(lambda: _run(platform, ids, pool))
    finally:
        pool.close()
    one = _milliseconds(lambda: restore(platform, some[0].slug))
    rows = _tried("pgBackRest", lambda _open: PgBackRestWay(made), some, all_of_them, one)
    if shutil.which("barman") is None:
        return [*rows, absent("Barman", "not installed: barman")]
    return rows + _tried("Barman", lambda opened: _barman(made, opened), some, all_of_them, one)


def _run(platform: Platform, ids: Sequence[str], pool: ScratchPool) -> None:
    outcomes = runs.run_many(platform, ids, force=True, scratch=pool)
    assert all(outcome.error is None for outcome in outcomes)


def _barman(made: Repository, opened: ExitStack) -> BarmanWay:
    way = BarmanWay(made)
    opened.callback(way.close)
    way.prepare()
    return way


def _tried(
    name: str, build: Callable[[ExitStack], Way], some: Sequence[Tenant], all_of_them: float, one: float
) -> list[Row]:
    """The rows of one contender; that it failed is a row, too."""
    count = len(some)
    try:
        with ExitStack() as opened:
            way = build(opened)
            whole = _milliseconds(way.back_up)
            fetched = _milliseconds(lambda: way.fetch(some[1].database or ""))
    except (StrongroomError, RuntimeError, OSError) as error:
        return [absent(f"{name}: {count} workspaces", f"failed: {str(error)[:150]}".replace("|", "/"))]
    return [
        faster(f"{count} workspaces, each verified", all_of_them, f"{way.name} ({way.lacks})", whole),
        faster("one of them back, verified and switched", one, f"{way.name}: the one in a file", fetched),
    ]


def _milliseconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000
