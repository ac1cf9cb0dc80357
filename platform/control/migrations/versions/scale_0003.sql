-- Which processes of the platform live, and how many connections of each server they may hold. What is in here is worth
-- nothing after a crash of the server, so it is not logged.
CREATE UNLOGGED TABLE process (
    id text CONSTRAINT pk_process PRIMARY KEY,
    kind text NOT NULL CONSTRAINT ck_process_kind CHECK (kind IN ('web', 'worker', 'command')),
    host text NOT NULL,
    pid integer NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNLOGGED TABLE connection_lease (
    process_id text NOT NULL CONSTRAINT fk_connection_lease_process_id REFERENCES process (id) ON DELETE CASCADE,
    server_name text NOT NULL CONSTRAINT fk_connection_lease_server_name REFERENCES server (name) ON DELETE CASCADE,
    connections integer NOT NULL,
    wanted integer NOT NULL,
    lease_until timestamptz NOT NULL,
    counters jsonb NOT NULL DEFAULT '{}',
    CONSTRAINT pk_connection_lease PRIMARY KEY (process_id, server_name)
);

ALTER TABLE server
    ADD COLUMN connection_limit integer CONSTRAINT ck_server_connection_limit CHECK (connection_limit > 0),
    ADD COLUMN rules_are_ours boolean NOT NULL DEFAULT true,
    ADD COLUMN tls_authority text,
    ADD COLUMN pooler_host text,
    ADD COLUMN pooler_port integer,
    ADD COLUMN pooler_authority text;

-- Spares: finished databases that nobody has yet. A restore's or clone's database may have no tenant either while it is
-- filled, so only this mark says that one may be given to anybody.
ALTER TABLE placement
    ADD COLUMN spare boolean NOT NULL DEFAULT false
        CONSTRAINT ck_placement_spare CHECK (NOT spare OR tenant_id IS NULL);
CREATE INDEX ix_placement_spare ON placement (server_name, schema_revision) WHERE spare AND state = 'ready';

-- The schema upgrade of all tenants: one row per database and revision, so that it can be resumed. `upgraded` has the
-- revision and was not compared with the template yet, `differing` is not what the template is.
CREATE TABLE fleet_migration (
    revision text NOT NULL,
    placement_id text NOT NULL CONSTRAINT fk_fleet_migration_placement_id REFERENCES placement (id),
    state text NOT NULL CONSTRAINT ck_fleet_migration_state
        CHECK (state IN ('pending', 'running', 'upgraded', 'differing', 'done', 'failed')),
    attempts integer NOT NULL DEFAULT 0,
    failure text,
    changed_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_fleet_migration PRIMARY KEY (revision, placement_id)
);

-- Every process that keeps a tenant's or a server's record hears of its change when that is committed. One that has
-- missed the word finds it by `changed_at`.
CREATE INDEX ix_tenant_changed_at ON tenant (changed_at);
CREATE FUNCTION announce_tenant() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('strongroom_tenant', json_build_object(
        'id', NEW.id, 'generation', NEW.generation,
        'slugs', CASE WHEN TG_OP = 'UPDATE' THEN ARRAY[NEW.slug, OLD.slug] ELSE ARRAY[NEW.slug] END)::text);
    RETURN NULL;
END
$$;
CREATE TRIGGER announce AFTER INSERT OR UPDATE OF slug, state, generation, placement_id ON tenant
    FOR EACH ROW EXECUTE FUNCTION announce_tenant();
CREATE FUNCTION announce_server() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('strongroom_server', NEW.name);
    RETURN NULL;
END
$$;
CREATE TRIGGER announce AFTER INSERT OR UPDATE ON server FOR EACH ROW EXECUTE FUNCTION announce_server();
