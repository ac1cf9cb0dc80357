"""What one process changes counts in the others at once: here other registries, each with a keeper of its own."""

import dataclasses
import threading
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, suppress
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from strongroom.config.errors import TenantSuspendedError, UnavailableError, UnknownHostError
from strongroom.platform.control.engine import control_params
from strongroom.platform.control.platform import Platform
from strongroom.platform.registry import keeper, queries
from strongroom.platform.registry.leases import FLOOR
from strongroom.platform.registry.registry import Registry
from strongroom.platform.tenants import queries as tenants
from strongroom.platform.tenants.ids import new_id
from strongroom.platform.tenants.records import Tenant
from strongroom.platform.tenants.states import TenantState

PATIENT = 20.0  # seconds that a record counts without a keeper: whatever is seen earlier, the keeper has seen
WHO = text("SELECT current_database()")

Opener = Callable[..., Registry]


@pytest.fixture
def opener(platform: Platform) -> Generator[Opener]:
    """Open registries that are closed at the end."""
    opened: list[Registry] = []

    def open_registry(**changes: Any) -> Registry:
        settings = dataclasses.replace(platform.settings, **{"tenant_cache_seconds": PATIENT, **changes})
        opened.append(Registry(settings, platform.keys, platform.control))
        return opened[-1]

    yield open_registry
    for registry in opened:
        registry.close()


def host(tenant: Tenant) -> str:
    return f"{tenant.slug}.localhost"


def warm(registry: Registry, tenant: Tenant) -> None:
    with registry.connect(registry.resolve(host(tenant))) as conn:
        assert conn.execute(WHO).scalar_one() == tenant.database


def until(condition: Callable[[], bool], seconds: float = PATIENT / 2) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


def raises(error: type[Exception], call: Callable[[], object]) -> bool:
    try:
        call()
    except error:
        return True
    return False


def set_state(platform: Platform, tenant: Tenant, state: TenantState) -> None:
    with platform.control.begin() as conn:
        tenants.set_state(conn, tenant.id, state)


def test_a_suspension_counts_in_every_process_and_ends_its_idle_connections(
    platform: Platform, tenant: Tenant, opener: Opener
) -> None:
    registries = [opener(), opener()]
    for registry in registries:
        warm(registry, tenant)
    set_state(platform, tenant, TenantState.SUSPENDED)
    for registry in registries:
        until(lambda registry=registry: raises(TenantSuspendedError, lambda: registry.resolve(host(tenant))))
        with pytest.raises(TenantSuspendedError), registry.connect(tenant):
            pass
        until(lambda registry=registry: registry.stats()["embedded"]["open"] == 0)
    set_state(platform, tenant, TenantState.ACTIVE)
    for registry in registries:
        until(lambda registry=registry: not raises(TenantSuspendedError, lambda: registry.resolve(host(tenant))))
        warm(registry, tenant)


def test_an_announcement_alone_is_enough(
    platform: Platform, tenant: Tenant, opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "changed_tenants", lambda _: [])
    registry = opener()
    warm(registry, tenant)
    set_state(platform, tenant, TenantState.SUSPENDED)
    until(lambda: raises(TenantSuspendedError, lambda: registry.resolve(host(tenant))))


def test_a_missed_announcement_is_found_by_looking(
    platform: Platform, tenant: Tenant, opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "CHANNELS", ())
    registry = opener()
    warm(registry, tenant)
    set_state(platform, tenant, TenantState.SUSPENDED)
    until(lambda: raises(TenantSuspendedError, lambda: registry.resolve(host(tenant))))


def test_a_new_address_counts_at_once_and_the_old_one_does_not_any_more(
    platform: Platform, tenant: Tenant, opener: Opener
) -> None:
    registry = opener()
    warm(registry, tenant)
    slug = f"r-{new_id()}"
    with pytest.raises(UnknownHostError):
        registry.resolve(f"{slug}.localhost")
    with platform.control.begin() as conn:
        conn.execute(
            text("UPDATE tenant SET slug = :s, generation = generation + 1, changed_at = now() WHERE id = :i"),
            {"s": slug, "i": tenant.id},
        )
    until(lambda: raises(UnknownHostError, lambda: registry.resolve(host(tenant))))
    until(lambda: not raises(UnknownHostError, lambda: registry.resolve(f"{slug}.localhost")))
    with registry.connect(tenant) as conn:  # a request that began under the old name
        assert conn.execute(WHO).scalar_one() == tenant.database


