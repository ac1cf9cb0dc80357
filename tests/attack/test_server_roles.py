"""What a tenant's login and the platform's own roles try beyond their rights, on the real server."""

from collections.abc import Callable, Generator
from contextlib import contextmanager

import psycopg
import pytest

from strongroom.platform.control.platform import Platform
from strongroom.platform.keys import DatabaseCredential
from strongroom.platform.tenants.records import Tenant
from strongroom.provisioning.postgres.embedded import EmbeddedServer

Session = psycopg.Connection[tuple[object, ...]]
Login = Callable[[DatabaseCredential, str], Session]
TenantFactory = Callable[..., Tenant]


@pytest.fixture(scope="module")
def login(embedded_server: EmbeddedServer) -> Login:
    """Log in with a credential to any database."""

    def connect(credential: DatabaseCredential, dbname: str) -> Session:
        return psycopg.connect(
            host=str(embedded_server.socket_dir),
            port=embedded_server.port,
            dbname=dbname,
            autocommit=True,
            **credential.conninfo_params(),  # pyright: ignore[reportArgumentType]  # libpq's own parameters
        )

    return connect


@pytest.fixture(scope="module")
def victim(tenant_factory: TenantFactory) -> Tenant:
    return tenant_factory()


@pytest.fixture(scope="module")
def mallory(tenant_factory: TenantFactory) -> Tenant:
    return tenant_factory()


def credential_of(platform: Platform, tenant: Tenant) -> DatabaseCredential:
    assert tenant.placement_id
    return platform.keys.placement(tenant.placement_id)


def databases(victim: Tenant) -> list[str]:
    return ["postgres", "template1", "strongroom_control", "strongroom_template", victim.database]


def refused(login: Login, credential: DatabaseCredential, dbname: str) -> str:
    with pytest.raises(psycopg.OperationalError) as refusal:
        login(credential, dbname)
    return str(refusal.value)


def test_a_tenants_login_enters_its_own_database_only(
    platform: Platform, login: Login, victim: Tenant, mallory: Tenant
) -> None:
    credential = credential_of(platform, mallory)
    with login(credential, mallory.database) as own:
        assert own.execute("SELECT count(*) FROM app.member").fetchone() is not None
    for dbname in databases(victim):
        assert "rejects connection" in refused(login, credential, dbname)


def test_access_lists_hold_when_the_rules_of_pg_hba_are_open(
    platform: Platform, login: Login, victim: Tenant, mallory: Tenant, embedded_server: EmbeddedServer
) -> None:
    credential = credential_of(platform, mallory)
    with open_hba(embedded_server):
        for dbname in databases(victim):
            said = refused(login, credential, dbname)
            assert "permission denied for database" in said or "not currently accepting" in said


def test_the_rules_of_pg_hba_hold_when_the_access_list_is_open(
    platform: Platform, login: Login, victim: Tenant, mallory: Tenant, embedded_server: EmbeddedServer
) -> None:
    with embedded_server.connect_admin() as admin:
        admin.execute(f"GRANT CONNECT ON DATABASE {victim.database} TO PUBLIC".encode())
        try:
            assert "rejects connection" in refused(login, credential_of(platform, mallory), victim.database)
        finally:
            admin.execute(f"REVOKE ALL ON DATABASE {victim.database} FROM PUBLIC".encode())


