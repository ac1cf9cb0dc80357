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
       WHERE p.prosecdef""",
    # 16384 is PostgreSQL's FirstNormalObjectId: what initdb did not make.
    """SELECT 'has a function of somebody''s own among PostgreSQL''s: ' || proname FROM pg_proc
       WHERE oid >= 16384 AND pronamespace = 'pg_catalog'::regnamespace""",
    """SELECT 'grants ' || a.privilege_type || ' on ' || n.nspname || ' to '
              || CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END
       FROM pg_namespace n, aclexplode(n.nspacl) a
       WHERE n.nspname = %(schema)s AND a.grantee <> %(owner)s::regrole
         AND NOT (a.grantee = %(role)s::regrole AND a.privilege_type = 'USAGE')""",
    """SELECT 'grants ' || a.privilege_type || ' on ' || c.relname || ' to '
              || CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(c.relacl) a
       WHERE n.nspname = %(schema)s AND a.grantee <> %(owner)s::regrole
         AND (a.grantee <> %(role)s::regrole OR a.is_grantable
              OR a.privilege_type NOT IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE', 'USAGE')
              OR (c.relname = 'audit_event' AND a.privilege_type NOT IN ('SELECT', 'INSERT'))
              OR (c.relname = 'alembic_version' AND a.privilege_type <> 'SELECT'))""",
    # Rights on single columns stand apart from those on their table; nobody has any.
    """SELECT 'grants ' || a.privilege_type || ' on ' || c.relname || '.' || t.attname || ' to '
              || CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END
       FROM pg_attribute t JOIN pg_class c ON c.oid = t.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace,
            aclexplode(t.attacl) a
       WHERE n.nspname = %(schema)s AND a.grantee <> %(owner)s::regrole""",
    "SELECT 'has the extension ' || extname FROM pg_extension WHERE extname <> 'plpgsql'",
    "SELECT 'has the foreign server ' || srvname FROM pg_foreign_server",
    "SELECT 'has the foreign data wrapper ' || fdwname FROM pg_foreign_data_wrapper",
    "SELECT 'has the publication ' || pubname FROM pg_publication",
    "SELECT 'has the event trigger ' || evtname FROM pg_event_trigger",
    "SELECT 'has large objects' FROM pg_largeobject_metadata LIMIT 1",
    """SELECT 'gives new objects to ' || CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END
       FROM pg_default_acl d, aclexplode(d.defaclacl) a
       WHERE a.grantee <> d.defaclrole""",
    """SELECT 'lets its login use the language ' || lanname FROM pg_language
       WHERE lanname NOT IN ('internal', 'c', 'sql') AND has_language_privilege(%(role)s, oid, 'USAGE')""",
    """SELECT 'lets its login call ' || p.proname FROM pg_proc p
       WHERE p.pronamespace = 'pg_catalog'::regnamespace AND has_function_privilege(%(role)s, p.oid, 'EXECUTE')
         AND p.proname IN ('lo_creat', 'lo_create', 'lo_from_bytea', 'lo_import', 'lo_export', 'lo_put',
                           'query_to_xml', 'query_to_xmlschema', 'query_to_xml_and_xmlschema', 'cursor_to_xml',
                           'table_to_xml', 'schema_to_xml', 'database_to_xml', 'ts_stat',
                           'lo_open', 'lo_get', 'lo_unlink', 'loread', 'lowrite',
                           'pg_read_file', 'pg_read_binary_file', 'pg_ls_dir', 'pg_stat_file', 'pg_ls_logdir',
                           'pg_ls_waldir', 'pg_hba_file_rules', 'pg_show_all_file_settings',
                           'pg_stat_get_activity', 'pg_stat_get_backend_activity', 'pg_lock_status',
                           'pg_log_backend_memory_contexts', 'pg_reload_conf', 'pg_rotate_logfile')""",
    """SELECT 'lets its login read ' || c.relname FROM pg_class c
       WHERE c.relnamespace = 'pg_catalog'::regnamespace AND has_table_privilege(%(role)s, c.oid, 'SELECT')
         AND c.relname IN ('pg_stat_activity', 'pg_locks', 'pg_database', 'pg_roles', 'pg_authid', 'pg_shadow',
                           'pg_user', 'pg_group', 'pg_auth_members', 'pg_db_role_setting', 'pg_shdescription',
                           'pg_shdepend', 'pg_prepared_xacts', 'pg_replication_slots', 'pg_stat_database',
                           'pg_stat_ssl', 'pg_hba_file_rules', 'pg_file_settings', 'pg_stat_replication')""",
)


def findings(session: Session, names: Names) -> list[Finding]:
    """Check the database that `session` is in, which should be that of `names`."""
    here = {"role": names.role, "owner": names.owner, "schema": SCHEMA}
    rows = session.execute(" UNION ALL ".join(f"({query})" for query in _QUERIES), here).fetchall()
    return [Finding(names.database, row[0]) for row in rows]
