"""The standing gate inside one tenant's database: owners, grants, functions, extensions, and what PUBLIC may call."""

from ...tenant_schema.tables import SCHEMA
from ..names import Names
from ..sessions import Session
from .finding import Finding

# Each query names what should not be there; an empty answer is a pass. %(role)s, %(owner)s, %(schema)s are filled in.
_QUERIES = (
    """SELECT 'has the schema ' || nspname FROM pg_namespace
       WHERE nspname <> %(schema)s AND nspname NOT IN ('pg_catalog', 'information_schema')
         AND nspname NOT LIKE 'pg\\_toast%%' AND nspname NOT LIKE 'pg\\_temp%%'""",
    """SELECT 'the schema ' || nspname || ' belongs to ' || nspowner::regrole FROM pg_namespace
       WHERE nspname = %(schema)s AND nspowner <> %(owner)s::regrole""",
    """SELECT n.nspname || '.' || c.relname || ' belongs to ' || c.relowner::regrole
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
       WHERE n.nspname = %(schema)s AND c.relowner <> %(owner)s::regrole""",
    """SELECT n.nspname || '.' || p.proname || ' belongs to ' || p.proowner::regrole
       FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
       WHERE n.nspname = %(schema)s AND p.proowner <> %(owner)s::regrole""",
    """SELECT 'the function ' || p.proname || ' runs with the rights of ' || p.proowner::regrole
       FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
       WHERE p.prosecdef AND n.nspname NOT IN ('pg_catalog', 'information_schema')""",
    """SELECT 'grants ' || a.privilege_type || ' on ' || n.nspname || ' to '
              || coalesce(g.rolname, 'PUBLIC')
       FROM pg_namespace n, aclexplode(n.nspacl) a LEFT JOIN pg_roles g ON g.oid = a.grantee
       WHERE n.nspname = %(schema)s AND a.grantee <> %(owner)s::regrole
         AND NOT (g.rolname = %(role)s AND a.privilege_type = 'USAGE')""",
    """SELECT 'grants ' || a.privilege_type || ' on ' || c.relname || ' to ' || coalesce(g.rolname, 'PUBLIC')
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(c.relacl) a
       LEFT JOIN pg_roles g ON g.oid = a.grantee
       WHERE n.nspname = %(schema)s AND a.grantee <> %(owner)s::regrole
         AND (coalesce(g.rolname, 'PUBLIC') <> %(role)s OR a.is_grantable
              OR a.privilege_type NOT IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE', 'USAGE')
              OR (c.relname = 'audit_event' AND a.privilege_type NOT IN ('SELECT', 'INSERT'))
              OR (c.relname = 'alembic_version' AND a.privilege_type <> 'SELECT'))""",
    "SELECT 'has the extension ' || extname FROM pg_extension WHERE extname <> 'plpgsql'",
    "SELECT 'has the foreign server ' || srvname FROM pg_foreign_server",
    "SELECT 'has the event trigger ' || evtname FROM pg_event_trigger",
    "SELECT 'has large objects' FROM pg_largeobject_metadata LIMIT 1",
    """SELECT 'gives new objects to ' || coalesce(g.rolname, 'PUBLIC')
       FROM pg_default_acl d, aclexplode(d.defaclacl) a LEFT JOIN pg_roles g ON g.oid = a.grantee
       WHERE a.grantee <> d.defaclrole""",
    """SELECT 'lets its login use the language ' || lanname FROM pg_language
       WHERE lanname NOT IN ('internal', 'c', 'sql') AND has_language_privilege(%(role)s, oid, 'USAGE')""",
    """SELECT 'lets its login call ' || p.proname FROM pg_proc p
       WHERE p.pronamespace = 'pg_catalog'::regnamespace AND has_function_privilege(%(role)s, p.oid, 'EXECUTE')
         AND p.proname IN ('lo_creat', 'lo_create', 'lo_from_bytea', 'lo_import', 'lo_export', 'lo_put',
                           'query_to_xml', 'query_to_xmlschema', 'query_to_xml_and_xmlschema', 'cursor_to_xml',
                           'table_to_xml', 'schema_to_xml', 'database_to_xml', 'ts_stat',
                           'pg_read_file', 'pg_read_binary_file', 'pg_ls_dir', 'pg_stat_file',
                           'pg_terminate_backend_of_others', 'pg_reload_conf', 'pg_rotate_logfile')""",
    """SELECT 'lets its login read ' || c.relname FROM pg_class c
       WHERE c.relnamespace = 'pg_catalog'::regnamespace AND has_table_privilege(%(role)s, c.oid, 'SELECT')
         AND c.relname IN ('pg_stat_activity', 'pg_locks', 'pg_database', 'pg_roles', 'pg_authid', 'pg_shadow',
                           'pg_user', 'pg_hba_file_rules', 'pg_file_settings', 'pg_stat_replication')""",
)


def findings(session: Session, names: Names) -> list[Finding]:
    """Check the database that `session` is in, which should be that of `names`."""
    here = {"role": names.role, "owner": names.owner, "schema": SCHEMA}
    rows = session.execute(" UNION ALL ".join(f"({query})" for query in _QUERIES), here).fetchall()
    return [Finding(names.database, row[0]) for row in rows]