def test_a_workspace_that_did_not_exist_answers_as_soon_as_it_does(
    opener: Opener, tenant_factory: Callable[[str], Tenant]
) -> None:
    registry = opener()
    slug = f"n-{new_id()}"
    with pytest.raises(UnknownHostError):
        registry.resolve(f"{slug}.localhost")
    made = tenant_factory(slug)
    until(lambda: not raises((UnknownHostError, UnavailableError), lambda: registry.resolve(host(made))))  # pyright: ignore[reportArgumentType]  # a tuple is what `except` takes, too
    warm(registry, made)


def test_out_of_touch_a_record_counts_no_longer_than_the_settings_say(
    platform: Platform, tenant: Tenant, opener: Opener
) -> None:
    registry = opener(tenant_cache_seconds=0.3)
    registry._keeper.stop()  # pyright: ignore[reportPrivateUsage]  # as if its host were cut off
    registry.resolve(host(tenant))
    set_state(platform, tenant, TenantState.SUSPENDED)
    time.sleep(0.35)
    with pytest.raises(TenantSuspendedError):
        registry.resolve(host(tenant))


def test_a_keeper_that_lost_its_connection_is_soon_in_touch_again(
    platform: Platform, tenant: Tenant, opener: Opener
) -> None:
    registry = opener(tenant_cache_seconds=1.0)
    warm(registry, tenant)
    process = registry._keeper.process_id  # pyright: ignore[reportPrivateUsage]  # which row of the table is ours
    with control(platform) as conn:
        ended = conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'strongroom keeper'"
        ).fetchall()
        assert (True,) in ended
        conn.execute("DELETE FROM process WHERE id = %s", (process,))
        until(lambda: lease_of(conn, process) is not None)
    until(lambda: registry._trust.holds(time.monotonic() - 2, 0.0))  # pyright: ignore[reportPrivateUsage]
    warm(registry, tenant)


def test_an_unforeseen_error_does_not_end_the_keeper(
    platform: Platform, tenant: Tenant, opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = threading.Event()
    original = queries.changed_tenants

    def fail_once(conn: Any) -> Any:
        if not failed.is_set():
            failed.set()
            raise RuntimeError("nobody thought of this")
        return original(conn)

    registry = opener()
    monkeypatch.setattr(queries, "changed_tenants", fail_once)
    warm(registry, tenant)
    assert failed.wait(PATIENT)
    set_state(platform, tenant, TenantState.SUSPENDED)
    until(lambda: raises(TenantSuspendedError, lambda: registry.resolve(host(tenant))))


def test_after_the_control_database_was_away_no_process_grows_until_all_have_claimed_theirs_again(
    platform: Platform, tenant: Tenant, opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "_SETTLING_SECONDS", 3600.0)
    registry = opener(checkout_timeout=0.5)
    parameters = registry._keeper._parameters() | {"application_name": f"keeper {tenant.id}"}  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(registry._keeper, "_parameters", lambda: parameters)  # pyright: ignore[reportPrivateUsage]
    warm(registry, tenant)
    process = registry._keeper.process_id  # pyright: ignore[reportPrivateUsage]  # which row of the table is ours
    with control(platform) as conn:  # the keepers of others, for an hour, would let nothing grow either
        conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s",
            (f"keeper {tenant.id}",),
        )
        conn.execute("DELETE FROM connection_lease WHERE process_id = %s", (process,))
        until(lambda: lease_of(conn, process) is not None)
        before = registry._accesses["embedded"].budget.size  # pyright: ignore[reportPrivateUsage]
        assert before < 20
        with ExitStack() as stack:
            for _ in range(registry._settings.connections_per_tenant):  # pyright: ignore[reportPrivateUsage]
                with suppress(UnavailableError):
                    stack.enter_context(registry.connect(tenant))
            wanted = conn.execute("SELECT wanted FROM connection_lease WHERE process_id = %s", (process,)).fetchone()
        assert wanted == (max(FLOOR, before),)


