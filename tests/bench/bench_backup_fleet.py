"""540 real workspaces: all dumped, all verified, hardly any changed; and what people run for that today, beside it."""

import random
import shutil
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from bench_backup import held
from making import say
from measuring import Row, installed, places
from scripts import Cron, Restic, Way, missing
from sqlalchemy import text

from strongroom.backup import runs, take
from strongroom.backup.records import BackupState
from strongroom.backup.scratch import ScratchPool
from strongroom.backup.stores.opening import open_store
from strongroom.config.settings import Settings
from strongroom.platform.control.platform import Platform, open_platform
from strongroom.platform.tenants import queries as tenants
from strongroom.platform.tenants.records import Tenant
from strongroom.provisioning.bulk.rows import read_rows
from strongroom.provisioning.bulk.workers import make_all
from strongroom.provisioning.demo.offices import LIST, write_offices
from strongroom.provisioning.demo.source import find_folder

OFFICES = 540
WORKERS = 2
SAMPLE = 100  # workspaces on which the others are tried: a script needs its time for each
CHANGED = 0.01
DUMPS_A_SECOND = 36.0


def measure() -> list[Row]:
    where, folder = list(places().items())[-1]
    with installed(folder) as (_, settings), open_platform(settings) as platform:
        _make(platform, settings)
        with platform.control.connect() as conn:
            everyone = tenants.list_all(conn)
        with _scratch(settings) as scratch:
            rows = _ours(platform, scratch, everyone)
            rows += _others(platform, scratch, random.Random(4).sample(everyone, SAMPLE))
    return [_where(row, where) for row in rows]


def _make(platform: Platform, settings: Settings) -> None:
    write_offices(find_folder(), settings.home / "offices", OFFICES)
    wanted, wrong = read_rows(platform, settings.home / "offices" / LIST, "pro", None)
    assert not wrong, wrong[0]
    began = time.monotonic()
    make_all(settings, wanted, WORKERS, "bench", lambda _outcome: None)
    say(f"{len(wanted)} workspaces made in {time.monotonic() - began:.0f} s\n")


@contextmanager
def _scratch(settings: Settings) -> Generator[ScratchPool]:
    """A scratch server that is started before anything is timed."""
    pool = ScratchPool(settings)
    try:
        with pool.database():
            pass
        yield pool
    finally:
        pool.close()


def _ours(platform: Platform, scratch: ScratchPool, everyone: Sequence[Tenant]) -> list[Row]:
    ids = [tenant.id for tenant in everyone]

    def run() -> list[BackupState]:
        outcomes = runs.run_many(platform, ids, parallel=WORKERS, scratch=scratch)
        failed = [outcome.error for outcome in outcomes if outcome.error]
        assert not failed, failed[0]
        return [outcome.backup.state for outcome in outcomes if outcome.backup]

    count = len(ids)
    dumped, proved = _seconds(lambda: _dump_all(platform, ids)), _seconds(run)
    again = _seconds(run)
    written = random.Random(5).sample(list(everyone), max(1, round(count * CHANGED)))
    for tenant in written:
        _spend(platform, tenant)
    states: list[BackupState] = []
    one_percent = _seconds(lambda: states.extend(run()))
    dumped_again = states.count(BackupState.VERIFIED)
    assert dumped_again >= len(written), dumped_again
    return [
        _rate(f"{count} workspaces dumped, {WORKERS} at a time", count, dumped, DUMPS_A_SECOND),
        _rate("the same, each verified", count, proved, None),
        _each("nothing has changed", count, again, 10.0),
        _each(f"1 % has changed, {dumped_again} are dumped: {one_percent:.1f} s for all", count, one_percent, None),
        Row("peak memory of this process", 0.0, "–", 0.0, held(), "MB", None),
    ]


def _dump_all(platform: Platform, ids: Sequence[str]) -> None:
    store = open_store(platform.settings)
    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(lambda tenant_id: take.take_backup(platform, store, tenant_id, force=True), ids))


def _spend(platform: Platform, tenant: Tenant) -> None:
    with platform.registry.connect(tenant) as conn, conn.begin():
        conn.execute(text("INSERT INTO app.setting VALUES ('bench', '1') ON CONFLICT (key) DO UPDATE SET value = '2'"))
    platform.registry.forget(tenant)


def _others(platform: Platform, scratch: ScratchPool, some: Sequence[Tenant]) -> list[Row]:
    ids = [tenant.id for tenant in some]

    def verified() -> None:
        outcomes = runs.run_many(platform, ids, parallel=WORKERS, force=True, scratch=scratch)
        assert all(outcome.error is None for outcome in outcomes)

    def unchanged() -> None:
        runs.run_many(platform, ids, parallel=WORKERS, scratch=scratch)

    ours = [_seconds(work) * 1000 / len(ids) for work in (lambda: _dump_all(platform, ids), verified, unchanged)]
    rows: list[Row] = []
    for kind in (Cron, Restic):
        if lacking := missing(kind):
            rows.append(absent(f"a workspace, of {SAMPLE}", f"{kind.name}: not installed ({lacking})"))
            continue
        way = kind(platform, platform.settings.home / kind.folder)
        try:
            rows += _beside(way, some, *ours)
        finally:
            shutil.rmtree(way.home, ignore_errors=True)
    return rows


def _beside(way: Way, some: Sequence[Tenant], dumped: float, verified: float, unchanged: float) -> list[Row]:
    first = _seconds(lambda: way.run(some)) * 1000 / len(some)
    again = _seconds(lambda: way.run(some)) * 1000 / len(some)
    return [
        faster(f"a workspace, of {len(some)}, dumped", dumped, f"{way.name} ({way.lacks})", first),
        faster("the same, verified as well", verified, way.name, first),
        faster("the same when nothing has changed", unchanged, f"{way.name}, once more", again),
    ]


def faster(what: str, ours: float, baseline: str, base: float) -> Row:
    """How many times faster ours is than a contender that takes `base` milliseconds."""
    return Row(what, ours, baseline, base, base / ours, "× faster", None)


def absent(what: str, why: str) -> Row:
    """The row of a contender that cannot be tried here."""
    return Row(what, 0.0, why, 0.0, 0.0, "", None)


def _rate(what: str, count: int, seconds: float, target: float | None) -> Row:
    return Row(what, seconds * 1000 / count, "–", 0.0, count / seconds, "/s", target, at_least=True)


def _each(what: str, count: int, seconds: float, target: float | None) -> Row:
    each = seconds * 1000 / count
    return Row(what, each, "–", 0.0, each, "ms", target)


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _where(row: Row, where: str) -> Row:
    return Row(f"{where}: {row.what}", *(getattr(row, name) for name in _REST))


_REST = ("ours_ms", "baseline", "baseline_ms", "value", "unit", "target", "at_least")
