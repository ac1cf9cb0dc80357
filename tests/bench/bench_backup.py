"""The backup pipeline against a bare `pg_dump -Fc -Z0`, verification, restore, and small tenants per second."""

import resource
import statistics
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from measuring import Row, installation, interleaved, new_tenant, ratio
from sqlalchemy import text

from strongroom.backup import pipeline, runs, take
from strongroom.backup.header import Header
from strongroom.backup.restore import restore
from strongroom.backup.scratch import ScratchPool
from strongroom.backup.stores.opening import open_store
from strongroom.backup.subject import subject_of, target_for
from strongroom.backup.tools import dumping
from strongroom.platform.control.platform import Platform
from strongroom.platform.tenants.records import Tenant
from strongroom.provisioning.names import BACKUP

SMALL_TENANTS = 24
SIZES = {"empty": 0, "8 MB": 24_000, "50 MB": 150_000}


def measure() -> list[Row]:
    rows: list[Row] = []
    with installation() as platform:
        scratch = ScratchPool(platform.settings)
        try:
            for size, expenses in SIZES.items():
                tenant = new_tenant(platform, f"size-{expenses}")
                if expenses:
                    _fill(platform, tenant, expenses)
                rows += _pipeline(platform, tenant, size)
                rows += _proof(platform, scratch, tenant, size)
            rows += _many(platform, scratch)
        finally:
            scratch.close()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    rows.append(Row("peak memory of this process", memory, "–", 0.0, memory, "MB", 100.0))
    return rows


def _fill(platform: Platform, tenant: Tenant, expenses: int) -> None:
    """Rows as wide as real ones: sealed notes do not compress, merchants do."""
    with platform.registry.connect(tenant) as conn, conn.begin():
        conn.execute(
            text("""
                INSERT INTO app.member (id, email, email_index, name, role)
                SELECT uuidv7(), sealed, decode(md5('x'), 'hex'), sealed, 'owner'
                FROM decode(repeat('93', 60), 'hex') AS sealed
            """)
        )
        conn.execute(
            text("""
                INSERT INTO app.expense (id, member_id, category_id, spent_on, merchant, amount, currency, digits,
                                         base_amount, base_currency, note)
                SELECT uuidv7(), (SELECT id FROM app.member LIMIT 1), (SELECT id FROM app.category LIMIT 1),
                       date '2024-01-01' + n % 366, 'Merchant number ' || n % 500, n % 900 + 1, 'USD', 2,
                       n % 900 + 1, 'USD', decode(md5(n::text) || md5((n + 1)::text) || md5((n + 2)::text), 'hex')
                FROM generate_series(1, :count) n
            """),
            {"count": expenses},
        )


def _pipeline(platform: Platform, tenant: Tenant, size: str) -> list[Row]:
    store = open_store(platform.settings)
    out = platform.settings.home / "bare.dump"
    with platform.control.connect() as conn:
        subject = subject_of(platform, conn, tenant.id)

    def bare(_times: int) -> None:
        with target_for(platform, subject.server, BACKUP, subject.database) as target:
            command = [target.bindir / "pg_dump", "-Fc", "-Z0", f"--file={out}", f"--dbname={target.conninfo}"]
            subprocess.run(command, check=True, env={"PGSERVICEFILE": str(target.service_file)})

    def ours(_times: int) -> None:
        take.take_backup(platform, store, tenant.id, force=True)

    rounds = 5 if size == "50 MB" else 9
    mine, base = interleaved(ours, bare, rounds, 1)
    target = 1.25 if size == "50 MB" else None
    stream, base_again = interleaved(lambda _times: _stream_only(platform, tenant), bare, rounds, 1)
    return [
        ratio(f"{size}: dump, compress, encrypt, store", stream, "pg_dump -Fc -Z0", base_again, target),
        ratio(f"{size}: the same with manifest and catalogue", mine, "pg_dump -Fc -Z0", base, None),
    ]


def _stream_only(platform: Platform, tenant: Tenant) -> None:
    store = open_store(platform.settings)
    with platform.control.connect() as conn:
        subject = subject_of(platform, conn, tenant.id)
    header = Header("tenant", "bench", tenant.id, None, 180000, "2026-01-01T00:00:00+00:00")
    with target_for(platform, subject.server, BACKUP, subject.database) as target, dumping(target) as dump:
        pipeline.write_object(store, "bench/stream.age", header, dump, subject.recipient)
    store.delete("bench/stream.age")


def _proof(platform: Platform, scratch: ScratchPool, tenant: Tenant, size: str) -> list[Row]:
    targets = {"8 MB": 300.0, "50 MB": 700.0}
    backup = runs.run_many(platform, [tenant.id], force=True, scratch=scratch)[0].backup
    assert backup is not None
    proving = _median(lambda: runs.verify_one(platform, backup.id, scratch=scratch), 3)
    restoring = _median(lambda: restore(platform, tenant.slug), 3)
    platform.registry.forget(tenant)
    time.sleep(1.5)
    runs.run_many(platform, [tenant.id], force=True, scratch=scratch)
    unchanged = _median(lambda: runs.run_many(platform, [tenant.id], scratch=scratch), 5)
    return [
        Row(f"{size}: verification in a scratch instance", proving, "–", 0.0, proving, "ms", targets.get(size)),
        Row(f"{size}: verified restore, switch included", restoring, "–", 0.0, restoring, "ms", targets.get(size)),
        Row(f"{size}: nothing has changed", unchanged, "–", 0.0, unchanged, "ms", 10.0),
    ]


def _many(platform: Platform, scratch: ScratchPool) -> list[Row]:
    wanted = [new_tenant(platform, f"small-{number}").id for number in range(SMALL_TENANTS)]
    store = open_store(platform.settings)
    began = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda tenant_id: take.take_backup(platform, store, tenant_id, force=True), wanted))
    dumped = SMALL_TENANTS / (time.perf_counter() - began)
    began = time.perf_counter()
    outcomes = runs.run_many(platform, wanted, force=True, parallel=2, scratch=scratch)
    assert all(outcome.error is None for outcome in outcomes)
    proved = SMALL_TENANTS / (time.perf_counter() - began)
    per_dump, per_proof = 1000 / dumped, 1000 / proved
    return [
        Row("a small workspace in a run with 2 workers", per_dump, "–", 0.0, per_dump, "ms", 1000 / 36),
        Row("the same, each verified", per_proof, "–", 0.0, per_proof, "ms", None),
    ]


def _median(work: Callable[[], object], rounds: int) -> float:
    times: list[float] = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)
