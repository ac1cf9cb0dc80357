-- Frozen: a later change is a new revision. `tables/` and the outcome of all revisions are compared by a test.

CREATE TABLE app.webhook_event (
    id UUID NOT NULL,
    type TEXT NOT NULL,
    payload BYTEA NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_webhook_event PRIMARY KEY (id)
);
CREATE INDEX ix_webhook_event_created_at ON app.webhook_event (created_at);

CREATE TABLE app.api_token (
    id UUID NOT NULL,
    member_id UUID NOT NULL,
    token_hash BYTEA NOT NULL,
    hint TEXT NOT NULL,
    name BYTEA NOT NULL,
    scopes JSONB NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    last_used_at TIMESTAMP WITH TIME ZONE,
    last_address INET,
    revoked_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_api_token PRIMARY KEY (id),
    CONSTRAINT fk_api_token_member_id FOREIGN KEY(member_id) REFERENCES app.member (id),
    CONSTRAINT uq_api_token_token_hash UNIQUE (token_hash)
);
CREATE INDEX ix_api_token_member_id ON app.api_token (member_id);

CREATE TABLE app.card (
    id UUID NOT NULL,
    member_id UUID NOT NULL,
    token TEXT NOT NULL,
    brand TEXT NOT NULL,
    last_four CHAR(4) NOT NULL CONSTRAINT ck_card_last_four CHECK (last_four ~ '^[0-9]{4}$'),
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    removed_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_card PRIMARY KEY (id),
    CONSTRAINT fk_card_member_id FOREIGN KEY(member_id) REFERENCES app.member (id),
    CONSTRAINT uq_card_token UNIQUE (token)
);
CREATE INDEX ix_card_member_id ON app.card (member_id);

CREATE TABLE app.challenge (
    id UUID NOT NULL,
    token_hash BYTEA NOT NULL,
    purpose TEXT NOT NULL CONSTRAINT ck_challenge_purpose CHECK (purpose IN ('second_factor', 'passkey_enrol', 'passkey_sign_in', 'passkey_second', 'step_up')),
    member_id UUID,
    content BYTEA,
    failures INTEGER DEFAULT 0 NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    used_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_challenge PRIMARY KEY (id),
    CONSTRAINT uq_challenge_token_hash UNIQUE (token_hash),
    CONSTRAINT fk_challenge_member_id FOREIGN KEY(member_id) REFERENCES app.member (id)
);
CREATE INDEX ix_challenge_member_id ON app.challenge (member_id);

CREATE TABLE app.device (
    id UUID NOT NULL,
    member_id UUID NOT NULL,
    token_hash BYTEA NOT NULL,
    user_agent BYTEA,
    country CHAR(2),
    first_seen_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    last_seen_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_device PRIMARY KEY (id),
    CONSTRAINT uq_device_member_id_token_hash UNIQUE (member_id, token_hash),
    CONSTRAINT fk_device_member_id FOREIGN KEY(member_id) REFERENCES app.member (id)
);

CREATE TABLE app.mail_link (
    id UUID NOT NULL,
    token_hash BYTEA NOT NULL,
    purpose TEXT NOT NULL CONSTRAINT ck_mail_link_purpose CHECK (purpose IN ('reset', 'not_me', 'unlock')),
    member_id UUID NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    used_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_mail_link PRIMARY KEY (id),
    CONSTRAINT uq_mail_link_token_hash UNIQUE (token_hash),
    CONSTRAINT fk_mail_link_member_id FOREIGN KEY(member_id) REFERENCES app.member (id)
);
CREATE INDEX ix_mail_link_member_id ON app.mail_link (member_id);

CREATE TABLE app.ownership_transfer (
    id UUID NOT NULL,
    from_id UUID NOT NULL,
    to_id UUID NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    accepted_at TIMESTAMP WITH TIME ZONE,
    cancelled_at TIMESTAMP WITH TIME ZONE,
    stays_owner BOOLEAN DEFAULT false NOT NULL,
    CONSTRAINT pk_ownership_transfer PRIMARY KEY (id),
    CONSTRAINT fk_ownership_transfer_from_id FOREIGN KEY(from_id) REFERENCES app.member (id),
    CONSTRAINT fk_ownership_transfer_to_id FOREIGN KEY(to_id) REFERENCES app.member (id)
);
CREATE UNIQUE INDEX uq_ownership_transfer_open ON app.ownership_transfer ((true)) WHERE accepted_at IS NULL AND cancelled_at IS NULL;

