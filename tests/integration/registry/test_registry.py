import dataclasses
import threading
import time
from collections.abc import Generator
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, StatementError
from waiting import wait_for

from strongroom.config.errors import TenantSuspendedError, UnavailableError, UnknownHostError
from strongroom.config.settings import Settings
from strongroom.platform.control.platform import Platform
from strongroom.platform.registry.registry import Registry
from strongroom.platform.tenants import queries as tenants
from strongroom.platform.tenants.records import Tenant
from strongroom.platform.tenants.states import TenantState
from strongroom.provisioning.lifecycle import resume, suspend
from strongroom.provisioning.placements import finish_database, prepare_database, switch_placement
from strongroom.provisioning.postgres.embedded import EmbeddedServer
from strongroom.tenant_schema.migrate import newest_revision

WHO = text("SELECT current_database(), session_user, current_user")


@pytest.fixture(scope="module")
def two(tenant_factory: Any) -> tuple[Tenant, Tenant]:
    return tenant_factory(), tenant_factory()


@pytest.fixture
def registry(platform: Platform) -> Generator[Registry]:
    opened = small_registry(platform, connection_budget=3)
    yield opened
    opened.close()


def small_registry(platform: Platform, **changes: Any) -> Registry:
    settings: Settings = dataclasses.replace(platform.settings, **{"checkout_timeout": 20.0, **changes})
    return Registry(settings, platform.keys, platform.control)


def test_a_host_leads_to_the_tenants_own_database_and_role(registry: Registry, two: tuple[Tenant, Tenant]) -> None:
    for tenant in two:
        found = registry.resolve(f"{tenant.slug.upper()}.localhost.:8443")
        with registry.connect(found) as conn:
            assert tuple(conn.execute(WHO).one()) == (tenant.database, tenant.role, tenant.role)


@pytest.mark.parametrize("host", ["nobody.localhost", "localhost", "", "x.y.localhost", "evil.example"])
def test_an_unknown_host_has_no_workspace(registry: Registry, host: str) -> None:
    with pytest.raises(UnknownHostError):
        registry.resolve(host)


def test_a_connection_is_used_again_and_keeps_its_prepared_statements(
    registry: Registry, two: tuple[Tenant, Tenant]
) -> None:
    pids: set[int] = set()
    for _ in range(10):
        with registry.connect(two[0]) as conn, conn.begin():
            pids.add(conn.execute(text("SELECT pg_backend_pid()")).scalar_one())
    with registry.connect(two[0]) as conn:
        prepared = conn.execute(text("SELECT count(*) FROM pg_prepared_statements")).scalar_one()
    assert len(pids) == 1
    assert prepared >= 1


def test_what_was_not_committed_is_rolled_back(registry: Registry, two: tuple[Tenant, Tenant]) -> None:
    with registry.connect(two[0]) as conn:
        conn.execute(text("INSERT INTO app.setting VALUES ('left-over', '1')"))
    with registry.connect(two[0]) as conn:
        assert conn.execute(text("SELECT count(*) FROM app.setting WHERE key = 'left-over'")).scalar_one() == 0


def test_an_error_in_mid_transaction_does_not_reach_the_next_user(
    registry: Registry, two: tuple[Tenant, Tenant]
) -> None:
    with pytest.raises(DBAPIError), registry.connect(two[0]) as conn:
        conn.execute(text("SELECT 1/0"))
    with registry.connect(two[0]) as conn:
        assert conn.execute(text("SELECT 1")).scalar_one() == 1


def test_a_connection_whose_session_was_changed_is_not_used_again(
    registry: Registry, two: tuple[Tenant, Tenant]
) -> None:
    for statement in ("SET search_path = app", "SET TIME ZONE 'Asia/Tokyo'", "SET default_transaction_read_only = on"):
        with registry.connect(two[0]) as conn, conn.begin():
            before = conn.execute(text("SELECT pg_backend_pid()")).scalar_one()
            conn.execute(text(statement))
        with registry.connect(two[0]) as conn:
            assert conn.execute(text("SELECT pg_backend_pid()")).scalar_one() != before


