"""A tenant's own login against everything that is not its own."""

from collections.abc import Generator
from typing import Any

import psycopg
import pytest

from strongroom.platform.tenants.records import Tenant
from strongroom.provisioning.isolation.attempt import WATCHED
from strongroom.provisioning.isolation.live import PLATFORM_DATABASES, attack
from strongroom.provisioning.names import Names

OnServer = Any  # of conftest.py, which no test can import
PLATFORM_LOGINS = ["strongroom_control", "strongroom_provisioner", "strongroom_migrator", "strongroom_backup"]

# What stops which attack, where the server's rules are ours.
EXPECTED = {
    "connect": {"pg_hba", "privileges"},  # replication is refused before the rules are asked
    "grants": {"no effect", "privileges"},
    "large objects": {"privileges"},
    "leaks": {"privileges"},
    "locks": {"databases are apart"},
    "logins": {"pg_hba", "credentials"},
    "messages": {"databases are apart"},
    "names": {"opaque names"},
    "objects": {"privileges", "not installed", "not supported"},
    "other sessions": {"privileges"},
    "roles": {"privileges", "no effect"},
    "server": {"privileges"},
}


@pytest.fixture(scope="module")
def two(on_server: OnServer) -> tuple[Tenant, Tenant]:
    return on_server.make_tenant(), on_server.make_tenant()


def login(on_server: OnServer, tenant: Tenant, database: str, **changes: Any) -> psycopg.Connection[Any]:
    return on_server.log_in(on_server.login_of(tenant), database, **changes)


@pytest.fixture
def inside(on_server: OnServer, two: tuple[Tenant, Tenant]) -> Generator[psycopg.Connection[Any]]:
    with login(on_server, two[0], two[0].database) as session:
        yield session


@pytest.mark.parametrize("database", PLATFORM_DATABASES)
def test_it_cannot_enter_the_platforms_databases(
    on_server: OnServer, two: tuple[Tenant, Tenant], database: str
) -> None:
    with pytest.raises(psycopg.OperationalError):
        login(on_server, two[0], database)


def test_it_cannot_enter_another_tenants_database(on_server: OnServer, two: tuple[Tenant, Tenant]) -> None:
    with pytest.raises(psycopg.OperationalError):
        login(on_server, two[0], two[1].database)


@pytest.mark.parametrize("role", PLATFORM_LOGINS)
def test_its_keys_are_no_other_roles_keys(on_server: OnServer, two: tuple[Tenant, Tenant], role: str) -> None:
    for user in (role, two[1].role, two[0].owner_role):
        with pytest.raises(psycopg.OperationalError):
            login(on_server, two[0], two[0].database, user=user)


def test_every_attack_is_refused_for_the_reason_that_should_refuse_it(
    on_server: OnServer, two: tuple[Tenant, Tenant]
) -> None:
    me, other = Names(two[0].placement_id or ""), Names(two[1].placement_id or "")
    attempts = list(attack(on_server.platform, on_server.server, me, [other]))
    assert len(attempts) > 200
    assert [a for a in attempts if a.layer is None] == []
    by_group: dict[str, set[str | None]] = {}
    for attempt in attempts:
        by_group.setdefault(attempt.group, set()).add(attempt.layer)
    assert by_group.pop("own login") == {WATCHED}
    if not on_server.knows_set_option:  # a member may always become its group there
        by_group["roles"].discard(WATCHED)
    assert by_group == EXPECTED


def test_it_may_do_its_work(inside: psycopg.Connection[Any]) -> None:
    inside.execute("INSERT INTO app.setting VALUES ('attack-test', '1')")
    inside.execute("UPDATE app.setting SET value = '2' WHERE key = 'attack-test'")
    inside.execute("DELETE FROM app.setting WHERE key = 'attack-test'")


def test_it_sees_no_other_tenants_name(inside: psycopg.Connection[Any], two: tuple[Tenant, Tenant]) -> None:
    """Every catalog, view and settings row that it can read, searched for the other's names."""
    secret = [two[1].placement_id or "", two[1].slug, two[1].id]
    relations = inside.execute(
        "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relkind IN ('r', 'v', 'm') AND has_table_privilege(c.oid, 'SELECT')"
    ).fetchall()
    assert len(relations) > 50
    found: list[str] = []
    for (relation,) in relations:
        try:
            with inside.transaction():
                text = str(inside.execute(f"SELECT t::text FROM {relation} t").fetchall())
        except psycopg.Error:
            continue  # a view over what it may not read
        found += [relation for word in secret if word in text]
    assert found == []


def test_messages_and_locks_do_not_cross_databases(
    on_server: OnServer, two: tuple[Tenant, Tenant], inside: psycopg.Connection[Any]
) -> None:
    inside.autocommit = True
    inside.execute("LISTEN crossing")
    inside.execute("SELECT pg_advisory_lock(42)")
    with login(on_server, two[1], two[1].database, autocommit=True) as other:
        other.execute("NOTIFY crossing, 'hello'")
        assert other.execute("SELECT pg_try_advisory_lock(42)").fetchone() == (True,)
    assert list(inside.notifies(timeout=0.2)) == []
