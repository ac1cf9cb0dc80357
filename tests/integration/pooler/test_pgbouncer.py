"""Against the real PgBouncer, run by the command that an operator runs."""

import dataclasses
import random
import stat
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from strongroom.config.errors import TenantSuspendedError, UnavailableError
from strongroom.platform.registry.registry import Registry
from strongroom.platform.servers import queries as servers
from strongroom.platform.tenants.records import Tenant
from strongroom.provisioning.isolation.pooled import pooled_attempts
from strongroom.provisioning.lifecycle import resume, suspend
from strongroom.provisioning.names import Names
from strongroom.provisioning.pooler.certificate import new_certificate
from strongroom.provisioning.rotate import rotate_login

MARKER = text("SELECT current_database(), session_user, (SELECT value #>> '{}' FROM app.setting WHERE key = 'marker')")
LIMIT, PROCESSES, THREADS, ROUNDS = 10, 3, 3, 40
SETTINGS = "SELECT name, setting FROM pg_settings WHERE name = ANY(%s) ORDER BY name"
SET_BY_US = ["TimeZone", "idle_in_transaction_session_timeout", "search_path", "statement_timeout"]


def marker_of(registry: Registry, tenant: Tenant) -> tuple[Any, ...]:
    with registry.connect(tenant) as conn:
        return tuple(conn.execute(MARKER).one())


def own_marker(tenant: Tenant) -> tuple[str, str, str]:
    return tenant.database, tenant.role, tenant.id


def serves(registry: Registry, tenant: Tenant) -> Callable[[], bool]:
    return lambda: marker_of(registry, tenant) == own_marker(tenant)


def test_processes_that_share_it_stay_under_the_servers_limit_and_see_only_their_tenant(
    bouncer: Any, tenants: list[Tenant]
) -> None:
    platform, wrong, answers, most = bouncer.platform, [], [], [0]
    processes = [Registry(platform.settings, platform.keys, platform.control) for _ in range(PROCESSES)]
    done = threading.Event()

    def use(registry: Registry, seed: int) -> None:
        pick = random.Random(seed)
        for _ in range(ROUNDS):
            tenant = pick.choice(tenants)
            try:
                found = marker_of(registry, tenant)
            except (SQLAlchemyError, psycopg.Error, UnavailableError):
                continue
            answers.append(found)
            if found != own_marker(tenant):
                wrong.append((tenant.id, found))

    def count() -> None:
        while not done.wait(0.005):
            most[0] = max(most[0], bouncer.sessions(*tenants))

    watcher = threading.Thread(target=count)
    users = [
        threading.Thread(target=use, args=(registry, seed * 100 + number))
        for number, registry in enumerate(processes)
        for seed in range(THREADS)
    ]
    for thread in (watcher, *users):
        thread.start()
    for thread in users:
        thread.join()
    done.set()
    watcher.join()
    for registry in processes:
        registry.close()
    assert not wrong
    assert len(answers) > ROUNDS * PROCESSES * THREADS // 2
    # A session that was just ended needs a moment to be gone; the server's reserve is larger than that.
    assert 1 < most[0] <= LIMIT + 8


def test_more_clients_than_the_server_has_connections_are_refused(bouncer: Any, tenants: list[Tenant]) -> None:
    held: list[psycopg.Connection[Any]] = []
    with pytest.raises(psycopg.OperationalError, match="no more connections allowed"):
        held.extend(bouncer.connect(tenant) for tenant in tenants)
    assert 1 <= len(held) <= LIMIT  # the tests' own platform may hold some
    for conn in held:
        assert conn.execute("SELECT 1").fetchone() == (1,)
        conn.close()


@pytest.mark.parametrize("database", ["other", "postgres", "template1", "strongroom_control", "pgbouncer"])
def test_a_login_reaches_no_database_but_its_own(bouncer: Any, tenants: list[Tenant], database: str) -> None:
    wanted = tenants[1].database if database == "other" else database
    with pytest.raises(psycopg.OperationalError, match=r"login rejected|not allowed"):
        bouncer.connect(tenants[0], dbname=wanted)


def test_a_wrong_key_or_an_unknown_login_is_refused(bouncer: Any, tenants: list[Tenant]) -> None:
    keys = bouncer.platform.keys.placement(tenants[1].placement_id)
    for wrong in ({"scram_client_key": keys.scram_client_key}, {"user": "t_nobody", "dbname": "t_nobody"}):
        with pytest.raises(psycopg.OperationalError, match="authentication failed"):
            bouncer.connect(tenants[0], **wrong)