def test_autocommit_of_a_loan_does_not_leak_into_the_next_transaction(
    registry: Registry, two: tuple[Tenant, Tenant]
) -> None:
    with registry.borrow(two[0]) as conn:
        conn.execute("SELECT 1")
    with registry.connect(two[0]) as conn:
        conn.execute(text("INSERT INTO app.setting VALUES ('leak', '1')"))
    with registry.borrow(two[0]) as conn:
        row = conn.execute("SELECT count(*) FROM app.setting WHERE key = 'leak'").fetchone()
    assert row == (0,)


def test_idle_sessions_that_the_server_ended_are_replaced_unseen(
    registry: Registry, two: tuple[Tenant, Tenant], embedded_server: EmbeddedServer
) -> None:
    with registry.connect(two[0]) as conn:
        before = conn.execute(text("SELECT pg_backend_pid()")).scalar_one()
    terminate(embedded_server, two[0])
    with registry.connect(two[0]) as conn:
        assert conn.execute(text("SELECT pg_backend_pid()")).scalar_one() != before
    assert registry.stats()["embedded"]["discarded"] == 1


def test_a_session_killed_in_use_is_discarded_and_takes_no_other_tenants_with_it(
    registry: Registry, two: tuple[Tenant, Tenant], embedded_server: EmbeddedServer
) -> None:
    with registry.connect(two[1]) as conn:
        other = conn.execute(text("SELECT pg_backend_pid()")).scalar_one()
    with registry.connect(two[0]) as conn:
        conn.execute(text("SELECT 1"))
        terminate(embedded_server, two[0])
        with pytest.raises(DBAPIError):
            conn.execute(text("SELECT 1"))
    with registry.connect(two[0]) as conn:
        assert conn.execute(WHO).one()[0] == two[0].database
    with registry.connect(two[1]) as conn:
        assert conn.execute(text("SELECT pg_backend_pid()")).scalar_one() == other


def test_a_dead_connection_is_never_silently_replaced_inside_a_request(
    registry: Registry, two: tuple[Tenant, Tenant], embedded_server: EmbeddedServer
) -> None:
    with registry.connect(two[0]) as conn:
        terminate(embedded_server, two[0])
        with pytest.raises(DBAPIError):
            conn.execute(text("SELECT 1"))
        conn.rollback()
        with pytest.raises(StatementError, match="outside of the registry"):
            conn.execute(text("SELECT 1"))


def test_an_exhausted_budget_is_a_clear_refusal_with_a_time_to_come_back(
    platform: Platform, two: tuple[Tenant, Tenant]
) -> None:
    registry = small_registry(platform, connection_budget=1, checkout_timeout=0.3)
    with registry.connect(two[0]), pytest.raises(UnavailableError) as caught, registry.connect(two[1]):
        pass
    assert caught.value.retry_after >= 1
    with registry.connect(two[1]) as conn:
        assert conn.execute(WHO).one()[0] == two[1].database
    assert registry.stats()["embedded"]["evictions"] == 1
    registry.close()


def test_a_tenants_ceiling_does_not_hold_back_another_tenant(platform: Platform, two: tuple[Tenant, Tenant]) -> None:
    registry = small_registry(platform, connection_budget=5, connections_per_tenant=1, checkout_timeout=0.3)
    with registry.connect(two[0]), registry.connect(two[1]) as conn:
        assert conn.execute(WHO).one()[0] == two[1].database
        with pytest.raises(UnavailableError), registry.connect(two[0]):
            pass
    registry.close()


def test_a_server_that_is_down_is_unavailable_and_comes_back_by_itself(
    platform: Platform, two: tuple[Tenant, Tenant], embedded_server: EmbeddedServer
) -> None:
    registry = small_registry(platform)
    tenant = registry.resolve(f"{two[0].slug}.localhost")
    with embedded_server.connect_admin() as admin:
        admin.execute(f"ALTER DATABASE {tenant.database} ALLOW_CONNECTIONS false")
        try:
            with pytest.raises(UnavailableError), registry.connect(tenant):
                pass
        finally:
            admin.execute(f"ALTER DATABASE {tenant.database} ALLOW_CONNECTIONS true")
    with registry.connect(tenant) as conn:
        assert conn.execute(WHO).one()[0] == tenant.database
    registry.close()


