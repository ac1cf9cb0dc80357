"""What a tenant's login tries in its own database. Each statement must be refused; transactions are rolled back."""

from collections.abc import Iterator
from dataclasses import dataclass

from ..names import BACKUP, CONTROL, MIGRATOR, OWNER, OWNERS, PROVISIONER, TEMPLATE_OWNER, Names
from .outside import SUPERUSER


@dataclass(frozen=True, slots=True)
class Attack:
    """A statement, and the group under which the report counts it."""

    group: str
    statement: str

    @property
    def alone(self) -> bool:
        """Whether PostgreSQL refuses it inside a transaction before it looks at rights; it does no harm outside."""
        return self.statement.startswith(("ALTER SYSTEM", "CREATE TABLESPACE"))


_SERVER = (
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "COPY app.setting FROM PROGRAM 'true'",
    "COPY (SELECT 1) TO '/tmp/strongroom-attack'",
    "COPY app.setting FROM '/etc/passwd'",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_read_binary_file('PG_VERSION')",
    "SELECT pg_ls_dir('.')",
    "SELECT pg_stat_file('PG_VERSION')",
    "SELECT pg_ls_logdir()",
    "SELECT pg_ls_waldir()",
    "SELECT pg_current_logfile()",
    "LOAD '/tmp/strongroom-attack.so'",
    "ALTER SYSTEM SET log_statement = 'none'",
    "SELECT pg_reload_conf()",
    "SELECT pg_rotate_logfile()",
    "SELECT pg_switch_wal()",
    "SELECT pg_create_restore_point('attack')",
    "CHECKPOINT",
    "SELECT * FROM pg_hba_file_rules",
    "SELECT * FROM pg_file_settings",
    "SET session_replication_role = replica",
    "SET log_statement = 'none'",
    "SELECT pg_create_physical_replication_slot('attack')",
    "SELECT pg_create_logical_replication_slot('attack', 'pgoutput')",
)
_LARGE_OBJECTS = (
    "SELECT lo_import('/etc/passwd')",
    "SELECT lo_export(1, '/tmp/strongroom-attack')",
    "SELECT lo_create(0)",
    "SELECT lo_creat(-1)",
    "SELECT lo_from_bytea(0, 'x')",
)
_OBJECTS = (
    "CREATE EXTENSION dblink SCHEMA app",
    "CREATE EXTENSION postgres_fdw SCHEMA app",
    "CREATE EXTENSION file_fdw SCHEMA app",
    "CREATE SERVER attack FOREIGN DATA WRAPPER postgres_fdw",
    "CREATE SCHEMA attack",
    "CREATE TABLE app.attack (x int)",
    "CREATE TEMP TABLE attack (x int)",
    "CREATE FUNCTION app.attack() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE FUNCTION pg_temp.attack() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'",
    "CREATE FUNCTION app.attack() RETURNS int LANGUAGE c AS 'libc', 'system'",
    "DO LANGUAGE plpgsql 'BEGIN NULL; END'",
    "CREATE EVENT TRIGGER attack ON ddl_command_end EXECUTE FUNCTION app.refuse_change()",
    "CREATE TRIGGER attack BEFORE INSERT ON app.expense FOR EACH ROW EXECUTE FUNCTION app.refuse_change()",
    "ALTER TABLE app.expense DISABLE TRIGGER ALL",
    "ALTER TABLE app.audit_event OWNER TO CURRENT_USER",
    "CREATE PUBLICATION attack FOR ALL TABLES",
    "CREATE SUBSCRIPTION attack CONNECTION 'dbname=postgres' PUBLICATION attack WITH (connect = false)",
    "CREATE TABLESPACE attack LOCATION '/tmp'",
    "UPDATE app.audit_event SET action = 'attack'",
    "DELETE FROM app.audit_event",
    "TRUNCATE app.audit_event",
    "UPDATE app.alembic_version SET version_num = 'attack'",
    "DROP TABLE app.audit_event",
)
_LEAKS = (
    "SELECT * FROM pg_database",
    "SELECT * FROM pg_roles",
    "SELECT * FROM pg_user",
    "SELECT * FROM pg_authid",
    "SELECT * FROM pg_shadow",
    "SELECT * FROM pg_stat_activity",
    "SELECT * FROM pg_locks",
    "SELECT * FROM pg_largeobject",
    "SELECT * FROM pg_subscription",
    "SELECT query_to_xml('SELECT 1', true, true, '')",
    "SELECT database_to_xml(true, true, '')",
    "SELECT ts_stat('SELECT ''a''::tsvector')",
)


def attacks(me: Names, other: Names | None) -> Iterator[Attack]:
    """Yield the statements that the login of `me` tries; `other` is another tenant of the same server."""
    for statement in _roles(me, other):
        yield Attack("roles", statement)
    for group, statements in (
        ("server", _SERVER),
        ("large objects", _LARGE_OBJECTS),
        ("objects", _OBJECTS),
        ("leaks", _LEAKS),
    ):
        for statement in statements:
            yield Attack(group, statement)


def _roles(me: Names, other: Names | None) -> Iterator[str]:
    targets = [SUPERUSER, OWNER, OWNERS, PROVISIONER, MIGRATOR, BACKUP, CONTROL, TEMPLATE_OWNER, me.owner]
    targets += ["pg_read_all_data", "pg_execute_server_program", *((other.role, other.owner) if other else ())]
    for role in targets:
        yield f"SET ROLE {role}"
        yield f"GRANT {role} TO {me.role}"
    yield f"SET SESSION AUTHORIZATION {SUPERUSER}"
    for attribute in ("SUPERUSER", "CREATEROLE", "CREATEDB", "REPLICATION", "BYPASSRLS", "CONNECTION LIMIT 1000"):
        yield f"ALTER ROLE {me.role} {attribute}"
    yield "CREATE ROLE attack LOGIN"
    yield f"GRANT {me.role} TO {other.role if other else BACKUP}"
    yield f"ALTER DATABASE {me.database} ALLOW_CONNECTIONS false"
    yield f"ALTER DATABASE {me.database} IS_TEMPLATE true"
    yield f"ALTER DATABASE {me.database} OWNER TO {me.role}"
    yield f"REASSIGN OWNED BY {me.owner} TO {me.role}"
