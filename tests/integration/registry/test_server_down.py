"""A server that is down costs its own tenants a fast refusal, nobody else; it comes back by itself."""

import dataclasses
import os
import signal
import time
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from strongroom.config.errors import UnavailableError
from strongroom.config.settings import load_settings
from strongroom.platform.control.platform import Platform, open_platform
from strongroom.platform.registry.breaker import FAILURES
from strongroom.platform.registry.registry import Registry
from strongroom.platform.tenants.records import Tenant
from strongroom.provisioning.create import provision, request_tenant
from strongroom.provisioning.postgres import postmaster
from strongroom.provisioning.postgres.embedded import EmbeddedServer
from strongroom.provisioning.postgres.setup import set_up

NOBODY_LISTENS = 1


@pytest.fixture
def registry(platform: Platform) -> Generator[Registry]:
    settings = dataclasses.replace(platform.settings, checkout_timeout=5.0)
    opened = Registry(settings, platform.keys, platform.control)
    yield opened
    opened.close()


@pytest.fixture
def elsewhere(platform: Platform, tenant: Tenant) -> Generator[Tenant]:
    """A tenant whose server, as the control plane knows it, does not answer."""
    place = {"port": NOBODY_LISTENS, "placement": tenant.placement_id}
    with platform.control.begin() as conn:
        conn.execute(
            text(
                "INSERT INTO server (name, region_id, kind, host, port, accepts_tenants, connection_limit)"
                " SELECT 'down', region_id, kind, host, :port, false, 20 FROM server WHERE name = 'embedded'"
            ),
            place,
        )
        conn.execute(text("UPDATE placement SET server_name = 'down' WHERE id = :placement"), place)
    yield platform.registry.tenant_by_id(tenant.id)
    with platform.control.begin() as conn:
        conn.execute(text("UPDATE placement SET server_name = 'embedded' WHERE id = :placement"), place)
        conn.execute(text("DELETE FROM server WHERE name = 'down'"))


def answers(registry: Registry, tenant: Tenant) -> bool:
    try:
        with registry.connect(registry.resolve(f"{tenant.slug}.localhost")) as conn:
            return conn.execute(text("SELECT current_database()")).scalar_one() == tenant.database
    except (UnavailableError, SQLAlchemyError):
        return False


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def test_only_the_tenants_of_the_server_that_is_down_are_refused_and_at_once(
    platform: Platform, registry: Registry, elsewhere: Tenant, tenant_factory: Callable[[], Tenant]
) -> None:
    fine = tenant_factory()
    for _ in range(FAILURES):
        assert not answers(registry, elsewhere)
    with pytest.raises(UnavailableError) as caught, registry.connect(elsewhere):
        pass
    assert caught.value.retry_after == 1
    stats = registry.stats()
    assert stats["down"]["breaker"] in {"open", "half-open"}
    assert (stats["down"]["open"], stats["down"]["waiting"], stats["down"]["timeouts"]) == (0, 0, 0)
    assert answers(registry, fine)
    assert registry.stats()["embedded"]["breaker"] == "closed"
    with platform.control.begin() as conn:  # it has come back, at another address, and everybody hears of it
        conn.execute(
            text("UPDATE server SET port = (SELECT port FROM server WHERE name = 'embedded') WHERE name = 'down'")
        )
    until(lambda: answers(registry, elsewhere))
    assert registry.stats()["down"]["breaker"] == "closed"


def test_a_refused_login_is_no_reason_to_think_that_the_server_is_down(
    registry: Registry, tenant: Tenant, embedded_server: EmbeddedServer
) -> None:
    with embedded_server.connect_admin() as admin:
        admin.execute(f"ALTER DATABASE {tenant.database} ALLOW_CONNECTIONS false")
        for _ in range(FAILURES + 1):
            assert not answers(registry, tenant)
        assert registry.stats()["embedded"]["breaker"] == "closed"
        admin.execute(f"ALTER DATABASE {tenant.database} ALLOW_CONNECTIONS true")
    assert answers(registry, tenant)


def test_after_a_crash_of_postgresql_everything_comes_back_by_itself(home: Path) -> None:
    settings = dataclasses.replace(load_settings(home), checkout_timeout=0.5)
    server = EmbeddedServer(settings)
    set_up(settings, server)
    with server.session(), open_platform(settings) as platform:
        with platform.control.begin() as conn:
            pending = request_tenant(
                conn, settings, platform.keys, slug="crash", name="Crash", owner_email="owner@crash.example"
            )
        tenant = provision(platform, pending.id)
        assert answers(platform.registry, tenant)
        pid = postmaster.running_pid(server.root / "data")
        assert pid
        os.kill(pid, signal.SIGKILL)
        until(lambda: not answers(platform.registry, tenant))
        server.start()
        until(lambda: answers(platform.registry, tenant))
        until(lambda: platform.registry.stats()["embedded"]["breaker"] == "closed")
