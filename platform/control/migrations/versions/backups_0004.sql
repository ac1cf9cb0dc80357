-- Where each backup lies. `stored`: the object and its descriptor are durable there.
CREATE TABLE backup_copy (
    backup_id text NOT NULL CONSTRAINT fk_backup_copy_backup_id REFERENCES backup (id) ON DELETE CASCADE,
    store text NOT NULL,
    state text NOT NULL CONSTRAINT ck_backup_copy_state CHECK (state IN ('pending', 'stored', 'failed')),
    attempts integer NOT NULL DEFAULT 0,
    failure text,
    next_try_at timestamptz NOT NULL DEFAULT now(),
    stored_at timestamptz,
    checked_at timestamptz,
    CONSTRAINT pk_backup_copy PRIMARY KEY (backup_id, store)
);
CREATE INDEX ix_backup_copy_state_next_try_at ON backup_copy (state, next_try_at);
INSERT INTO backup_copy (backup_id, store, state, stored_at)
    SELECT id, 'local', 'stored', finished_at FROM backup WHERE object IS NOT NULL AND bytes IS NOT NULL;

-- When a backup is taken, and what is kept of it. Null: the installation's setting.
ALTER TABLE plan
    ADD COLUMN backup_window text,
    ADD COLUMN backup_keep_weekly integer,
    ADD COLUMN backup_keep_monthly integer,
    ADD COLUMN backup_keep_yearly integer;

-- Base backups of whole servers, for the way back to any second. `archive_key` is the day whose key opens it.
CREATE TABLE base_backup (
    id text CONSTRAINT pk_base_backup PRIMARY KEY,
    server_name text NOT NULL CONSTRAINT fk_base_backup_server_name REFERENCES server (name),
    state text NOT NULL CONSTRAINT ck_base_backup_state CHECK (state IN ('running', 'stored', 'failed', 'expired')),
    store text NOT NULL,
    archive_key text NOT NULL,
    system_id text,
    timeline integer,
    start_wal text,
    stop_wal text,
    bytes bigint,
    failure text,
    lease_until timestamptz,
    started_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz
);
CREATE INDEX ix_base_backup_server_name ON base_backup (server_name, started_at);

-- An address is taken until the erasure of its account has come to its end: then the id stands in its place.
DROP INDEX uq_tenant_slug;
CREATE UNIQUE INDEX uq_tenant_slug ON tenant (slug) WHERE slug <> id;

-- The erasure of an account, step by step. `detail` holds what each step has found and removed.
CREATE TABLE erasure (
    tenant_id text NOT NULL CONSTRAINT fk_erasure_tenant_id REFERENCES tenant (id),
    step text NOT NULL,
    operator text NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    detail jsonb NOT NULL DEFAULT '{}',
    certificate jsonb,
    CONSTRAINT pk_erasure PRIMARY KEY (tenant_id)
);

-- People who were erased from a workspace that goes on: whatever is restored forgets them again.
CREATE TABLE forgotten_person (
    tenant_id text NOT NULL CONSTRAINT fk_forgotten_person_tenant_id REFERENCES tenant (id),
    member_id uuid NOT NULL,
    operator text NOT NULL,
    forgotten_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_forgotten_person PRIMARY KEY (tenant_id, member_id)
);

-- What operators were told of, so that they hear of each trouble once, and of its end.
CREATE TABLE alarm (
    kind text NOT NULL,
    subject text NOT NULL,
    detail text NOT NULL,
    raised_at timestamptz NOT NULL DEFAULT now(),
    mailed_at timestamptz,
    CONSTRAINT pk_alarm PRIMARY KEY (kind, subject)
);

-- Receipts that a backup lacks because their origin had lost them before it could copy them.
ALTER TABLE backup ADD COLUMN receipts_lost integer NOT NULL DEFAULT 0;
