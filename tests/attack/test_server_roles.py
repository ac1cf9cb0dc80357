"""What a tenant's login and the platform's own roles try beyond their rights, on the real server."""

from typing import Any

import psycopg
import pytest

from strongroom.platform.keys import DatabaseCredential
from strongroom.platform.tenants.records import Tenant

OnServer = Any  # of conftest.py, which no test can import


@pytest.fixture(scope="module")
def victim(on_server: OnServer) -> Tenant:
    return on_server.make_tenant()


@pytest.fixture(scope="module")
def mallory(on_server: OnServer) -> Tenant:
    return on_server.make_tenant()


def databases(on_server: OnServer, victim: Tenant) -> list[str]:
    return ["template1", "strongroom_template", victim.database, *on_server.platform_databases]


def refused(on_server: OnServer, credential: DatabaseCredential, dbname: str) -> str:
    with pytest.raises(psycopg.OperationalError) as refusal:
        on_server.log_in(credential, dbname, autocommit=True)
    return str(refusal.value)


def test_a_tenants_login_enters_its_own_database_only(on_server: OnServer, victim: Tenant, mallory: Tenant) -> None:
    credential = on_server.login_of(mallory)
    with on_server.log_in(credential, mallory.database, autocommit=True) as own:
        assert own.execute("SELECT count(*) FROM app.member").fetchone() is not None
    for dbname in databases(on_server, victim):
        assert "rejects connection" in refused(on_server, credential, dbname)


def test_access_lists_hold_when_the_rules_of_pg_hba_are_open(
    on_server: OnServer, victim: Tenant, mallory: Tenant
) -> None:
    credential = on_server.login_of(mallory)
    with on_server.everybody_let_in_everywhere():
        for dbname in databases(on_server, victim):
            said = refused(on_server, credential, dbname)
            assert "permission denied for database" in said or "not currently accepting" in said


def test_the_rules_of_pg_hba_hold_when_the_access_list_is_open(
    on_server: OnServer, victim: Tenant, mallory: Tenant
) -> None:
    with on_server.connect_admin() as admin:
        admin.execute(f"GRANT CONNECT ON DATABASE {victim.database} TO PUBLIC".encode())
        try:
            assert "rejects connection" in refused(on_server, on_server.login_of(mallory), victim.database)
        finally:
            admin.execute(f"REVOKE ALL ON DATABASE {victim.database} FROM PUBLIC".encode())


def test_the_platforms_own_logins_enter_no_tenants_database(on_server: OnServer, victim: Tenant) -> None:
    roles = ["strongroom_provisioner", *(["strongroom_control"] if on_server.is_embedded else [])]
    for role in roles:
        assert "rejects connection" in refused(on_server, on_server.login_of_platform(role), victim.database)
    with on_server.everybody_let_in_everywhere():
        for role in roles:
            said = refused(on_server, on_server.login_of_platform(role), victim.database)
            assert "permission denied for database" in said


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM pg_database",
        "SELECT * FROM pg_roles",
        "SELECT * FROM pg_user",
        "SELECT * FROM pg_auth_members",
        "SELECT * FROM pg_authid",
        "SELECT * FROM pg_stat_activity",
        "SELECT * FROM pg_stat_get_activity(NULL)",
        "SELECT * FROM pg_stat_database",
        "SELECT * FROM pg_locks",
        "SELECT * FROM pg_lock_status()",
        "SELECT * FROM pg_shdepend",
        "SELECT * FROM pg_hba_file_rules",
        "SELECT pg_read_file('/etc/passwd')",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "SELECT lo_create(0)",
        "SELECT lo_from_bytea(0, 'x')",
        "SELECT query_to_xml('SELECT 1', true, true, '')",
        "SELECT * FROM ts_stat('SELECT to_tsvector(''x'')')",
        "DO $$ BEGIN END $$",
        "CREATE TEMPORARY TABLE t (a int)",
        "CREATE SCHEMA mine",
        "CREATE TABLE app.mine (a int)",
        "CREATE FUNCTION app.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE EXTENSION dblink SCHEMA app",
        "CREATE EXTENSION postgres_fdw SCHEMA app",
        "ALTER TABLE app.audit_event DISABLE TRIGGER ALL",
        "TRUNCATE app.audit_event",
        "UPDATE app.audit_event SET action = 'x'",
        "DELETE FROM app.audit_event",
        "ALTER ROLE CURRENT_USER SUPERUSER",
        "SET ROLE strongroom_owner",
        "SET ROLE strongroom_migrator",
        "SET SESSION AUTHORIZATION {superuser}",
        "SET session_replication_role = replica",
    ],
)
def test_inside_its_own_database_a_tenants_login_is_refused(
    on_server: OnServer, mallory: Tenant, statement: str
) -> None:
    session = on_server.log_in(on_server.login_of(mallory), mallory.database, autocommit=True)
    with session, pytest.raises(psycopg.errors.InsufficientPrivilege):
        session.execute(statement.replace("{superuser}", on_server.superuser).encode())