def test_its_files_are_its_own_and_let_nobody_in(bouncer: Any, tenants: list[Tenant]) -> None:
    files = list(bouncer.folder.iterdir())
    assert {file.name for file in files} == {
        "pgbouncer.ini",
        "rules.conf",
        "logins.txt",
        "pooler.key",
        "pooler.crt",
    }
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    everything = "".join(file.read_text() for file in files)
    for tenant in tenants:
        credential = bouncer.platform.keys.placement(tenant.placement_id)
        assert credential.verifier in everything
        assert credential.scram_client_key not in everything


@pytest.mark.parametrize("weaker", [{"sslmode": "disable"}, {"ssl_max_protocol_version": "TLSv1.2"}])
def test_it_is_reached_over_tls_13_only(bouncer: Any, tenants: list[Tenant], weaker: dict[str, str]) -> None:
    with pytest.raises(psycopg.OperationalError):
        bouncer.connect(tenants[0], ssl_min_protocol_version="", **weaker)


def test_somebody_else_in_its_place_is_not_believed(bouncer: Any, tenants: list[Tenant], tmp_path: Any) -> None:
    other = tmp_path / "other.crt"
    other.write_text(new_certificate("127.0.0.1")[1])
    with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
        bouncer.connect(tenants[0], sslrootcert=str(other))


def test_what_we_set_in_a_session_holds_behind_it(bouncer: Any, registry: Registry, tenants: list[Tenant]) -> None:
    with registry.borrow(tenants[0]) as conn:
        found = dict(conn.execute(SETTINGS, (SET_BY_US,)).fetchall())
    assert found == {
        "TimeZone": "UTC",
        "search_path": "pg_catalog",
        "statement_timeout": "60000",
        "idle_in_transaction_session_timeout": "60000",
    }


@pytest.mark.parametrize("leftover", ["SET search_path = app", "SET TimeZone = 'Asia/Tokyo'", "RESET ALL"])
def test_a_session_that_a_request_has_changed_is_not_used_again(
    bouncer: Any, registry: Registry, tenants: list[Tenant], leftover: str
) -> None:
    with registry.borrow(tenants[0]) as conn:
        before = conn.execute("SELECT pg_backend_pid()").fetchone()
        conn.execute(leftover)
    with registry.borrow(tenants[0]) as conn:
        assert conn.execute("SELECT pg_backend_pid()").fetchone() != before
        assert conn.execute("SHOW search_path").fetchone() == ("pg_catalog",)


def test_each_client_has_a_session_of_its_own(bouncer: Any, tenants: list[Tenant]) -> None:
    seen = set[Any]()
    for _ in range(3):
        with bouncer.connect(tenants[0]) as conn:
            seen.add(conn.execute("SELECT pg_backend_pid()").fetchone())
    assert len(seen) == 3


def test_suspending_a_workspace_ends_its_sessions(
    bouncer: Any, registry: Registry, tenants: list[Tenant], eventually: Any
) -> None:
    tenant = tenants[2]
    assert marker_of(registry, tenant) == own_marker(tenant)
    suspend(bouncer.platform, tenant)
    assert eventually(lambda: bouncer.sessions(tenant) == 0)
    with pytest.raises((TenantSuspendedError, UnavailableError)):
        eventually_refused(registry, tenant)
    resume(bouncer.platform, tenant)
    eventually(serves(registry, bouncer.platform.registry.tenant_by_id(tenant.id)))


def eventually_refused(registry: Registry, tenant: Tenant) -> None:
    registry.forget(tenant)
    marker_of(registry, registry.tenant_by_id(tenant.id))


def test_workspaces_come_back_by_themselves_after_a_restart_of_either(
    bouncer: Any, registry: Registry, tenants: list[Tenant], eventually: Any
) -> None:
    assert serves(registry, tenants[3])()
    bouncer.stop()
    with pytest.raises((UnavailableError, SQLAlchemyError)):
        marker_of(registry, tenants[3])
    bouncer.start()
    eventually(serves(registry, tenants[3]))
    bouncer.server.stop()
    bouncer.server.start()
    eventually(serves(registry, tenants[3]))


def test_a_workspace_is_made_while_it_is_down_and_served_once_it_is_up(
    bouncer: Any, registry: Registry, new_tenant: Any, eventually: Any
) -> None:
    bouncer.stop()
    try:
        late = new_tenant("pooled-late")
    finally:
        bouncer.start()
    assert eventually(lambda: marker_of(registry, late)) == (late.database, late.role, None)


def test_a_login_that_is_no_longer_used_is_forgotten(bouncer: Any, new_tenant: Any, eventually: Any) -> None:
    gone = new_tenant("pooled-gone")
    eventually(lambda: bouncer.connect(gone).close() is None)
    with bouncer.platform.control.begin() as conn:
        conn.execute(text("UPDATE placement SET state = 'dropping' WHERE id = :id"), {"id": gone.placement_id})
    eventually(lambda: gone.database not in (bouncer.folder / "logins.txt").read_text())
    assert eventually(lambda: is_refused(bouncer, gone))


