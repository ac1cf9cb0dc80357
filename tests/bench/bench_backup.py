"""The backup pipeline against a bare `pg_dump -Fc -Z0`, verification and restore against a bare `pg_restore`."""

import statistics
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from measuring import Row, installation, interleaved, new_tenant, ratio, spares_ready
from sqlalchemy import text

from strongroom.backup import pipeline, runs, take
from strongroom.backup.header import Header
from strongroom.backup.restore import restore
from strongroom.backup.scratch import ScratchPool
from strongroom.backup.stores.opening import open_store
from strongroom.backup.subject import subject_of, target_for
from strongroom.backup.tools import RESTORE_OPTIONS, dumping
from strongroom.config.settings import load_settings
from strongroom.platform.control.platform import Platform, open_platform
from strongroom.platform.tenants.records import Tenant
from strongroom.provisioning.names import BACKUP

SIZES = {"empty": 0, "8 MB": 24_000, "50 MB": 150_000, "1 GB": 2_800_000}  # of the dump: rows that make it so big
ROUNDS = {"empty": 9, "8 MB": 9, "50 MB": 5, "1 GB": 1}
DUMP_TARGETS = {"50 MB": 1.25}
RESTORE_TARGETS = {"8 MB": 300.0, "50 MB": 700.0}
PART = 200_000  # rows of one transaction


def measure() -> list[Row]:
    rows: list[Row] = []
    with installation() as platform:
        scratch = ScratchPool(platform.settings)
        try:
            for size, expenses in SIZES.items():
                tenant = new_tenant(platform, f"size-{expenses}")
                fill(platform, tenant, expenses)
                rows += _pipeline(platform, tenant, size)
                rows += _proof(platform, scratch, tenant, size)
                rows.append(_memory(platform, tenant, size))
        finally:
            scratch.close()
    return rows


def fill(platform: Platform, tenant: Tenant, expenses: int, new_id: str = "uuidv7()") -> None:
    """Rows as wide as real ones: sealed notes do not compress, merchants do. `new_id`: what makes an id, in SQL."""
    if not expenses:
        return
    with platform.registry.connect(tenant) as conn:
        with conn.begin():
            conn.execute(
                text("""
                    INSERT INTO app.member (id, email, email_index, name, role)
                    SELECT gen_random_uuid(), sealed, decode(md5('x'), 'hex'), sealed, 'owner'
                    FROM decode(repeat('93', 60), 'hex') AS sealed
                """)
            )
    with ThreadPoolExecutor(2) as pool:
        parts = range(0, expenses, PART)
        list(pool.map(lambda first: _add(platform, tenant, first + 1, min(first + PART, expenses), new_id), parts))
    platform.registry.forget(tenant)


def _add(platform: Platform, tenant: Tenant, first: int, last: int, new_id: str) -> None:
    with platform.registry.connect(tenant) as conn, conn.begin():
        conn.execute(text("SET LOCAL statement_timeout = 0"))
        conn.execute(text(_EXPENSES.format(new_id=new_id)), {"first": first, "last": last})


_EXPENSES = """
    INSERT INTO app.expense (id, member_id, category_id, spent_on, merchant, amount, currency, digits,
                             base_amount, base_currency, note)
    SELECT {new_id}, (SELECT id FROM app.member LIMIT 1), (SELECT id FROM app.category LIMIT 1),
           date '2024-01-01' + n % 366, 'Merchant number ' || n % 500, n % 900 + 1, 'USD', 2,
           n % 900 + 1, 'USD', decode(md5(n::text) || md5((n + 1)::text) || md5((n + 2)::text), 'hex')
    FROM generate_series(CAST(:first AS integer), CAST(:last AS integer)) n
"""


def _pipeline(platform: Platform, tenant: Tenant, size: str) -> list[Row]:
    store = open_store(platform.settings)
    with platform.control.connect() as conn:
        subject = subject_of(platform, conn, tenant.id)

    def bare(_times: int) -> None:
        with target_for(platform, subject.server, BACKUP, subject.database) as target:
            command = [target.bindir / "pg_dump", "-Fc", "-Z0", f"--file={_bare(platform)}"]
            command.append(f"--dbname={target.conninfo}")
            subprocess.run(command, check=True, env={"PGSERVICEFILE": str(target.service_file)})

    def ours(_times: int) -> None:
        take.take_backup(platform, store, tenant.id, force=True)

    mine, base = interleaved(ours, bare, ROUNDS[size], 1)
    stream, base_again = interleaved(lambda _times: _stream_only(platform, tenant), bare, ROUNDS[size], 1)
    target = DUMP_TARGETS.get(size)
    return [
        ratio(f"{size}: dump, compress, encrypt, store", stream, "pg_dump -Fc -Z0", base_again, target),
        ratio(f"{size}: the same with manifest and catalogue", mine, "pg_dump -Fc -Z0", base, None),
    ]


