"""Several processes on one server: together they never hold more connections than it gives, whatever they want."""

import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from strongroom.config.errors import UnavailableError
from strongroom.platform.control.engine import control_params
from strongroom.platform.control.platform import Platform
from strongroom.platform.registry.connection import ServerFullError, TenantConnection, TenantFullError
from strongroom.platform.registry.registry import Registry
from strongroom.platform.tenants.records import Tenant
from strongroom.provisioning.placements import CONNECTION_LIMIT
from strongroom.provisioning.postgres.embedded import EmbeddedServer

LIMIT = 12
SESSIONS = r"SELECT count(*) FROM pg_stat_activity WHERE usename LIKE 't\_%' AND backend_type = 'client backend'"
PUSHES = """
import random, sys, threading, time
from pathlib import Path
from strongroom.config.errors import UnavailableError
from strongroom.config.settings import load_settings
from strongroom.platform.control.platform import open_platform

done = threading.Event()

def push(platform, hosts, seed):
    pick = random.Random(seed)
    while not done.is_set():
        try:
            with platform.registry.borrow(platform.registry.resolve(pick.choice(hosts))) as conn:
                conn.execute("SELECT 1")
                time.sleep(0.02)
            print("served", flush=True)
        except UnavailableError:
            pass

with open_platform(load_settings(Path(sys.argv[1])), "web") as platform:
    threads = [threading.Thread(target=push, args=(platform, sys.argv[2:], n)) for n in range(6)]
    for thread in threads:
        thread.start()
    print(platform.registry._keeper.process_id, flush=True)
    sys.stdin.read()
    done.set()
    for thread in threads:
        thread.join()
"""


@pytest.fixture(scope="module")
def some(tenant_factory: Callable[[], Tenant]) -> list[Tenant]:
    return [tenant_factory() for _ in range(5)]


@pytest.fixture
def control(platform: Platform) -> Generator[psycopg.Connection[Any]]:
    with psycopg.connect(**control_params(platform.settings, platform.keys), autocommit=True) as conn:
        yield conn


@pytest.fixture
def limited(control: psycopg.Connection[Any]) -> Generator[None]:
    """The shared server gives tenants `LIMIT` connections, and no more are open."""
    (before,) = control.execute("SELECT connection_limit FROM server WHERE name = 'embedded'").fetchone() or (None,)
    control.execute("UPDATE server SET connection_limit = %s WHERE name = 'embedded'", (LIMIT,))
    yield
    control.execute("UPDATE server SET connection_limit = %s WHERE name = 'embedded'", (before,))


@pytest.fixture
def processes() -> Generator[list["subprocess.Popen[str]"]]:
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def opened(platform: Platform, **changes: Any) -> Registry:
    return Registry(dataclasses.replace(platform.settings, **changes), platform.keys, platform.control)


@pytest.mark.usefixtures("limited")
def test_processes_that_all_push_never_hold_more_than_the_server_gives(
    platform: Platform,
    embedded_server: EmbeddedServer,
    some: list[Tenant],
    control: psycopg.Connection[Any],
    processes: list["subprocess.Popen[str]"],
) -> None:
    arguments = [sys.executable, "-c", PUSHES, str(platform.settings.home), *(f"{t.slug}.localhost" for t in some)]
    with embedded_server.connect_admin() as admin:
        until(lambda: count(admin) <= LIMIT)
        served = [0, 0, 0]
        names: list[str] = []
        for n in range(3):
            processes.append(
                subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ)
            )
            threading.Thread(target=follow, args=(processes[n], n, served, names), daemon=True).start()
        most = 0
        while min(served) < 40:
            most = max(most, count(admin))
            assert all(process.poll() is None for process in processes)
        assert LIMIT / 2 < most <= LIMIT
        assert held(control) <= LIMIT
        survivors = set(names)
        processes[0].send_signal(signal.SIGKILL)
        processes[0].wait()
        until(lambda: len(living(control) & survivors) == 2)  # its lease was not renewed
        more = [number + 40 for number in served[1:]]
        while any(now < wanted for now, wanted in zip(served[1:], more, strict=True)):
            assert count(admin) <= LIMIT


