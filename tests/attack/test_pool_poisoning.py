"""Threads, faults and a budget far too small: every use of a connection is in its own tenant's database, or fails."""

import dataclasses
import random
import threading
import time
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from strongroom.config.errors import UnavailableError
from strongroom.platform.control.platform import Platform
from strongroom.platform.registry.registry import Registry
from strongroom.platform.tenants.records import Tenant
from strongroom.provisioning.postgres.embedded import EmbeddedServer

THREADS, ROUNDS, TENANTS, BUDGET = 6, 150, 5, 3
MARKER = text("SELECT current_database(), session_user, (SELECT value #>> '{}' FROM app.setting WHERE key = 'marker')")


class FaultError(Exception):
    """Ends a use half-way."""


@pytest.fixture(scope="module")
def tenants(platform: Platform, tenant_factory: Any) -> list[Tenant]:
    made: list[Tenant] = [tenant_factory() for _ in range(TENANTS)]
    for tenant in made:
        with platform.registry.connect(tenant) as conn, conn.begin():
            marker = text("INSERT INTO app.setting VALUES ('marker', to_jsonb(CAST(:id AS text)))")
            conn.execute(marker, {"id": tenant.id})
        platform.registry.forget(tenant)  # its idle connection would count against the budget that is tested
    return made


def test_under_faults_each_answer_carries_its_own_tenants_marker(
    platform: Platform, embedded_server: EmbeddedServer, tenants: list[Tenant]
) -> None:
    settings = dataclasses.replace(platform.settings, connection_budget=BUDGET, connections_per_tenant=2)
    registry = Registry(settings, platform.keys, platform.control)
    wrong: list[object] = []
    answers: list[str] = []
    over: list[int] = []
    done = threading.Event()

    def user(seed: int) -> None:
        pick = random.Random(seed)
        for _ in range(ROUNDS):
            tenant = pick.choice(tenants)
            try:
                answers.append(use(registry, tenant, pick, wrong))
            except (SQLAlchemyError, psycopg.Error, UnavailableError, FaultError):
                continue

    def killer() -> None:
        pick, since = random.Random(99), None
        with embedded_server.connect_admin() as admin:
            while not done.is_set():
                name = pick.choice(tenants).database
                admin.execute(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", (name,)
                )
                row = admin.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'strongroom' AND datname = ANY(%s)",
                    ([t.database for t in tenants],),
                ).fetchone()
                if row and row[0] > BUDGET + 3:  # sessions that were just ended may still be on their way out
                    since = since or time.monotonic()
                    if time.monotonic() - since > 5:
                        over.append(row[0])
                else:
                    since = None
                time.sleep(0.02)

    threads = [threading.Thread(target=user, args=(seed,)) for seed in range(THREADS)]
    saboteur = threading.Thread(target=killer)
    saboteur.start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    saboteur.join()
    stats = registry.stats()["embedded"]
    registry.close()
    assert wrong == []
    assert over == []
    assert len(answers) > THREADS * ROUNDS / 4
    assert stats["evictions"] > 10
    assert (stats["busy"], stats["waiting"]) == (0, 0)
    assert stats["open"] <= BUDGET


def use(registry: Registry, tenant: Tenant, pick: random.Random, wrong: list[object]) -> str:
    found = registry.resolve(f"{tenant.slug}.localhost")
    fault = pick.choice(["none", "none", "error", "raise", "set", "close", "open", "borrow"])
    if fault == "borrow":
        with registry.borrow(found) as raw:
            row = raw.execute(
                "SELECT current_database(), session_user, value #>> '{}' FROM app.setting WHERE key = 'marker'"
            ).fetchone()
            return check(tenant, row, wrong)
    with registry.connect(found) as conn:
        marker = check(tenant, tuple(conn.execute(MARKER).one()), wrong)
        if fault == "error":
            conn.execute(text("SELECT 1/0"))
        if fault == "raise":
            conn.execute(text("INSERT INTO app.setting VALUES ('half-done', '1')"))
            raise FaultError
        if fault == "set":
            conn.execute(text("SET search_path = app; SET statement_timeout = 0"))
            conn.commit()
        if fault == "close":
            driver: Any = conn.connection.driver_connection
            driver.close()
        if fault == "open":
            conn.execute(text("INSERT INTO app.setting VALUES ('half-done', '1')"))
        return marker


def check(tenant: Tenant, row: tuple[Any, ...] | None, wrong: list[object]) -> str:
    if row != (tenant.database, tenant.role, tenant.id):
        wrong.append((tenant.id, row))
    return tenant.id


def test_nothing_that_was_left_half_done_was_kept(platform: Platform, tenants: list[Tenant]) -> None:
    for tenant in tenants:
        with platform.registry.connect(tenant) as conn:
            assert conn.execute(text("SELECT count(*) FROM app.setting WHERE key = 'half-done'")).scalar_one() == 0