def test_a_new_login_reaches_it_and_the_old_one_is_refused(
    bouncer: Any, tenants: list[Tenant], eventually: Any
) -> None:
    old = bouncer.platform.keys.placement(tenants[4].placement_id).conninfo_params()
    rotate_login(bouncer.platform, tenants[4])
    assert eventually(lambda: bouncer.connect(tenants[4]).close() is None)
    with pytest.raises(psycopg.OperationalError, match="authentication failed"):
        bouncer.connect(tenants[4], **old)


def is_refused(bouncer: Any, tenant: Tenant) -> bool:
    try:
        bouncer.connect(tenant).close()
    except psycopg.OperationalError as error:
        return "authentication failed" in str(error)
    return False


def is_wiped(bouncer: Any, process: Any) -> bool:
    """Whether the server has done what the pooler asked of this session when its client had gone."""
    asked = "SELECT state = 'idle' AND query = 'DISCARD ALL' FROM pg_stat_activity WHERE pid = %s"
    with bouncer.server.connect_admin() as admin:
        return admin.execute(asked, process).fetchone() == (True,)


def test_a_session_that_is_kept_for_the_next_client_carries_nothing_over(
    bouncer: Any,
    bouncer_factory: Callable[[int], AbstractContextManager[Any]],
    tenants: list[Tenant],
    eventually: Any,
) -> None:
    with bouncer_factory(30) as reusing:
        eventually(lambda: reusing.connect(tenants[0]).close() is None)
        with reusing.connect(tenants[0]) as conn:
            before = conn.execute("SELECT pg_backend_pid()").fetchone()
            for statement in (
                "SET search_path = app",
                "SET default_transaction_read_only = on",
                "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE",
                "PREPARE left_behind AS SELECT 1",
                "SELECT pg_advisory_lock(1)",
                "DECLARE left_open CURSOR WITH HOLD FOR SELECT 1",
                "LISTEN left_behind",
                "BEGIN",
            ):
                conn.execute(statement)
        eventually(lambda: is_wiped(reusing, before))
        with reusing.connect(tenants[0]) as conn:
            assert conn.execute("SELECT pg_backend_pid()").fetchone() == before
            after = [
                conn.execute(question).fetchone()
                for question in (
                    "SHOW search_path",
                    "SHOW default_transaction_read_only",
                    "SHOW default_transaction_isolation",
                    "SELECT count(*) FROM pg_prepared_statements",
                    "SELECT count(*) FROM pg_cursors WHERE name = 'left_open'",
                    "SELECT count(*) FROM pg_listening_channels()",
                    "SELECT pg_advisory_unlock(1)",
                )
            ]
        expected = [('"$user", public',), ("off",), ("read committed",), (0,), (0,), (0,), (False,)]
        assert after == expected


def test_the_isolation_check_attacks_through_it_as_well(bouncer: Any, tenants: list[Tenant]) -> None:
    with bouncer.platform.control.connect() as conn:
        server = servers.by_name(conn, tenants[0].server)
    me, *others = (Names(tenant.placement_id or "") for tenant in tenants[:4])
    attempts = list(pooled_attempts(bouncer.platform, server, me, others))
    assert len(attempts) == len(others) * 2 + 6
    assert {attempt.layer for attempt in attempts} == {"pooler's rules", "pooler's console", "credentials"}


def test_the_isolation_check_takes_a_silent_pooler_for_no_proof(bouncer: Any, tenants: list[Tenant]) -> None:
    with bouncer.platform.control.connect() as conn:
        server = dataclasses.replace(servers.by_name(conn, tenants[0].server), pooler_port=1)
    [attempt] = pooled_attempts(bouncer.platform, server, Names(tenants[0].placement_id or ""), [])
    assert attempt.layer is None and attempt.answer


def test_processes_follow_when_a_server_gets_a_pooler_or_loses_it(
    bouncer: Any, registry: Registry, tenants: list[Tenant], eventually: Any
) -> None:
    def port() -> int:
        with registry.borrow(tenants[0]) as conn:
            return conn.info.port

    with bouncer.platform.control.connect() as conn:
        server = servers.by_name(conn, tenants[0].server)
    eventually(lambda: port() == bouncer.port)
    for address in (None, ("127.0.0.1", bouncer.port)):
        with bouncer.platform.control.begin() as conn:
            servers.set_pooler(conn, server.name, address)
        eventually(lambda address=address: port() == (address[1] if address else server.port))
