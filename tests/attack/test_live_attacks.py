"""Each live attack gets through once the control that stops it is gone: the attacks are real."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from strongroom.platform.control.platform import Platform
from strongroom.platform.servers import queries as servers
from strongroom.platform.servers.records import Server
from strongroom.platform.tenants.records import Tenant
from strongroom.provisioning import rotate
from strongroom.provisioning.isolation import live
from strongroom.provisioning.isolation.attempt import Attempt
from strongroom.provisioning.isolation.crossing import crossings
from strongroom.provisioning.isolation.live import attack
from strongroom.provisioning.isolation.verify import verify_isolation
from strongroom.provisioning.names import Names
from strongroom.provisioning.postgres.embedded import EmbeddedServer

# What is opened to the attacker {a} in its own database, how it is closed, and what gets through then.
OPENED = {
    "server files": (
        "GRANT EXECUTE ON FUNCTION pg_read_file(text) TO {a}; GRANT pg_read_server_files TO {a} WITH INHERIT TRUE",
        "REVOKE EXECUTE ON FUNCTION pg_read_file(text) FROM {a}; REVOKE pg_read_server_files FROM {a}",
        {"SELECT pg_read_file('/etc/passwd')", "SET ROLE pg_read_server_files"},
    ),
    "large objects": (
        "GRANT EXECUTE ON FUNCTION lo_create(oid) TO {a}",
        "REVOKE EXECUTE ON FUNCTION lo_create(oid) FROM {a}",
        {"SELECT lo_create(0)"},
    ),
    "activity": (
        "GRANT SELECT ON pg_stat_activity TO {a}; GRANT EXECUTE ON FUNCTION pg_stat_get_activity(int) TO {a}",
        "REVOKE ALL ON pg_stat_activity FROM {a}; REVOKE ALL ON FUNCTION pg_stat_get_activity(int) FROM {a}",
        {"SELECT pg_stat_get_activity(NULL)", "COPY (SELECT * FROM pg_stat_activity) TO STDOUT"},
    ),
    "other sessions": (
        "GRANT {b} TO {a} WITH INHERIT TRUE",
        "REVOKE {b} FROM {a}",
        {"SET ROLE {b}"},
    ),
    "the right to pass rights on": (
        "GRANT SELECT ON app.expense TO {a} WITH GRANT OPTION",
        "REVOKE GRANT OPTION FOR SELECT ON app.expense FROM {a} CASCADE",
        {"GRANT SELECT ON app.expense TO PUBLIC", "GRANT SELECT ON app.expense TO {b}"},
    ),
    "a column of the audit log": (  # nothing but its trigger is left then
        "GRANT UPDATE (detail) ON app.audit_event TO {a}",
        "REVOKE UPDATE (detail) ON app.audit_event FROM {a}",
        {"UPDATE app.audit_event SET detail = detail"},
    ),
    "temporary tables": (
        "GRANT TEMP ON DATABASE {a} TO {a}",
        "REVOKE TEMP ON DATABASE {a} FROM {a}",
        {"CREATE TEMP TABLE attack (x int)", "CREATE TEMP VIEW attack AS SELECT 1", "SELECT 1 AS x INTO TEMP attack"},
    ),
    "roles": (
        "ALTER ROLE {a} CREATEROLE CREATEDB",
        "ALTER ROLE {a} NOCREATEROLE NOCREATEDB",
        {"CREATE ROLE attack LOGIN"},
    ),
}

TEMPORARY = ("GRANT TEMP ON DATABASE", "TO"), ("REVOKE TEMP ON DATABASE", "FROM")


@pytest.fixture(scope="module")
def two(tenant_factory: Any) -> tuple[Tenant, Tenant]:
    return tenant_factory(), tenant_factory()


@contextmanager
def opened(server: EmbeddedServer, database: str, opening: str, closing: str) -> Generator[None]:
    with server.connect_admin(database) as admin:
        admin.execute(opening.encode())
        try:
            yield
        finally:
            admin.execute(closing.encode())


def through(platform: Platform, me: Tenant, other: Tenant) -> list[Attempt]:
    with platform.control.connect() as conn:
        server = servers.by_name(conn, "embedded")
    attempts = attack(platform, server, Names(me.placement_id or ""), [Names(other.placement_id or "")])
    return [attempt for attempt in attempts if attempt.layer is None]


@pytest.mark.parametrize("control", OPENED)
def test_without_its_control_an_attack_gets_through(
    platform: Platform, embedded_server: EmbeddedServer, two: tuple[Tenant, Tenant], control: str
) -> None:
    opening, closing, expected = OPENED[control]
    names = {"a": two[0].role, "b": two[1].role}
    with opened(embedded_server, two[0].database, opening.format(**names), closing.format(**names)):
        found = {attempt.what for attempt in through(platform, *two)}
    assert found >= {statement.format(**names) for statement in expected}
    assert through(platform, *two) == []


def test_with_every_door_open_the_connection_is_made_and_named(
    platform: Platform, embedded_server: EmbeddedServer, two: tuple[Tenant, Tenant]
) -> None:
    rules = embedded_server.root / "data" / "pg_hba.conf"
    closed = rules.read_text()
    grant = f"GRANT CONNECT ON DATABASE {two[1].database} TO PUBLIC"
    with opened(embedded_server, "postgres", grant, f"REVOKE ALL ON DATABASE {two[1].database} FROM PUBLIC"):
        try:
            reload_rules(embedded_server, closed.replace("sameuser ", "all "))
            found = {attempt.what for attempt in through(platform, *two)}
        finally:
            reload_rules(embedded_server, closed)
    assert found == {two[1].database}


def test_messages_and_locks_are_heard_and_felt_inside_one_database(
    platform: Platform, embedded_server: EmbeddedServer, two: tuple[Tenant, Tenant]
) -> None:
    login = platform.keys.placement(two[0].placement_id or "").conninfo_params()
    where = {"host": str(embedded_server.socket_dir), "port": str(embedded_server.port), "dbname": two[0].database}
    first, second = psycopg.connect(**where, **login), psycopg.connect(**where, **login)  # pyright: ignore[reportArgumentType]  # libpq's own parameters
    with first, second:
        stopped = {attempt.group for attempt in crossings(two[0].role, first, second) if attempt.layer}
    assert stopped == {"names"}


@pytest.fixture
def server(platform: Platform, embedded_server: EmbeddedServer) -> Server:
    with platform.control.connect() as conn:
        return servers.by_name(conn, "embedded")


def names_of(tenant: Tenant) -> Names:
    return Names(tenant.placement_id or "")


@contextmanager
def locked_out(server: EmbeddedServer, tenant: Tenant) -> Generator[None]:
    """Give the login of a tenant a password that nobody knows."""
    with server.connect_admin() as admin:
        query = "SELECT rolpassword FROM pg_authid WHERE rolname = %s"
        (verifier,) = admin.execute(query, (tenant.role,)).fetchone() or ("",)
    locking, unlocking = (f"ALTER ROLE {tenant.role} PASSWORD '{word}'" for word in ("mine", verifier))
    with opened(server, "postgres", locking, unlocking):
        yield


def test_another_one_is_the_bystander_where_the_first_cannot_log_in(
    platform: Platform, embedded_server: EmbeddedServer, server: Server, two: tuple[Tenant, Tenant], tenant: Tenant
) -> None:
    with locked_out(embedded_server, tenant):
        made = list(attack(platform, server, names_of(two[0]), [names_of(tenant), names_of(two[1])]))
    assert [one for one in made if one.layer is None] == []
    assert {"other sessions", "messages", "locks"} <= {one.group for one in made}


def test_without_any_bystander_the_attacks_on_one_prove_nothing(
    platform: Platform, embedded_server: EmbeddedServer, two: tuple[Tenant, Tenant]
) -> None:
    with locked_out(embedded_server, two[1]):
        (unproved,) = through(platform, *two)
    assert unproved.group == "other sessions"
    assert "proves nothing" in unproved.sentence()


def test_nobody_is_missed_in_a_database_that_lets_nobody_in(
    platform: Platform, embedded_server: EmbeddedServer, two: tuple[Tenant, Tenant]
) -> None:
    shut, open_again = (f"ALTER DATABASE {two[1].database} ALLOW_CONNECTIONS {word}" for word in ("false", "true"))
    with opened(embedded_server, "postgres", shut, open_again):
        assert through(platform, *two) == []


def test_what_got_through_counts_also_when_a_later_attack_cannot_be_made(
    platform: Platform, embedded_server: EmbeddedServer, two: tuple[Tenant, Tenant], monkeypatch
) -> None:
    def only_these(known: list[Names], _count: int) -> list[Names]:
        return [one for one in known if one.database == two[0].database]

    def broken(*_arguments: object) -> None:
        raise psycopg.OperationalError

    monkeypatch.setattr(live, "crossings", broken)
    monkeypatch.setattr("strongroom.provisioning.isolation.verify.random.sample", only_these)
    grant, revoke = (f"{word} {two[0].database} {to} {two[0].role}" for word, to in TEMPORARY)
    with opened(embedded_server, "postgres", grant, revoke):
        problems = verify_isolation(platform, live=1).problems()
    assert f"{two[0].role} got through: CREATE TEMP TABLE attack (x int)." in problems
    assert f"{two[0].database} could not be attacked to the end." in problems


@pytest.mark.parametrize("moment", ["_set_verifier", "end_rotation"])
def test_a_killed_rotation_keeps_nobody_from_attacking_with_the_right_login(
    platform: Platform, server: Server, two: tuple[Tenant, Tenant], tenant: Tenant, monkeypatch, moment: str
) -> None:
    def killed(*_arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(*((rotate, moment) if moment == "_set_verifier" else (type(platform.keys), moment)), killed)
        with pytest.raises(KeyboardInterrupt):
            rotate.rotate_login(platform, tenant)
    assert not any(tenant.database in problem for problem in verify_isolation(platform).problems())
    for me, other in ((tenant, two[0]), (two[0], tenant)):
        made = list(attack(platform, server, names_of(me), [names_of(other)]))
        assert [one for one in made if one.layer is None] == []
        assert "messages" in {one.group for one in made}


def reload_rules(server: EmbeddedServer, text: str) -> None:
    """Put other rules into force and wait until they are."""
    (server.root / "data" / "pg_hba.conf").write_text(text)
    with server.connect_admin() as admin:
        loaded = admin.execute("SELECT pg_conf_load_time()").fetchone()
        admin.execute("SELECT pg_reload_conf()")
        while admin.execute("SELECT pg_conf_load_time()").fetchone() == loaded:
            pass