@pytest.mark.parametrize("role", ["strongroom_control", "strongroom_provisioner"])
def test_the_platforms_own_logins_enter_no_tenants_database(
    platform: Platform, login: Login, victim: Tenant, embedded_server: EmbeddedServer, role: str
) -> None:
    credential = platform.keys.service_credential(role)
    assert "rejects connection" in refused(login, credential, victim.database)
    with open_hba(embedded_server):
        assert "permission denied for database" in refused(login, credential, victim.database)


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
        "ALTER TABLE app.audit_event DISABLE TRIGGER ALL",
        "TRUNCATE app.audit_event",
        "UPDATE app.audit_event SET action = 'x'",
        "DELETE FROM app.audit_event",
        "ALTER ROLE CURRENT_USER SUPERUSER",
        "SET ROLE strongroom_owner",
        "SET ROLE strongroom_migrator",
        "SET SESSION AUTHORIZATION strongroom_admin",
        "SET session_replication_role = replica",
    ],
)
def test_inside_its_own_database_a_tenants_login_is_refused(
    platform: Platform, login: Login, mallory: Tenant, statement: str
) -> None:
    session = login(credential_of(platform, mallory), mallory.database)
    with session, pytest.raises(psycopg.errors.InsufficientPrivilege):
        session.execute(statement.encode())


def test_a_tenants_login_cannot_become_the_owner_of_its_tables(
    platform: Platform, login: Login, mallory: Tenant
) -> None:
    session = login(credential_of(platform, mallory), mallory.database)
    with session, pytest.raises(psycopg.errors.InsufficientPrivilege):
        session.execute(f"SET ROLE {mallory.owner_role}".encode())


def test_the_provisioner_cannot_take_over_a_tenant_that_exists(
    platform: Platform, login: Login, victim: Tenant
) -> None:
    mine = DatabaseCredential.generate(victim.role)
    with login(platform.keys.service_credential("strongroom_provisioner"), "postgres") as session:
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
def test_the_functions_for_roles_take_nothing_but_ids(platform: Platform, login: Login, pid: str | None) -> None:
    verifier = DatabaseCredential.generate("x").verifier
    with login(platform.keys.service_credential("strongroom_provisioner"), "postgres") as session:
        with pytest.raises(psycopg.errors.InvalidParameterValue):
            session.execute("SELECT strongroom.create_tenant_roles(%s, %s, 5)", (pid, verifier))
        with pytest.raises(psycopg.errors.InvalidParameterValue):
            session.execute("SELECT strongroom.drop_tenant_roles(%s)", (pid,))


@pytest.mark.parametrize("verifier", ["", "secret", "md5" + "0" * 32, "SCRAM-SHA-256$4096:x$y:z", None])
def test_a_password_in_clear_never_reaches_the_server(platform: Platform, login: Login, verifier: str | None) -> None:
    session = login(platform.keys.service_credential("strongroom_provisioner"), "postgres")
    with session, pytest.raises(psycopg.errors.InvalidParameterValue):
        session.execute("SELECT strongroom.create_tenant_roles(%s, %s, 5)", ("a" * 16, verifier))


def test_nobody_but_the_provisioner_may_make_roles(
    platform: Platform, login: Login, embedded_server: EmbeddedServer
) -> None:
    with embedded_server.connect_admin() as admin:
        allowed = admin.execute(
            "SELECT rolname FROM pg_roles, pg_proc p JOIN pg_namespace n ON n.oid = pronamespace"
            " WHERE nspname = 'strongroom' AND NOT rolsuper AND has_function_privilege(pg_roles.oid, p.oid, 'EXECUTE')"
        ).fetchall()
    assert set(allowed) == {("strongroom_provisioner",)}


@contextmanager
def open_hba(server: EmbeddedServer) -> Generator[None]:
    """Let every role try every database for a while."""
    rules = server.root / "data" / "pg_hba.conf"
    closed = rules.read_text()
    admin_line = next(line for line in closed.splitlines() if "strongroom_admin" in line)
    reload_rules(server, f"{admin_line}\nlocal all all scram-sha-256\n")
    try:
        yield
    finally:
        reload_rules(server, closed)


def reload_rules(server: EmbeddedServer, text: str) -> None:
    """Put other rules into force and wait until they are."""
    (server.root / "data" / "pg_hba.conf").write_text(text)
    with server.connect_admin() as admin:
        loaded = admin.execute("SELECT pg_conf_load_time()").fetchone()
        admin.execute("SELECT pg_reload_conf()")
        while admin.execute("SELECT pg_conf_load_time()").fetchone() == loaded:
            pass