CREATE TABLE app.passkey (
    id UUID NOT NULL,
    member_id UUID NOT NULL,
    credential_id BYTEA NOT NULL,
    public_key BYTEA NOT NULL,
    sign_count BIGINT DEFAULT 0 NOT NULL,
    transports jsonb DEFAULT '[]' NOT NULL,
    backed_up BOOLEAN DEFAULT false NOT NULL,
    name BYTEA NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    last_used_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_passkey PRIMARY KEY (id),
    CONSTRAINT fk_passkey_member_id FOREIGN KEY(member_id) REFERENCES app.member (id),
    CONSTRAINT uq_passkey_credential_id UNIQUE (credential_id)
);
CREATE INDEX ix_passkey_member_id ON app.passkey (member_id);

CREATE TABLE app.permission_use (
    member_id UUID NOT NULL,
    permission TEXT NOT NULL,
    last_used_on DATE NOT NULL,
    CONSTRAINT pk_permission_use PRIMARY KEY (member_id, permission),
    CONSTRAINT fk_permission_use_member_id FOREIGN KEY(member_id) REFERENCES app.member (id)
);

CREATE TABLE app.recovery_code (
    id UUID NOT NULL,
    member_id UUID NOT NULL,
    code_hash BYTEA NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    used_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_recovery_code PRIMARY KEY (id),
    CONSTRAINT fk_recovery_code_member_id FOREIGN KEY(member_id) REFERENCES app.member (id),
    CONSTRAINT uq_recovery_code_code_hash UNIQUE (code_hash)
);
CREATE INDEX ix_recovery_code_member_id ON app.recovery_code (member_id);

CREATE TABLE app.totp (
    id UUID NOT NULL,
    member_id UUID NOT NULL,
    secret BYTEA NOT NULL,
    last_counter BIGINT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    confirmed_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_totp PRIMARY KEY (id),
    CONSTRAINT uq_totp_member_id UNIQUE (member_id),
    CONSTRAINT fk_totp_member_id FOREIGN KEY(member_id) REFERENCES app.member (id)
);

CREATE TABLE app.webhook_endpoint (
    id UUID NOT NULL,
    url BYTEA NOT NULL,
    description BYTEA NOT NULL,
    events JSONB NOT NULL,
    secret BYTEA NOT NULL,
    previous_secret BYTEA,
    previous_until TIMESTAMP WITH TIME ZONE,
    created_by UUID NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    paused_at TIMESTAMP WITH TIME ZONE,
    pause_reason TEXT,
    failing_since TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_webhook_endpoint PRIMARY KEY (id),
    CONSTRAINT fk_webhook_endpoint_created_by FOREIGN KEY(created_by) REFERENCES app.member (id)
);

CREATE TABLE app.idempotency_key (
    id UUID NOT NULL,
    api_token_id UUID NOT NULL,
    key_hash BYTEA NOT NULL,
    request_hash BYTEA NOT NULL,
    status SMALLINT NOT NULL,
    body BYTEA NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_idempotency_key PRIMARY KEY (id),
    CONSTRAINT uq_idempotency_key_api_token_id_key_hash UNIQUE (api_token_id, key_hash),
    CONSTRAINT fk_idempotency_key_api_token_id FOREIGN KEY(api_token_id) REFERENCES app.api_token (id)
);
CREATE INDEX ix_idempotency_key_created_at ON app.idempotency_key (created_at);