def test_a_record_that_was_read_while_it_changed_is_not_believed(
    platform: Platform, tenant: Tenant, opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = opener()
    warm(registry, tenant)
    registry.forget(tenant)
    has_read, goes_on = threading.Event(), threading.Event()
    original = tenants.by_slug

    def slow(conn: Any, slug: str) -> Tenant:
        found = original(conn, slug)
        has_read.set()
        goes_on.wait(PATIENT)
        return found

    monkeypatch.setattr(tenants, "by_slug", slow)
    reader = threading.Thread(target=lambda: registry.resolve(host(tenant)))
    reader.start()
    has_read.wait(PATIENT)
    set_state(platform, tenant, TenantState.SUSPENDED)
    heard = lambda: registry._directory.heard(tenant) > tenant.generation  # noqa: E731  # pyright: ignore[reportPrivateUsage]
    until(heard)
    goes_on.set()
    reader.join()
    with pytest.raises(TenantSuspendedError), registry.connect(tenant):
        pass
    until(lambda: raises(TenantSuspendedError, lambda: registry.resolve(host(tenant))))


def test_closing_gives_up_the_lease(platform: Platform, tenant: Tenant, opener: Opener) -> None:
    registry = opener()
    warm(registry, tenant)
    process = registry._keeper.process_id  # pyright: ignore[reportPrivateUsage]  # which row of the table is ours
    with control(platform) as conn:
        assert lease_of(conn, process) is not None
        registry.close()
        assert lease_of(conn, process) is None
        assert conn.execute("SELECT count(*) FROM process WHERE id = %s", (process,)).fetchone() == (0,)


def test_the_lease_carries_the_counters_for_all_to_read(platform: Platform, tenant: Tenant, opener: Opener) -> None:
    registry = opener()
    warm(registry, tenant)
    process = registry._keeper.process_id  # pyright: ignore[reportPrivateUsage]  # which row of the table is ours
    with control(platform) as conn:
        used = [{"tenant": tenant.id, "uses": 1, "open": 1}]
        until(lambda: (lease_of(conn, process) or {}).get("busiest") == used)
        counters = lease_of(conn, process) or {}
    assert counters["breaker"] == "closed"
    assert counters.keys() == registry.stats()["embedded"].keys()


def test_the_limit_of_a_server_that_has_none_is_asked_once(platform: Platform, tenant: Tenant, opener: Opener) -> None:
    with control(platform) as conn:
        before = conn.execute("SELECT connection_limit FROM server WHERE name = 'embedded'").fetchone()
        conn.execute("UPDATE server SET connection_limit = NULL WHERE name = 'embedded'")
        try:
            registry = opener()
            warm(registry, tenant)
            registry.forget(tenant)
            until(
                lambda: (
                    limit(conn) is not None
                    or raises(UnavailableError, lambda: (registry.forget(tenant), warm(registry, tenant)))
                )
            )
            most = conn.execute("SELECT current_setting('max_connections')::int").fetchone()
            assert most
            assert 0 < (limit(conn) or 0) < most[0]
        finally:
            conn.execute("UPDATE server SET connection_limit = %s WHERE name = 'embedded'", before)


def limit(conn: psycopg.Connection[Any]) -> int | None:
    row = conn.execute("SELECT connection_limit FROM server WHERE name = 'embedded'").fetchone()
    return row[0] if row else None


def control(platform: Platform) -> psycopg.Connection[Any]:
    return psycopg.connect(**control_params(platform.settings, platform.keys), autocommit=True)


def lease_of(conn: psycopg.Connection[Any], process: str) -> dict[str, Any] | None:
    row = conn.execute("SELECT counters FROM connection_lease WHERE process_id = %s", (process,)).fetchone()
    return row[0] if row else None
