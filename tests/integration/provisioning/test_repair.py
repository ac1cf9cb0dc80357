"""`server check` finds what does not fit together, and `--repair` mends only what provably belongs to nothing."""

from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete, update

from strongroom.config.errors import KeyMissingError
from strongroom.platform.control.platform import Platform
from strongroom.platform.control.tables import placement as placement_table
from strongroom.platform.servers import queries as servers
from strongroom.platform.servers.records import Server
from strongroom.platform.tenants import placements
from strongroom.platform.tenants.ids import new_id
from strongroom.platform.tenants.records import PlacementState, Tenant
from strongroom.provisioning.create import tenant_lock
from strongroom.provisioning.names import Names
from strongroom.provisioning.placements import drop_placement, finish_database, prepare_database
from strongroom.provisioning.postgres.embedded import EmbeddedServer
from strongroom.provisioning.repair import repair
from strongroom.provisioning.server_check import check_server
from strongroom.provisioning.strays import find_strays, foreign_databases
from strongroom.tenant_schema.migrate import newest_revision


@pytest.fixture
def server(platform: Platform, embedded_server: EmbeddedServer) -> Server:
    with platform.control.connect() as conn:
        return servers.by_name(conn, "embedded")


def found(platform: Platform) -> list[str]:
    return [f"{one.where} {one.sentence}" for one in check_server(platform, "embedded").findings]


def has(server: EmbeddedServer, name: str) -> bool:
    query = "SELECT FROM pg_database WHERE datname = %(n)s UNION ALL SELECT FROM pg_roles WHERE rolname = %(n)s"
    with server.connect_admin() as admin:
        return bool(admin.execute(query, {"n": name}).fetchall())


def forget(platform: Platform, pid: str) -> None:
    with platform.control.begin() as conn:
        conn.execute(delete(placement_table).where(placement_table.c.id == pid))


@contextmanager
def sabotage(server: EmbeddedServer, *statements: str) -> Generator[None]:
    with server.connect_admin() as admin:
        for statement in statements:
            admin.execute(statement.encode())
    yield


def test_a_database_that_belongs_to_nothing_is_dropped_with_its_roles(
    platform: Platform, embedded_server: EmbeddedServer, server: Server
) -> None:
    orphan = prepare_database(platform, "embedded")
    forget(platform, orphan.id)
    platform.keys.destroy_placement(orphan.id)
    assert f"{orphan.database} belongs to no placement that the control plane knows" in found(platform)
    assert repair(platform, server).failed == []
    assert not has(embedded_server, orphan.database)
    assert not has(embedded_server, orphan.owner_role)
    assert found(platform) == []


def test_a_database_with_a_key_is_kept_because_the_control_plane_may_be_the_older_one(
    platform: Platform, embedded_server: EmbeddedServer, server: Server
) -> None:
    orphan = prepare_database(platform, "embedded")
    forget(platform, orphan.id)
    repair(platform, server)
    assert has(embedded_server, orphan.database)
    assert any(orphan.database in sentence for sentence in found(platform))
    platform.keys.destroy_placement(orphan.id)
    repair(platform, server)
    assert found(platform) == []


def test_roles_and_keys_that_are_left_go(platform: Platform, embedded_server: EmbeddedServer, server: Server) -> None:
    dropped = prepare_database(platform, "embedded")
    drop_placement(platform, dropped.id)
    platform.keys.create_placement(dropped.id)
    pid = new_id()
    platform.keys.create_placement(pid)
    with sabotage(embedded_server, f"CREATE ROLE {Names(dropped.id).owner}", f"CREATE ROLE t_{'a' * 16} LOGIN"):
        assert len(found(platform)) >= 4
    assert repair(platform, server).failed == []
    assert found(platform) == []
    for lost in (dropped.id, pid):
        with pytest.raises(KeyMissingError):
            platform.keys.placement(lost)


def test_a_stranger_is_reported_and_never_touched(
    platform: Platform, embedded_server: EmbeddedServer, server: Server
) -> None:
    with sabotage(embedded_server, "CREATE DATABASE books", "CREATE DATABASE t_stolen"):
        assert foreign_databases(platform, server) == ["books", "t_stolen"]
    repair(platform, server)
    assert has(embedded_server, "books")
    assert has(embedded_server, "t_stolen")
    with sabotage(embedded_server, "DROP DATABASE books", "DROP DATABASE t_stolen"):
        assert found(platform) == []


