"""What a tenant's login tries in its own database. Each statement must be refused; transactions are rolled back.

None of them destroys anything should it get through.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from ...tenant_schema.tables import audit_event
from ..names import BACKUP, CONTROL, LOGINS, MIGRATOR, OWNER, OWNERS, PROVISIONER, TEMPLATE, TEMPLATE_OWNER, Names
from .outside import SUPERUSER


@dataclass(frozen=True, slots=True)
class Attack:
    """A statement, and the group under which the report counts it.

    `gained`: a question whose answer true says that it got through, for what PostgreSQL accepts without an effect.
    `undo`: what removes the trace of one that did. `watched`: PostgreSQL allows it to every role, and the standing
    gate notices.
    """

    group: str
    statement: str
    gained: str | None = None
    undo: str | None = None
    watched: bool = False

    @property
    def alone(self) -> bool:
        """Whether PostgreSQL refuses it inside a transaction before it looks at rights; it does no harm outside."""
        return self.statement.startswith(_ALONE)


_ALONE = ("ALTER SYSTEM", "CREATE TABLESPACE", "CREATE DATABASE", "COMMIT PREPARED")
_OTHERS_RIGHTS = "SELECT current_user <> session_user"


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
    "SELECT * FROM pg_hba_file_rules()",
    "SELECT * FROM pg_ident_file_mappings",
    "SELECT pg_show_all_file_settings()",
    "SELECT current_setting('data_directory')",
    "SELECT current_setting('hba_file')",
    "SELECT current_setting('unix_socket_directories')",
    "SHOW config_file",
    "SELECT pg_read_file('postgresql.auto.conf')",
    "SELECT pg_ls_tmpdir()",
    "SELECT pg_ls_archive_statusdir()",
    "SELECT pg_promote()",
    "SELECT pg_backup_start('attack')",
    "SELECT pg_stat_reset()",
    "SELECT pg_stat_reset_shared('bgwriter')",
    "SELECT pg_replication_origin_create('attack')",
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
    "SELECT lo_open(1, 262144)",
    "SELECT lo_get(1)",
    "SELECT lo_put(1, 0, 'x')",
    "SELECT lo_unlink(1)",
    "SELECT loread(0, 1)",
    "SELECT lowrite(0, 'x')",
)
_OBJECTS = (
    "CREATE EXTENSION dblink SCHEMA app",
    "CREATE EXTENSION postgres_fdw SCHEMA app",
    "CREATE EXTENSION file_fdw SCHEMA app",
    "CREATE SERVER attack FOREIGN DATA WRAPPER postgres_fdw",
    "CREATE EXTENSION plpython3u",
    "CREATE FOREIGN DATA WRAPPER attack",
    "CREATE SCHEMA attack",
    "CREATE TABLE app.attack (x int)",
    "CREATE TEMP TABLE attack (x int)",
    "CREATE TEMP VIEW attack AS SELECT 1",
    "CREATE TEMP SEQUENCE attack",
    "SELECT 1 AS x INTO TEMP attack",
    "CREATE TYPE app.attack AS (x int)",
    "CREATE OPERATOR app.## (leftarg = int, rightarg = int, function = int4pl)",
    "PREPARE TRANSACTION 'attack'",
    "COMMIT PREPARED 'attack'",
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
    *(f"UPDATE app.audit_event SET {one.name} = {one.name}" for one in audit_event.columns),  # noqa: S608 - ours
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
    "SELECT * FROM pg_group",
    "SELECT * FROM pg_auth_members",
    "SELECT * FROM pg_db_role_setting",
    "SELECT * FROM pg_shdescription",
    "SELECT * FROM pg_shdepend",
    "SELECT shobj_description(5, 'pg_database')",
    "SELECT * FROM pg_prepared_xacts",
    "SELECT * FROM pg_replication_slots",
    "SELECT * FROM pg_stat_database",
    "SELECT * FROM pg_stat_replication",
    "SELECT * FROM pg_stat_ssl",
    "SELECT * FROM pg_stat_progress_vacuum",
    "SELECT * FROM pg_stat_activity",
    "SELECT pg_stat_get_activity(NULL)",
    "SELECT pg_stat_get_backend_activity(1)",
    "SELECT pg_stat_get_backend_userid(1)",
    "SELECT pg_stat_get_backend_client_addr(1)",
    "SELECT pg_stat_get_progress_info('VACUUM')",
    "SELECT pg_lock_status()",
    "SELECT pg_prepared_xact()",
    "SELECT * FROM pg_locks",
    "COPY pg_authid TO STDOUT",
    "COPY (SELECT * FROM pg_stat_activity) TO STDOUT",
    "DECLARE attack CURSOR WITH HOLD FOR SELECT * FROM pg_authid",
    "SELECT pg_database_size('postgres')",
    "SELECT * FROM pg_largeobject",
    "SELECT * FROM pg_subscription",
    "SELECT query_to_xml('SELECT 1', true, true, '')",
    "SELECT database_to_xml(true, true, '')",
    "SELECT ts_stat('SELECT ''a''::tsvector')",
)


def attacks(me: Names, other: Names | None, version: int, superuser: str = SUPERUSER) -> Iterator[Attack]:
    """Yield the statements that the login of `me` tries; `other` is another tenant of the same server.

    `version` is PostgreSQL's own, such as 180001; `superuser` is the name of the first one, quoted if need be.
    """
    for statement in _roles(me, other, superuser):
        yield Attack("roles", statement)
    yield from _identity(me, other, version)
    yield from _grants(me, other.role if other else CONTROL)
    for group, statements in (
        ("server", _SERVER),
        ("large objects", _LARGE_OBJECTS),
        ("objects", _OBJECTS),
        ("leaks", _LEAKS),
    ):
        for statement in statements:
            yield Attack(group, statement)


def _roles(me: Names, other: Names | None, superuser: str) -> Iterator[str]:
    targets = [superuser, OWNER, OWNERS, PROVISIONER, MIGRATOR, BACKUP, CONTROL, TEMPLATE_OWNER, me.owner]
    targets += ["pg_read_all_data", "pg_execute_server_program", "pg_read_server_files", "pg_monitor"]
    targets += [other.role, other.owner] if other else []
    for role in targets:
        yield f"SET ROLE {role}"
        yield f"GRANT {role} TO {me.role}"
    for role in (superuser, PROVISIONER, other.role if other else BACKUP):
        yield f"SET SESSION AUTHORIZATION {role}"
    for attribute in ("SUPERUSER", "CREATEROLE", "CREATEDB", "REPLICATION", "BYPASSRLS", "CONNECTION LIMIT 1000"):
        yield f"ALTER ROLE {me.role} {attribute}"
    yield "CREATE ROLE attack LOGIN"
    target = other.role if other else BACKUP
    yield f"GRANT {me.role} TO {target}"
    yield f"GRANT {LOGINS} TO {target}"
    yield f"REVOKE {LOGINS} FROM {target}"
    for change in ("PASSWORD NULL", "SUPERUSER", "SET search_path = attack", "RENAME TO attack", "VALID UNTIL 'epoch'"):
        yield f"ALTER ROLE {target} {change}"
    yield "ALTER ROLE ALL SET search_path = attack"
    yield f"ALTER ROLE {me.role} VALID UNTIL 'infinity'"
    yield f"ALTER GROUP {OWNER} ADD USER {me.role}"
    yield f"COMMENT ON ROLE {target} IS 'attack'"
    yield f"ALTER DATABASE {me.database} SET search_path = attack"
    yield f"ALTER DATABASE {other.database if other else TEMPLATE} ALLOW_CONNECTIONS false"
    yield f"ALTER DATABASE {me.database} ALLOW_CONNECTIONS false"
    yield f"ALTER DATABASE {me.database} IS_TEMPLATE true"
    yield f"ALTER DATABASE {me.database} OWNER TO {me.role}"
    yield f"REASSIGN OWNED BY {me.owner} TO {me.role}"


def _identity(me: Names, other: Names | None, version: int) -> Iterator[Attack]:
    """Become somebody else by going back, become the group of all logins, change one's own login."""
    for statement in ("RESET ROLE", "RESET SESSION AUTHORIZATION", "SET ROLE NONE"):
        yield Attack("roles", statement, gained=_OTHERS_RIGHTS)
    # Before PostgreSQL 16 every member may become the group; the gate sees to it that the group has and is nothing.
    yield Attack("roles", f"SET ROLE {LOGINS}", gained=_OTHERS_RIGHTS, watched=version < 160000)
    yield Attack("own login", "ALTER ROLE CURRENT_USER PASSWORD NULL", watched=True)
    yield Attack("own login", "ALTER ROLE CURRENT_USER SET statement_timeout = 1", watched=True)
    yield Attack("own login", f"ALTER ROLE CURRENT_USER IN DATABASE {me.database} SET jit = off", watched=True)
    yield Attack("own login", "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC", watched=True)
    copied = other.database if other else TEMPLATE
    yield Attack("roles", f"CREATE DATABASE attack TEMPLATE {copied}", undo="DROP DATABASE attack")