def test_a_tenants_login_cannot_become_the_owner_of_its_tables(on_server: OnServer, mallory: Tenant) -> None:
    session = on_server.log_in(on_server.login_of(mallory), mallory.database, autocommit=True)
    with session, pytest.raises(psycopg.errors.InsufficientPrivilege):
        session.execute(f"SET ROLE {mallory.owner_role}".encode())


def test_the_provisioner_cannot_take_over_a_tenant_that_exists(on_server: OnServer, victim: Tenant) -> None:
    mine = DatabaseCredential.generate(victim.role)
    with on_server.log_in(
        on_server.login_of_platform("strongroom_provisioner"), "postgres", autocommit=True
    ) as session:
        with pytest.raises(psycopg.errors.DuplicateObject):
            session.execute("SELECT strongroom.create_tenant_roles(%s, %s, 5)", (victim.placement_id, mine.verifier))
        for statement in (
            f"SET ROLE {victim.role}",
            f"SET ROLE {victim.owner_role}",
            "SET ROLE strongroom_migrator",
            f"ALTER ROLE {victim.role} PASSWORD 'x'",
            f"GRANT {victim.owner_role} TO strongroom_provisioner",
            f"SET ROLE strongroom_owner; ALTER DATABASE {victim.database} RENAME TO t_stolen",
            "CREATE ROLE mine LOGIN",
            "SELECT * FROM pg_authid",
            f"CREATE DATABASE copy TEMPLATE {victim.database}",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute(statement.encode())
            session.execute("RESET ROLE")
        with pytest.raises(psycopg.errors.DependentObjectsStillExist):
            session.execute("SELECT strongroom.drop_tenant_roles(%s)", (victim.placement_id,))


@pytest.mark.parametrize("pid", ["", "x", "a" * 17, "A" * 16, "aaaaaaaaaaaaaaa'", "aaaaaaaaaaaaaaaa\n", None])
def test_the_functions_for_roles_take_nothing_but_ids(on_server: OnServer, pid: str | None) -> None:
    verifier = DatabaseCredential.generate("x").verifier
    with on_server.log_in(
        on_server.login_of_platform("strongroom_provisioner"), "postgres", autocommit=True
    ) as session:
        with pytest.raises(psycopg.errors.InvalidParameterValue):
            session.execute("SELECT strongroom.create_tenant_roles(%s, %s, 5)", (pid, verifier))
        with pytest.raises(psycopg.errors.InvalidParameterValue):
            session.execute("SELECT strongroom.drop_tenant_roles(%s)", (pid,))


@pytest.mark.parametrize("verifier", ["", "secret", "md5" + "0" * 32, "SCRAM-SHA-256$4096:x$y:z", None])
def test_a_password_in_clear_never_reaches_the_server(on_server: OnServer, verifier: str | None) -> None:
    session = on_server.log_in(on_server.login_of_platform("strongroom_provisioner"), "postgres", autocommit=True)
    with session, pytest.raises(psycopg.errors.InvalidParameterValue):
        session.execute("SELECT strongroom.create_tenant_roles(%s, %s, 5)", ("a" * 16, verifier))


def test_nobody_but_the_provisioner_may_make_roles(on_server: OnServer) -> None:
    with on_server.connect_admin() as admin:
        allowed = admin.execute(
            "SELECT rolname FROM pg_roles, pg_proc p JOIN pg_namespace n ON n.oid = pronamespace"
            " WHERE nspname = 'strongroom' AND NOT rolsuper AND has_function_privilege(pg_roles.oid, p.oid, 'EXECUTE')"
        ).fetchall()
    assert set(allowed) == {("strongroom_provisioner",)}
