-- What the provisioner may do about roles, and nothing else. Run as the superuser in the database `postgres`.
CREATE SCHEMA IF NOT EXISTS strongroom;
REVOKE ALL ON SCHEMA strongroom FROM PUBLIC;
GRANT USAGE ON SCHEMA strongroom TO strongroom_provisioner;

-- Makes the login t_<pid> and the owner t_<pid>_own of a placement. May be called again with the same verifier; another
-- one is refused: whoever makes tenants must not be able to set the login of one that exists and read it.
CREATE OR REPLACE FUNCTION strongroom.create_tenant_roles(pid text, verifier text, connection_limit integer)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    login text := 't_' || pid;
    owner text := 't_' || pid || '_own';
    known text;
BEGIN
    IF pid IS NULL OR pid !~ '^[a-z2-7]{16}$' THEN
        RAISE EXCEPTION 'not the id of a placement' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF verifier IS NULL
       OR verifier !~ '^SCRAM-SHA-256\$[0-9]{4,7}:[A-Za-z0-9+/]{22,86}=*\$[A-Za-z0-9+/]{43}=:[A-Za-z0-9+/]{43}=$' THEN
        RAISE EXCEPTION 'not a SCRAM-SHA-256 verifier' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF connection_limit IS NULL OR connection_limit NOT BETWEEN 1 AND 10000 THEN
        RAISE EXCEPTION 'not a connection limit' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = owner) THEN
        EXECUTE format(
            'CREATE ROLE %I NOLOGIN INHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS', owner);
    END IF;
    EXECUTE format('GRANT %I TO strongroom_migrator', owner);
    EXECUTE format('GRANT tenant_owners TO %I', owner);
    SELECT rolpassword INTO known FROM pg_authid WHERE rolname = login;
    IF NOT FOUND THEN
        EXECUTE format(
            'CREATE ROLE %I LOGIN NOINHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS'
            ' CONNECTION LIMIT %s PASSWORD %L', login, connection_limit, verifier);
    ELSIF known IS DISTINCT FROM verifier THEN
        RAISE EXCEPTION 'the role exists with another login' USING ERRCODE = 'duplicate_object';
    ELSE
        EXECUTE format('ALTER ROLE %I CONNECTION LIMIT %s', login, connection_limit);
    END IF;
    -- Where PostgreSQL can say so: counted by pg_hba.conf, but nobody can become the group and change its password.
    EXECUTE format('GRANT tenant_logins TO %I', login)
        || CASE WHEN current_setting('server_version_num')::integer >= 160000 THEN ' WITH SET FALSE' ELSE '' END;
END
$$;

-- Drops both roles of a placement. PostgreSQL refuses while anything belongs to them or is granted to them.
CREATE OR REPLACE FUNCTION strongroom.drop_tenant_roles(pid text)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF pid IS NULL OR pid !~ '^[a-z2-7]{16}$' THEN
        RAISE EXCEPTION 'not the id of a placement' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF EXISTS (SELECT FROM pg_database WHERE datname = 't_' || pid) THEN
        RAISE EXCEPTION 'its database is still there' USING ERRCODE = 'dependent_objects_still_exist';
    END IF;
    EXECUTE format('DROP ROLE IF EXISTS %I, %I', 't_' || pid, 't_' || pid || '_own');
END
$$;

-- Says whether a login is still the one that the key store knows: every role may change its own password.
CREATE OR REPLACE FUNCTION strongroom.verifier_matches(pid text, verifier text)
RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT EXISTS (SELECT FROM pg_authid WHERE rolname = 't_' || pid AND rolpassword = verifier)
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA strongroom FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA strongroom TO strongroom_provisioner;