def _bare(platform: Platform) -> Path:
    return platform.settings.home / "bare.dump"


def _stream_only(platform: Platform, tenant: Tenant) -> None:
    store = open_store(platform.settings)
    with platform.control.connect() as conn:
        subject = subject_of(platform, conn, tenant.id)
    header = Header("tenant", "bench", tenant.id, None, 180000, "2026-01-01T00:00:00+00:00")
    with target_for(platform, subject.server, BACKUP, subject.database) as target, dumping(target) as dump:
        pipeline.write_object(store, "bench/stream.age", header, dump, subject.recipient)
    store.delete("bench/stream.age")


def _proof(platform: Platform, scratch: ScratchPool, tenant: Tenant, size: str) -> list[Row]:
    rounds = 1 if size == "1 GB" else 3
    backup = runs.run_many(platform, [tenant.id], force=True, scratch=scratch)[0].backup
    assert backup is not None

    def bare(_times: int) -> None:
        with scratch.database() as database:
            command = [database.target.bindir / "pg_restore", *RESTORE_OPTIONS]
            subprocess.run([*command, f"--dbname={database.target.conninfo}", _bare(platform)], check=True)

    def prove(_times: int) -> None:
        runs.verify_one(platform, backup.id, scratch=scratch)

    proving, base = interleaved(prove, bare, rounds, 1)
    with spares_ready(platform, rounds) as with_spares:
        restoring = median(lambda: restore(with_spares, tenant.slug), rounds)
    target, same = RESTORE_TARGETS.get(size), "pg_restore into a scratch database"
    rows = [
        against(f"{size}: verification in a scratch instance", proving, same, base, target),
        against(f"{size}: verified restore into a spare, switch included", restoring, same, base, target),
    ]
    return rows if size == "1 GB" else [*rows, *_smaller(platform, scratch, tenant, size, base)]


def _smaller(platform: Platform, scratch: ScratchPool, tenant: Tenant, size: str, base: float) -> list[Row]:
    """What would say nothing new of a big workspace."""
    from_nothing = median(lambda: restore(platform, tenant.slug), 3)
    platform.registry.forget(tenant)
    time.sleep(1.5)
    runs.run_many(platform, [tenant.id], force=True, scratch=scratch)
    unchanged = median(lambda: runs.run_many(platform, [tenant.id], scratch=scratch), 5)
    same = "pg_restore into a scratch database"
    return [
        against(f"{size}: the same where the database has to be made", from_nothing, same, base, None),
        Row(f"{size}: nothing has changed, asked alone", unchanged, "–", 0.0, unchanged, "ms", 10.0),
    ]


def against(what: str, ours: float, baseline: str, base: float, target: float | None) -> Row:
    """A row whose value and target are milliseconds although there is a baseline."""
    return Row(f"{what}: {ours / base:.2f} ×", ours, baseline, base, ours, "ms", target)


def _memory(platform: Platform, tenant: Tenant, size: str) -> Row:
    """Peak of a fresh process that takes one backup, its interpreter and libraries included."""
    with ProcessPoolExecutor(1, get_context("spawn")) as child:
        before, peak = child.submit(take_alone, platform.settings.home, tenant.id).result()
    return Row(
        f"{size}: peak memory of a dump ({peak - before:.0f} MB over an idle process)", 0.0, "–", 0.0, peak, "MB", 100.0
    )


def take_alone(home: Path, tenant_id: str) -> tuple[float, float]:
    """In a process of its own: take a backup; return what it held before and at most (MB)."""
    with open_platform(load_settings(home)) as platform:
        with platform.control.connect() as conn:
            subject_of(platform, conn, tenant_id)
        before = held()
        take.take_backup(platform, open_store(platform.settings), tenant_id, force=True)
    return before, held()


def held() -> float:
    """Most memory that this process has held so far (MB); `ru_maxrss` would include its parent's."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def median(work: Callable[[], object], rounds: int) -> float:
    """Milliseconds of one turn."""
    times: list[float] = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)
