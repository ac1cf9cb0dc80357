-- The platform's own roles. Run as the superuser in the database `postgres`; may be run again.
-- Whether a role inherits is its own attribute: PostgreSQL 15 knows no other way, 16 and later take it from there.
DO $$
DECLARE
    wanted record;
BEGIN
    FOR wanted IN VALUES
        ('strongroom_owner', 'NOLOGIN INHERIT'),             -- owns tenants' databases, may end sessions in them
        ('tenant_logins', 'NOLOGIN NOINHERIT'),              -- every tenant's login is a member: for pg_hba.conf
        ('tenant_owners', 'NOLOGIN NOINHERIT'),              -- every owner of a tenant's tables: may write triggers
        ('strongroom_template_own', 'NOLOGIN INHERIT'),      -- owns what is in the template
        ('strongroom_control', 'LOGIN NOINHERIT'),           -- owns the control database
        ('strongroom_provisioner', 'LOGIN NOINHERIT CREATEDB'),
        ('strongroom_migrator', 'LOGIN INHERIT'),            -- REASSIGN OWNED asks for the rights of both owners
        ('strongroom_backup', 'LOGIN INHERIT')
    LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted.column1) THEN
            EXECUTE format('CREATE ROLE %I', wanted.column1);
        END IF;
        EXECUTE format('ALTER ROLE %I NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS', wanted.column1);
        EXECUTE format('ALTER ROLE %I %s', wanted.column1, wanted.column2);
    END LOOP;
END
$$;

GRANT strongroom_owner TO strongroom_provisioner;
GRANT pg_signal_backend TO strongroom_owner;  -- DROP DATABASE … WITH (FORCE)
GRANT strongroom_template_own TO strongroom_migrator;
GRANT tenant_owners TO strongroom_template_own;
GRANT pg_read_all_data, pg_read_all_stats TO strongroom_backup;

REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC;
GRANT CONNECT ON DATABASE postgres TO strongroom_provisioner;
-- The isolation gate reads the rules of who may log in. Access lists of system views belong to this database alone.
GRANT SELECT ON pg_hba_file_rules TO strongroom_provisioner;
GRANT EXECUTE ON FUNCTION pg_hba_file_rules() TO strongroom_provisioner;
-- A way back to this minute needs the log of this minute archived: the piece being written has to end.
GRANT EXECUTE ON FUNCTION pg_switch_wal() TO strongroom_provisioner;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