CREATE TABLE app.webhook_delivery (
    id UUID NOT NULL,
    endpoint_id UUID NOT NULL,
    event_id UUID NOT NULL,
    state TEXT DEFAULT 'waiting' NOT NULL CONSTRAINT ck_webhook_delivery_state CHECK (state IN ('waiting', 'delivered', 'failed', 'cancelled')),
    attempts INTEGER DEFAULT 0 NOT NULL,
    next_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    finished_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_webhook_delivery PRIMARY KEY (id),
    CONSTRAINT fk_webhook_delivery_endpoint_id FOREIGN KEY(endpoint_id) REFERENCES app.webhook_endpoint (id) ON DELETE CASCADE,
    CONSTRAINT fk_webhook_delivery_event_id FOREIGN KEY(event_id) REFERENCES app.webhook_event (id) ON DELETE CASCADE
);
CREATE INDEX ix_webhook_delivery_endpoint_id ON app.webhook_delivery (endpoint_id, created_at);
CREATE INDEX ix_webhook_delivery_event_id ON app.webhook_delivery (event_id);
CREATE INDEX ix_webhook_delivery_waiting ON app.webhook_delivery (next_at) WHERE state = 'waiting';

CREATE TABLE app.card_feed (
    id UUID NOT NULL,
    secret BYTEA NOT NULL,
    previous_secret BYTEA,
    previous_until TIMESTAMP WITH TIME ZONE,
    created_by UUID NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_card_feed PRIMARY KEY (id),
    CONSTRAINT fk_card_feed_created_by FOREIGN KEY(created_by) REFERENCES app.member (id)
);

CREATE TABLE app.incoming_event (
    id UUID NOT NULL,
    source TEXT NOT NULL,
    external_id TEXT NOT NULL,
    payload BYTEA NOT NULL,
    sent_at TIMESTAMP WITH TIME ZONE NOT NULL,
    received_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    processed_at TIMESTAMP WITH TIME ZONE,
    error TEXT,
    expense_id UUID,
    CONSTRAINT pk_incoming_event PRIMARY KEY (id),
    CONSTRAINT uq_incoming_event_source_external_id UNIQUE (source, external_id),
    CONSTRAINT fk_incoming_event_expense_id FOREIGN KEY(expense_id) REFERENCES app.expense (id) ON DELETE SET NULL
);
CREATE INDEX ix_incoming_event_expense_id ON app.incoming_event (expense_id);
CREATE INDEX ix_incoming_event_unprocessed ON app.incoming_event (received_at) WHERE processed_at IS NULL;

CREATE TABLE app.webhook_attempt (
    id UUID NOT NULL,
    delivery_id UUID NOT NULL,
    at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    status SMALLINT,
    error TEXT,
    milliseconds INTEGER NOT NULL,
    CONSTRAINT pk_webhook_attempt PRIMARY KEY (id),
    CONSTRAINT fk_webhook_attempt_delivery_id FOREIGN KEY(delivery_id) REFERENCES app.webhook_delivery (id) ON DELETE CASCADE
);
CREATE INDEX ix_webhook_attempt_delivery_id ON app.webhook_attempt (delivery_id, at);

ALTER TABLE app.session
    ADD COLUMN device_id UUID CONSTRAINT fk_session_device_id REFERENCES app.device (id),
    ADD COLUMN country CHAR(2),
    ADD COLUMN method TEXT DEFAULT 'password' NOT NULL CONSTRAINT ck_session_method CHECK (method IN ('password', 'totp', 'recovery_code', 'passkey', 'passkey_second', 'invitation')),
    ADD COLUMN stepped_up_at TIMESTAMP WITH TIME ZONE,
    ADD COLUMN previous_hash BYTEA CONSTRAINT uq_session_previous_hash UNIQUE,
    ADD COLUMN previous_until TIMESTAMP WITH TIME ZONE;

ALTER TABLE app.outbox
    ADD COLUMN attempts INTEGER DEFAULT 0 NOT NULL,
    ADD COLUMN next_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    ADD COLUMN last_error TEXT,
    ADD COLUMN handed_over_at TIMESTAMP WITH TIME ZONE,
    ADD COLUMN failed_at TIMESTAMP WITH TIME ZONE;
DROP INDEX app.ix_outbox_unsent;
CREATE INDEX ix_outbox_unsent ON app.outbox (next_at) WHERE sent_at IS NULL AND failed_at IS NULL;