def test_suspension_is_seen_at_the_latest_when_the_record_expires(platform: Platform, tenant: Tenant) -> None:
    registry = small_registry(platform, tenant_cache_seconds=0.2)
    host = f"{tenant.slug}.localhost"
    with registry.connect(registry.resolve(host)):
        pass
    suspended = suspend(platform, tenant)
    time.sleep(0.25)
    with pytest.raises(TenantSuspendedError):
        registry.resolve(host)
    with pytest.raises(TenantSuspendedError), registry.connect(tenant):
        pass
    assert registry.stats()["embedded"]["open"] == 0
    with registry.connect(resume(platform, suspended)):
        pass  # a newer record than the registry has seen is believed at once
    time.sleep(0.25)
    with registry.connect(registry.resolve(host)) as conn:
        assert conn.execute(WHO).one()[0] == tenant.database
    registry.close()


def test_suspending_and_resuming_return_when_every_process_has_noticed(platform: Platform, tenant: Tenant) -> None:
    registry = small_registry(platform)
    host = f"{tenant.slug}.localhost"
    registry.resolve(host)
    suspended = suspend(platform, tenant)
    with pytest.raises(TenantSuspendedError):
        registry.resolve(host)
    resume(platform, suspended)
    assert registry.resolve(host).id == tenant.id
    registry.close()


def test_suspending_ends_the_sessions_that_are_open(platform: Platform, tenant: Tenant) -> None:
    registry = small_registry(platform)
    with registry.connect(tenant) as conn:
        conn.execute(WHO)
        suspend(platform, tenant)
        with pytest.raises(DBAPIError):
            conn.execute(WHO)
    registry.close()


@pytest.mark.parametrize("state", [TenantState.RESTORING, TenantState.MIGRATING])
def test_a_workspace_that_is_worked_on_is_unavailable_for_a_moment(
    platform: Platform, tenant: Tenant, state: TenantState
) -> None:
    registry = small_registry(platform, tenant_cache_seconds=0.0)
    with platform.control.begin() as conn:
        tenants.set_state(conn, tenant.id, state)
    with pytest.raises(UnavailableError) as caught:
        registry.resolve(f"{tenant.slug}.localhost")
    assert caught.value.retry_after > 0
    with platform.control.begin() as conn:
        tenants.set_state(conn, tenant.id, TenantState.ACTIVE)
    assert registry.resolve(f"{tenant.slug}.localhost").id == tenant.id
    registry.close()


def test_after_a_switch_nobody_ends_on_the_old_database(platform: Platform, tenant: Tenant) -> None:
    registry = small_registry(platform, tenant_cache_seconds=0.0)
    host = f"{tenant.slug}.localhost"
    old = registry.resolve(host)
    with registry.connect(old):
        pass
    new = prepare_database(platform, old.server, tenant.id)
    finish_database(platform, new.id, newest_revision())
    with platform.control.begin() as conn:
        switch_placement(conn, old, new.id)
    now = registry.resolve(host)
    with registry.connect(now) as conn:
        assert conn.execute(WHO).one()[0] == new.database
    with pytest.raises(UnavailableError, match="moved"), registry.connect(old):
        pass
    # Another thread may just be closing the old one.
    wait_for(lambda: registry.stats()["embedded"]["open"] == 1, seconds=60)
    registry.close()


def test_many_threads_read_a_record_once(platform: Platform, tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = small_registry(platform, tenant_cache_seconds=30.0)
    reads: list[str] = []
    original = tenants.by_slug
    monkeypatch.setattr(tenants, "by_slug", lambda conn, slug: (reads.append(slug), original(conn, slug))[1])
    threads = [threading.Thread(target=registry.resolve, args=(f"{tenant.slug}.localhost",)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for _ in range(5):
        with pytest.raises(UnknownHostError):
            registry.resolve("not-there.localhost")
    assert reads == [tenant.slug, "not-there"]
    registry.close()


def terminate(server: EmbeddedServer, tenant: Tenant) -> None:
    with server.connect_admin() as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_activity WHERE datname = %s", (tenant.database,)
        )