@pytest.mark.usefixtures("limited")
def test_a_process_that_starts_works_at_once_and_gets_its_share_from_one_that_has_all(
    platform: Platform, some: list[Tenant]
) -> None:
    greedy, late = opened(platform, checkout_timeout=20.0), opened(platform, checkout_timeout=20.0)
    try:
        use_at_once(greedy, some[:2], each=3)
        use_at_once(late, some[:1], each=1)
        use_at_once(late, some[:1], each=3)
        assert greedy.stats()["embedded"]["open"] + late.stats()["embedded"]["open"] <= LIMIT
    finally:
        greedy.close()
        late.close()


def test_a_server_without_room_is_asked_again_until_the_time_is_over(
    platform: Platform, some: list[Tenant], monkeypatch: pytest.MonkeyPatch
) -> None:
    has_room, refused, got = threading.Event(), list[int](), list[int]()
    original = TenantConnection.open

    def opening(*args: Any, **keywords: Any) -> TenantConnection:
        if has_room.is_set():
            return original(*args, **keywords)
        refused.append(1)
        raise ServerFullError

    monkeypatch.setattr(TenantConnection, "open", opening)  # filling the server would disturb the other tests on it
    patient, hasty = (opened(platform, checkout_timeout=seconds) for seconds in (30.0, 0.2))
    try:
        with pytest.raises(UnavailableError) as caught, hasty.borrow(some[0]):
            pass
        assert caught.value.retry_after >= 1
        assert hasty.stats()["embedded"]["breaker"] == "closed"
        seen = len(refused)
        waiting = threading.Thread(target=lambda: use_at_once(patient, [some[0]], each=1, done=got))
        waiting.start()
        until(lambda: len(refused) > seen + 1)
        has_room.set()
        waiting.join()
        assert got == [1]
    finally:
        for registry in (patient, hasty):
            registry.close()


def test_a_tenant_at_the_limit_of_its_own_login_is_refused_at_once_and_others_connect(
    platform: Platform, embedded_server: EmbeddedServer, some: list[Tenant]
) -> None:
    full, other = some[:2]
    platform.registry.forget(full)
    holder, late = opened(platform), opened(platform, checkout_timeout=3600.0)
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE usename = %s"
    with embedded_server.connect_admin() as admin:
        until(lambda: admin.execute(sessions, (full.role,)).fetchone() == (0,))
        admin.execute(f"ALTER ROLE {full.role} CONNECTION LIMIT 1")
        try:
            with holder.borrow(full):
                for _ in range(3):
                    with pytest.raises(TenantFullError), late.borrow(full):
                        pass
                with late.borrow(other) as conn:
                    assert conn.execute("SELECT current_user").fetchone() == (other.role,)
        finally:
            admin.execute(f"ALTER ROLE {full.role} CONNECTION LIMIT {CONNECTION_LIMIT}")
            for registry in (holder, late):
                registry.close()


def use_at_once(registry: Registry, tenants: list[Tenant], each: int, done: list[int] | None = None) -> None:
    """Hold `each` connections of every tenant at the same time."""
    with ExitStack() as stack:
        for tenant in tenants:
            for _ in range(each):
                conn = stack.enter_context(registry.connect(registry.resolve(f"{tenant.slug}.localhost")))
                assert conn.execute(text("SELECT current_database()")).scalar_one() == tenant.database
    if done is not None:
        done.append(1)


def follow(process: "subprocess.Popen[str]", number: int, served: list[int], names: list[str]) -> None:
    assert process.stdout
    for line in process.stdout:
        if line == "served\n":
            served[number] += 1
        else:
            names.append(line.strip())


def count(admin: psycopg.Connection[Any]) -> int:
    row = admin.execute(SESSIONS).fetchone()
    assert row
    return row[0]


def held(control: psycopg.Connection[Any]) -> int:
    row = control.execute("SELECT sum(connections) FROM connection_lease WHERE server_name = 'embedded'").fetchone()
    assert row
    return row[0]


def living(control: psycopg.Connection[Any]) -> set[str]:
    return {row[0] for row in control.execute("SELECT process_id FROM connection_lease").fetchall()}