def _grants(me: Names, target: str) -> Iterator[Attack]:
    """Pass rights on. Without the right to do so PostgreSQL warns and does nothing; hence the question afterwards."""
    for name, grantee in (("'public'", "PUBLIC"), (f"'{target}'", target)):
        table = f"SELECT has_table_privilege({name}, 'app.expense', 'SELECT')"
        database = f"SELECT has_database_privilege({name}, '{me.database}', 'CONNECT')"
        schema = f"SELECT has_schema_privilege({name}, 'app', 'USAGE')"
        known = grantee == BACKUP  # reads every table anyhow
        yield Attack("grants", f"GRANT SELECT ON app.expense TO {grantee}", gained=None if known else table)
        yield Attack("grants", f"GRANT USAGE ON SCHEMA app TO {grantee}", gained=None if known else schema)
        yield Attack(
            "grants", f"GRANT CONNECT ON DATABASE {me.database} TO {grantee}", gained=None if known else database
        )
    temporary = f"SELECT has_database_privilege('{me.database}', 'TEMP')"
    yield Attack("grants", f"GRANT TEMP ON DATABASE {me.database} TO {me.role}", gained=temporary)
    yield Attack("grants", f"GRANT EXECUTE ON FUNCTION pg_read_file(text) TO {me.role}")
    yield Attack("grants", f"GRANT USAGE ON LANGUAGE plpgsql TO {me.role}")
