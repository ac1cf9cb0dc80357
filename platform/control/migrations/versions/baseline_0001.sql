-- Frozen: a later change is a new revision. `tables.py` and the outcome of all revisions are compared by a test.

CREATE TABLE region (
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    CONSTRAINT pk_region PRIMARY KEY (id)
);

CREATE TABLE plan (
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    backup_interval_hours INTEGER,
    backup_retention_days INTEGER,
    CONSTRAINT pk_plan PRIMARY KEY (id)
);

CREATE TABLE operator_audit (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    operator TEXT NOT NULL,
    action TEXT NOT NULL,
    tenant_id TEXT,
    detail JSONB DEFAULT '{}' NOT NULL,
    CONSTRAINT pk_operator_audit PRIMARY KEY (id)
);

CREATE INDEX ix_operator_audit_tenant_id ON operator_audit (tenant_id);

CREATE TABLE verification (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    kind TEXT NOT NULL,
    at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    passed BOOLEAN NOT NULL,
    report JSONB NOT NULL,
    CONSTRAINT pk_verification PRIMARY KEY (id)
);

CREATE TABLE server (
    name TEXT NOT NULL,
    region_id TEXT NOT NULL,
    kind TEXT NOT NULL CONSTRAINT ck_server_kind CHECK (kind IN ('embedded', 'external')),
    host TEXT NOT NULL,
    port INTEGER NOT NULL,
    accepts_tenants BOOLEAN DEFAULT true NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_server PRIMARY KEY (name),
    CONSTRAINT fk_server_region_id FOREIGN KEY(region_id) REFERENCES region (id)
);

CREATE TABLE tenant (
    id TEXT NOT NULL CONSTRAINT ck_tenant_id CHECK (id ~ '^[a-z2-7]{16}$'),
    slug TEXT NOT NULL,
    name TEXT NOT NULL,
    plan_id TEXT NOT NULL,
    region_id TEXT NOT NULL,
    state TEXT NOT NULL CONSTRAINT ck_tenant_state CHECK (state IN ('pending','active','suspended','migrating','restoring','erased')),
    generation BIGINT DEFAULT 1 NOT NULL,
    placement_id TEXT,
    owner_email BYTEA,
    schema_revision TEXT,
    failure TEXT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    changed_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    erased_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_tenant PRIMARY KEY (id),
    CONSTRAINT fk_tenant_plan_id FOREIGN KEY(plan_id) REFERENCES plan (id),
    CONSTRAINT fk_tenant_region_id FOREIGN KEY(region_id) REFERENCES region (id)
);

CREATE UNIQUE INDEX uq_tenant_slug ON tenant (slug) WHERE state <> 'erased';

CREATE TABLE placement (
    id TEXT NOT NULL CONSTRAINT ck_placement_id CHECK (id ~ '^[a-z2-7]{16}$'),
    server_name TEXT NOT NULL,
    tenant_id TEXT,
    state TEXT NOT NULL CONSTRAINT ck_placement_state CHECK (state IN ('building','ready','current','retired','dropping','dropped')),
    schema_revision TEXT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    retired_at TIMESTAMP WITH TIME ZONE,
    drop_after TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_placement PRIMARY KEY (id),
    CONSTRAINT fk_placement_server_name FOREIGN KEY(server_name) REFERENCES server (name),
    CONSTRAINT fk_placement_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenant (id)
);

CREATE INDEX ix_placement_tenant_id ON placement (tenant_id);

CREATE TABLE backup (
    id TEXT NOT NULL,
    tenant_id TEXT,
    kind TEXT NOT NULL CONSTRAINT ck_backup_kind CHECK (kind IN ('tenant', 'control')),
    state TEXT NOT NULL CONSTRAINT ck_backup_state CHECK (state IN ('running','stored','verified','failed','unchanged')),
    unchanged_since TEXT,
    placement_id TEXT,
    schema_revision TEXT,
    object TEXT,
    bytes BIGINT,
    sha256 TEXT,
    fingerprint JSONB,
    manifest JSONB,
    receipts INTEGER,
    failure TEXT,
    lease_until TIMESTAMP WITH TIME ZONE,
    started_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    finished_at TIMESTAMP WITH TIME ZONE,
    verified_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_backup PRIMARY KEY (id),
    CONSTRAINT fk_backup_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenant (id),
    CONSTRAINT fk_backup_unchanged_since FOREIGN KEY(unchanged_since) REFERENCES backup (id)
);

CREATE INDEX ix_backup_tenant_started ON backup (tenant_id, started_at);

CREATE INDEX ix_backup_tenant_id ON backup (tenant_id);

ALTER TABLE tenant ADD CONSTRAINT fk_tenant_placement_id FOREIGN KEY(placement_id) REFERENCES placement (id) DEFERRABLE;

-- The operators' audit log only ever grows.
CREATE FUNCTION operator_audit_only_grows() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    RAISE EXCEPTION 'the operators'' audit log cannot be changed' USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON operator_audit
    FOR EACH STATEMENT EXECUTE FUNCTION operator_audit_only_grows();

INSERT INTO region (id, name) VALUES ('uk', 'United Kingdom'), ('eu', 'European Union');
INSERT INTO plan (id, name) VALUES ('free', 'Free'), ('pro', 'Pro'), ('team', 'Team');
