-- Closes the template that tenants' databases are copied from, while it is still empty. Run in it as the superuser.
-- Access lists of system catalogs belong to a database, so every copy has them too.
DROP SCHEMA IF EXISTS public;
GRANT CREATE ON DATABASE strongroom_template TO strongroom_template_own;

REVOKE USAGE ON LANGUAGE sql, plpgsql FROM PUBLIC;
GRANT USAGE ON LANGUAGE sql, plpgsql TO tenant_owners;

DO $$
DECLARE
    thing record;
BEGIN
    -- What shows other tenants' databases, roles, sessions and activity.
    FOR thing IN
        SELECT oid::regclass AS name FROM pg_class
        WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind IN ('r', 'v') AND (
            relname IN ('pg_database', 'pg_roles', 'pg_user', 'pg_group', 'pg_auth_members', 'pg_db_role_setting',
                        'pg_shdepend', 'pg_shdescription', 'pg_shseclabel', 'pg_locks', 'pg_prepared_xacts',
                        'pg_replication_slots', 'pg_stat_activity', 'pg_stat_replication', 'pg_stat_replication_slots',
                        'pg_stat_wal_receiver', 'pg_stat_subscription', 'pg_stat_ssl', 'pg_stat_gssapi',
                        'pg_stat_database', 'pg_stat_database_conflicts')
            OR relname LIKE 'pg\_stat\_progress\_%')
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM PUBLIC', thing.name);
        EXECUTE format('GRANT SELECT ON %s TO strongroom_migrator, strongroom_backup', thing.name);
    END LOOP;
    FOR thing IN
        SELECT oid::regprocedure AS name FROM pg_proc
        WHERE pronamespace = 'pg_catalog'::regnamespace AND (
            proname IN ('pg_stat_get_activity', 'pg_stat_get_progress_info', 'pg_lock_status', 'pg_prepared_xact',
                        'pg_get_replication_slots', 'pg_stat_get_wal_senders', 'pg_stat_get_wal_receiver',
                        'pg_stat_get_subscription')
            OR proname LIKE 'pg\_stat\_get\_backend\_%' OR proname LIKE 'pg\_stat\_get\_db\_%')
    LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', thing.name);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO strongroom_migrator, strongroom_backup', thing.name);
    END LOOP;
    -- Large objects lie outside of all tables; the others run a statement that they are handed as text.
    FOR thing IN
        SELECT oid::regprocedure AS name FROM pg_proc
        WHERE pronamespace = 'pg_catalog'::regnamespace AND (
            proname LIKE 'lo\_%' OR proname IN ('loread', 'lowrite', 'ts_stat')
            OR proname ~ '^(query|cursor|table|schema|database)_to_xml'
            OR oid = 'pg_catalog.ts_rewrite(tsquery, text)'::regprocedure)
    LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', thing.name);
    END LOOP;
END
$$;
