"""Point in time for one workspace among 20 and 200 of its server, and 100 workspaces brought back from nothing."""

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from bench_backup import against
from making import make_tenants
from measuring import Row, installed, places
from sqlalchemy import text

from strongroom.backup import runs
from strongroom.backup.archive.base import run_base_backup
from strongroom.backup.archive.moment import restore_at
from strongroom.backup.recovery.recover import Order, recover
from strongroom.config.settings import Settings, load_settings
from strongroom.config.stores import local_store
from strongroom.platform.control.platform import Platform, open_platform
from strongroom.platform.keys.store import MASTER_FILE
from strongroom.platform.tenants import queries as tenants
from strongroom.platform.tenants.records import Tenant
from strongroom.provisioning.postgres.embedded import EmbeddedServer

NEIGHBOURS = (20, 200)
TARGETS = {20: 3000.0}
ROUNDS = 3
LOST = 100


def measure() -> list[Row]:
    return [*_moments(), *_recovery()]


def _moments() -> list[Row]:
    rows: list[Row] = []
    with installed() as (_, settings):
        for count, more in zip(NEIGHBOURS, (NEIGHBOURS[0], NEIGHBOURS[1] - NEIGHBOURS[0]), strict=True):
            make_tenants(settings.home, more, prefix=f"among-{count}")
            with open_platform(settings) as platform:
                rows += _among(platform, count)
    return rows


def _among(platform: Platform, count: int) -> list[Row]:
    base = _milliseconds(lambda: run_base_backup(platform))
    with platform.control.connect() as conn:
        some = [tenant for tenant in tenants.list_all(conn) if tenant.slug.startswith(f"among-{count}")]
    times: list[float] = []
    for tenant in some[:ROUNDS]:
        _write(platform, tenant, "kept")
        between = datetime.now(UTC)
        _write(platform, tenant, "lost")
        times.append(_milliseconds(lambda tenant=tenant, at=between: restore_at(platform, tenant.slug, at)))
        _check(platform, tenant)
    total = statistics.median(times)
    return [
        Row(f"base backup of a server with {count} workspaces", base, "–", 0.0, base / 1000, "s", None),
        against(
            f"one of {count} back to a second, switch included", total, "the base backup", base, TARGETS.get(count)
        ),
    ]


def _write(platform: Platform, tenant: Tenant, word: str) -> None:
    with platform.registry.connect(tenant) as conn, conn.begin():
        conn.execute(text("INSERT INTO app.setting VALUES (:word, '1')"), {"word": word})


def _check(platform: Platform, tenant: Tenant) -> None:
    with platform.registry.connect(platform.registry.tenant_by_id(tenant.id)) as conn:
        found = set(conn.scalars(text("SELECT key FROM app.setting WHERE value = '1'")))
    assert found >= {"kept"}, found
    assert "lost" not in found, found


def _recovery() -> list[Row]:
    where, folder = list(places().items())[-1]
    with tempfile.TemporaryDirectory(prefix="strongroom-bench-", dir=folder) as kept:
        backups, key = Path(kept) / "backups", Path(kept) / MASTER_FILE
        with installed(folder) as (_, settings):
            make_tenants(settings.home, LOST, prefix="lost")
            with open_platform(settings) as platform:
                outcomes = runs.run_all(platform)
            assert all(outcome.error is None for outcome in outcomes)
            shutil.copytree(settings.backup_root, backups)
            shutil.copyfile(settings.keys_dir / MASTER_FILE, key)
            key.chmod(0o600)
        Path(kept).chmod(0o755)
        return [_recovered(Path(kept) / "home", backups, key, where)]


def _recovered(home: Path, backups: Path, key: Path, where: str) -> Row:
    settings = load_settings(home)
    try:
        took = _milliseconds(lambda: recover(settings, Order(local_store(backups), key)))
        back = _alive(load_settings(home))
    finally:
        EmbeddedServer(settings).stop()
    assert back == LOST, back
    what = f"{where}: {LOST} workspaces and their control plane from nothing but store and master key"
    return Row(what, took, "–", 0.0, took / 1000, "s", None)


def _alive(settings: Settings) -> int:
    """How many workspaces answer as themselves."""
    server = EmbeddedServer(settings)
    with server.session(), open_platform(settings) as platform:
        with platform.control.connect() as conn:
            everyone = tenants.list_all(conn)
        return sum(_answers(platform, tenant) for tenant in everyone)


def _answers(platform: Platform, tenant: Tenant) -> bool:
    with platform.registry.connect(tenant) as conn:
        return bool(conn.scalar(text("SELECT count(*) FROM app.category")))


def _milliseconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000
