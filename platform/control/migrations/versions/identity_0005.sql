-- Frozen: a later change is a new revision. `tables.py` and the outcome of all revisions are compared by a test.

ALTER TABLE plan ADD COLUMN requires_second_factor BOOLEAN DEFAULT false NOT NULL;
UPDATE plan SET requires_second_factor = true WHERE id = 'team';

CREATE UNLOGGED TABLE rate_limit (
    key TEXT NOT NULL,
    hits TIMESTAMP WITH TIME ZONE[] DEFAULT '{}' NOT NULL,
    count INTEGER DEFAULT 0 NOT NULL,
    free_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_rate_limit PRIMARY KEY (key)
);
CREATE INDEX ix_rate_limit_expires_at ON rate_limit (expires_at);

CREATE TABLE payment_method (
    tenant_id TEXT NOT NULL,
    token TEXT NOT NULL,
    brand TEXT NOT NULL,
    last_four TEXT NOT NULL CONSTRAINT ck_payment_method_last_four CHECK (last_four ~ '^[0-9]{4}$'),
    changed_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_payment_method PRIMARY KEY (tenant_id),
    CONSTRAINT fk_payment_method_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenant (id) ON DELETE CASCADE
);

CREATE TABLE mail_standing (
    tenant_id TEXT NOT NULL,
    waiting INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    oldest_at TIMESTAMP WITH TIME ZONE,
    counted_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_mail_standing PRIMARY KEY (tenant_id),
    CONSTRAINT fk_mail_standing_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenant (id) ON DELETE CASCADE
);

CREATE TABLE payment_event (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    external_id TEXT NOT NULL,
    type TEXT NOT NULL,
    tenant_id TEXT,
    content JSONB NOT NULL,
    occurred_at TIMESTAMP WITH TIME ZONE NOT NULL,
    sent_at TIMESTAMP WITH TIME ZONE NOT NULL,
    received_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    processed_at TIMESTAMP WITH TIME ZONE,
    error TEXT,
    CONSTRAINT pk_payment_event PRIMARY KEY (id),
    CONSTRAINT uq_payment_event_external_id UNIQUE (external_id),
    CONSTRAINT fk_payment_event_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenant (id) ON DELETE CASCADE
);
CREATE INDEX ix_payment_event_tenant_id ON payment_event (tenant_id, type, occurred_at);

CREATE TABLE webhook_count (
    outcome TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    CONSTRAINT pk_webhook_count PRIMARY KEY (outcome)
);

CREATE TABLE web_event (
    name TEXT NOT NULL,
    day DATE NOT NULL,
    count BIGINT NOT NULL,
    CONSTRAINT pk_web_event PRIMARY KEY (name, day)
);