def test_what_was_never_finished_goes_when_nobody_works_on_it_any_more(platform: Platform, server: Server) -> None:
    fresh, old = prepare_database(platform, "embedded"), prepare_database(platform, "embedded")
    with platform.control.begin() as conn:
        long_ago = datetime.now(UTC) - timedelta(minutes=11)
        conn.execute(update(placement_table).where(placement_table.c.id == old.id).values(created_at=long_ago))
    strays = {stray.subject for stray in find_strays(platform, server)}
    assert old.id in strays
    assert fresh.id not in strays
    assert repair(platform, server).failed == []
    with platform.control.connect() as conn:
        assert placements.by_id(conn, old.id).state is PlacementState.DROPPED
        assert placements.by_id(conn, fresh.id).state is PlacementState.BUILDING
    drop_placement(platform, fresh.id)


def test_a_record_without_a_database_goes_but_never_the_one_a_workspace_lives_in(
    platform: Platform, embedded_server: EmbeddedServer, server: Server, tenant: Tenant
) -> None:
    spare = prepare_database(platform, "embedded")
    finish_database(platform, spare.id, newest_revision())
    out = f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{tenant.database}'"
    lost = out, f"DROP DATABASE {spare.database}", f"ALTER DATABASE {tenant.database} RENAME TO hidden"
    with sabotage(embedded_server, *lost):
        assert {f"{spare.database} has no database", f"{tenant.database} has no database"} <= set(found(platform))
        repair(platform, server)
    left = found(platform)
    assert f"{tenant.database} has no database" in left
    assert not any(spare.database in sentence for sentence in left)
    with sabotage(embedded_server, f"ALTER DATABASE hidden RENAME TO {tenant.database}"):
        assert found(platform) == []


def test_access_lists_are_closed_and_roles_made_again(
    platform: Platform, embedded_server: EmbeddedServer, server: Server, tenant: Tenant
) -> None:
    opened = [
        f"GRANT CONNECT, TEMP ON DATABASE {tenant.database} TO PUBLIC, strongroom_control",
        f"ALTER DATABASE {tenant.database} IS_TEMPLATE true",
        f"ALTER ROLE {tenant.role} CONNECTION LIMIT -1",
        f"ALTER DATABASE {tenant.database} SET search_path = app",
    ]
    with sabotage(embedded_server, *opened):
        assert len(found(platform)) >= 5
    assert repair(platform, server).failed == []
    assert found(platform) == []
    with platform.registry.connect(tenant) as conn:
        assert conn.exec_driver_sql("SELECT count(*) FROM app.member").scalar_one() >= 0


MENDED_BY_A_SUPERUSER = {
    "has CREATEROLE": ("ALTER ROLE {a} CREATEROLE", "ALTER ROLE {a} NOCREATEROLE"),
    "has settings of its own": ("ALTER ROLE {a} SET search_path = app", "ALTER ROLE {a} RESET ALL"),
    "has settings of its own in {a}": (
        "ALTER ROLE {a} IN DATABASE {a} SET search_path = app",
        "ALTER ROLE {a} IN DATABASE {a} RESET ALL",
    ),
    "is a member of pg_monitor": ("GRANT pg_monitor TO {a}", "REVOKE pg_monitor FROM {a}"),
}


@pytest.mark.parametrize("left", MENDED_BY_A_SUPERUSER)
def test_what_only_a_superuser_can_mend_is_not_called_mended(
    platform: Platform, embedded_server: EmbeddedServer, server: Server, tenant: Tenant, left: str
) -> None:
    breaking, mending = (statement.format(a=tenant.role) for statement in MENDED_BY_A_SUPERUSER[left])
    with sabotage(embedded_server, breaking):
        made = repair(platform, server)
    with sabotage(embedded_server, mending):
        (failed,) = (sentence for sentence in made.failed if tenant.database in sentence)
    assert f"{tenant.role} {left.format(a=tenant.role)}, which is not mended" in failed
    assert not any(tenant.database in sentence for sentence in [*made.done, *found(platform)])


def test_what_another_worker_is_busy_with_is_left_alone(platform: Platform, tenant: Tenant, server: Server) -> None:
    """A long restore or move: its new database is unfinished, and it holds the workspace's lock."""
    filling = prepare_database(platform, "embedded", tenant.id)
    with platform.control.begin() as conn:
        old = datetime.now(UTC) - timedelta(hours=1)
        conn.execute(update(placement_table).where(placement_table.c.id == filling.id).values(created_at=old))
    with tenant_lock(platform, tenant.id):
        refused = repair(platform, server).failed
    assert [sentence for sentence in refused if filling.database in sentence and "another worker" in sentence]
    assert state_of(platform, filling.id) is PlacementState.BUILDING
    repair(platform, server)
    assert state_of(platform, filling.id) is PlacementState.DROPPED


def state_of(platform: Platform, pid: str) -> PlacementState:
    with platform.control.connect() as conn:
        return placements.by_id(conn, pid).state
