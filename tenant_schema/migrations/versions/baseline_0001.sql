-- Frozen: a later change is a new revision. `tables.py` and the outcome of all revisions are compared by a test.

CREATE TABLE app.category (
    id uuid NOT NULL,
    name text NOT NULL,
    active boolean DEFAULT true NOT NULL,
    position integer DEFAULT 0 NOT NULL,
    CONSTRAINT pk_category PRIMARY KEY (id),
    CONSTRAINT uq_category_name UNIQUE (name)
);

CREATE TABLE app.member (
    id uuid NOT NULL,
    email bytea NOT NULL,
    email_index bytea NOT NULL,
    name bytea NOT NULL,
    password_hash text,
    role text NOT NULL CONSTRAINT ck_member_role CHECK (role IN ('owner', 'admin', 'member', 'contributor', 'read_only')),
    state text DEFAULT 'active' NOT NULL CONSTRAINT ck_member_state CHECK (state IN ('active', 'removed')),
    approver_id uuid,
    created_at timestamptz DEFAULT now() NOT NULL,
    last_seen_at timestamptz,
    CONSTRAINT pk_member PRIMARY KEY (id),
    CONSTRAINT uq_member_email_index UNIQUE (email_index),
    CONSTRAINT fk_member_approver_id FOREIGN KEY (approver_id) REFERENCES app.member (id)
);

CREATE TABLE app.outbox (
    id uuid NOT NULL,
    recipient bytea NOT NULL,
    subject bytea NOT NULL,
    body bytea NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    sent_at timestamptz,
    CONSTRAINT pk_outbox PRIMARY KEY (id)
);
CREATE INDEX ix_outbox_unsent ON app.outbox (created_at) WHERE sent_at IS NULL;

CREATE TABLE app.setting (
    key text NOT NULL,
    value jsonb NOT NULL,
    CONSTRAINT pk_setting PRIMARY KEY (key)
);

CREATE TABLE app.audit_event (
    id uuid NOT NULL,
    at timestamptz DEFAULT now() NOT NULL,
    actor_id uuid,
    action text NOT NULL,
    object_type text,
    object_id uuid,
    detail jsonb DEFAULT '{}' NOT NULL,
    CONSTRAINT pk_audit_event PRIMARY KEY (id),
    CONSTRAINT fk_audit_event_actor_id FOREIGN KEY (actor_id) REFERENCES app.member (id)
);
CREATE INDEX ix_audit_event_at ON app.audit_event (at);
CREATE INDEX ix_audit_event_object ON app.audit_event (object_type, object_id, at);

CREATE TABLE app.invitation (
    id uuid NOT NULL,
    token_hash bytea NOT NULL,
    email bytea NOT NULL,
    email_index bytea NOT NULL,
    role text NOT NULL CONSTRAINT ck_invitation_role CHECK (role IN ('owner', 'admin', 'member', 'contributor', 'read_only')),
    invited_by uuid,
    created_at timestamptz DEFAULT now() NOT NULL,
    expires_at timestamptz NOT NULL,
    accepted_at timestamptz,
    revoked_at timestamptz,
    CONSTRAINT pk_invitation PRIMARY KEY (id),
    CONSTRAINT uq_invitation_token_hash UNIQUE (token_hash),
    CONSTRAINT fk_invitation_invited_by FOREIGN KEY (invited_by) REFERENCES app.member (id)
);
CREATE INDEX ix_invitation_email_index ON app.invitation (email_index);

CREATE TABLE app.receipt (
    id uuid NOT NULL,
    uploaded_by uuid NOT NULL,
    file_name bytea NOT NULL,
    media_type text NOT NULL CONSTRAINT ck_receipt_media_type CHECK (media_type IN ('image/jpeg', 'image/png', 'image/webp', 'application/pdf')),
    size bigint NOT NULL,
    object text NOT NULL,
    sha256 text NOT NULL,
    content_mac bytea NOT NULL,
    preview_object text,
    preview_sha256 text,
    width integer,
    height integer,
    created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_receipt PRIMARY KEY (id),
    CONSTRAINT fk_receipt_uploaded_by FOREIGN KEY (uploaded_by) REFERENCES app.member (id)
);
CREATE INDEX ix_receipt_content_mac ON app.receipt (content_mac);
CREATE INDEX ix_receipt_uploaded_by ON app.receipt (uploaded_by);

CREATE TABLE app.report (
    id uuid NOT NULL,
    member_id uuid NOT NULL,
    title text NOT NULL,
    state text NOT NULL CONSTRAINT ck_report_state CHECK (state IN ('submitted', 'returned', 'withdrawn', 'approved', 'closed')),
    payment text DEFAULT 'none' NOT NULL CONSTRAINT ck_report_payment CHECK (payment IN ('none', 'due', 'paid')),
    return_reason bytea,
    version integer DEFAULT 1 NOT NULL,
    submitted_at timestamptz DEFAULT now() NOT NULL,
    decided_at timestamptz,
    paid_at timestamptz,
    CONSTRAINT pk_report PRIMARY KEY (id),
    CONSTRAINT fk_report_member_id FOREIGN KEY (member_id) REFERENCES app.member (id)
);
CREATE INDEX ix_report_member_id ON app.report (member_id);
CREATE INDEX ix_report_state_submitted_at ON app.report (state, submitted_at);

CREATE TABLE app.session (
    id uuid NOT NULL,
    token_hash bytea NOT NULL,
    member_id uuid NOT NULL,
    address inet,
    user_agent bytea,
    created_at timestamptz DEFAULT now() NOT NULL,
    last_seen_at timestamptz DEFAULT now() NOT NULL,
    revoked_at timestamptz,
    CONSTRAINT pk_session PRIMARY KEY (id),
    CONSTRAINT uq_session_token_hash UNIQUE (token_hash),
    CONSTRAINT fk_session_member_id FOREIGN KEY (member_id) REFERENCES app.member (id)
);
CREATE INDEX ix_session_member_id ON app.session (member_id);

CREATE TABLE app.approval_step (
    id uuid NOT NULL,
    report_id uuid NOT NULL,
    position smallint NOT NULL,
    approver_id uuid,
    decided_by uuid,
    decision text CONSTRAINT ck_approval_step_decision CHECK (decision IN ('approved', 'returned')),
    decided_at timestamptz,
    CONSTRAINT pk_approval_step PRIMARY KEY (id),
    CONSTRAINT uq_approval_step_report_id_position UNIQUE (report_id, position),
    CONSTRAINT fk_approval_step_report_id FOREIGN KEY (report_id) REFERENCES app.report (id),
    CONSTRAINT fk_approval_step_approver_id FOREIGN KEY (approver_id) REFERENCES app.member (id),
    CONSTRAINT fk_approval_step_decided_by FOREIGN KEY (decided_by) REFERENCES app.member (id)
);
CREATE INDEX ix_approval_step_approver_id ON app.approval_step (approver_id);
CREATE INDEX ix_approval_step_report_id ON app.approval_step (report_id);

CREATE TABLE app.expense (
    id uuid NOT NULL,
    member_id uuid NOT NULL,
    category_id uuid NOT NULL,
    report_id uuid,
    state text DEFAULT 'draft' NOT NULL CONSTRAINT ck_expense_state CHECK (state IN ('draft', 'submitted', 'returned', 'approved')),
    spent_on date NOT NULL,
    merchant text NOT NULL CONSTRAINT ck_expense_merchant CHECK (length(merchant) BETWEEN 1 AND 200),
    amount numeric(19, 4) NOT NULL,
    currency char(3) NOT NULL,
    digits smallint NOT NULL CONSTRAINT ck_expense_digits CHECK (digits BETWEEN 0 AND 4),
    tax_amount numeric(19, 4),
    fx_rate numeric(20, 10) DEFAULT 1 NOT NULL,
    fx_date date,
    fx_source text,
    base_amount numeric(19, 4) NOT NULL,
    base_currency char(3) NOT NULL,
    note bytea,
    version integer DEFAULT 1 NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    changed_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_expense PRIMARY KEY (id),
    CONSTRAINT ck_expense_amount_digits CHECK (amount = round(amount, digits)),
    CONSTRAINT ck_expense_amount_not_zero CHECK (amount NOT IN (0, 'NaN')),
    CONSTRAINT ck_expense_fx_rate CHECK (fx_rate > 0),
    CONSTRAINT fk_expense_member_id FOREIGN KEY (member_id) REFERENCES app.member (id),
    CONSTRAINT fk_expense_category_id FOREIGN KEY (category_id) REFERENCES app.category (id),
    CONSTRAINT fk_expense_report_id FOREIGN KEY (report_id) REFERENCES app.report (id)
);
CREATE INDEX ix_expense_category_id ON app.expense (category_id);
CREATE INDEX ix_expense_member_spent_on ON app.expense (member_id, spent_on DESC, id DESC);
CREATE INDEX ix_expense_report_id ON app.expense (report_id);
CREATE INDEX ix_expense_spent_on_id ON app.expense (spent_on DESC, id DESC);
CREATE INDEX ix_expense_state_spent_on ON app.expense (state, spent_on DESC, id DESC);

CREATE TABLE app.expense_receipt (
    expense_id uuid NOT NULL,
    receipt_id uuid NOT NULL,
    position smallint DEFAULT 0 NOT NULL,
    CONSTRAINT pk_expense_receipt PRIMARY KEY (expense_id, receipt_id),
    CONSTRAINT fk_expense_receipt_expense_id FOREIGN KEY (expense_id) REFERENCES app.expense (id) ON DELETE CASCADE,
    CONSTRAINT fk_expense_receipt_receipt_id FOREIGN KEY (receipt_id) REFERENCES app.receipt (id)
);
CREATE INDEX ix_expense_receipt_receipt_id ON app.expense_receipt (receipt_id);

-- What is approved stays as it is; a correction is a row of its own.

CREATE FUNCTION app.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TRIGGER expense_stays_approved BEFORE UPDATE OR DELETE ON app.expense
FOR EACH ROW WHEN (OLD.state = 'approved')
EXECUTE FUNCTION app.refuse_change('an approved expense does not change');

-- Of an approved report only the payment may change, and it may be closed.
CREATE TRIGGER report_stays_approved BEFORE UPDATE ON app.report
FOR EACH ROW WHEN (
    OLD.state IN ('approved', 'closed')
    AND (
        (NEW.id, NEW.member_id, NEW.title, NEW.return_reason, NEW.submitted_at, NEW.decided_at)
        IS DISTINCT FROM (OLD.id, OLD.member_id, OLD.title, OLD.return_reason, OLD.submitted_at, OLD.decided_at)
        OR NEW.state NOT IN (OLD.state, 'closed')
    )
)
EXECUTE FUNCTION app.refuse_change('an approved report does not change');

CREATE TRIGGER report_stays_there BEFORE DELETE ON app.report
FOR EACH ROW WHEN (OLD.state IN ('approved', 'closed'))
EXECUTE FUNCTION app.refuse_change('an approved report is not deleted');

CREATE TRIGGER decision_stays BEFORE UPDATE OR DELETE ON app.approval_step
FOR EACH ROW WHEN (OLD.decision IS NOT NULL)
EXECUTE FUNCTION app.refuse_change('a decision does not change');

CREATE FUNCTION app.keep_receipts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM app.expense WHERE id = OLD.expense_id AND state = 'approved') THEN
        RAISE EXCEPTION 'the receipts of an approved expense stay with it' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END
$$;

CREATE TRIGGER receipts_stay BEFORE UPDATE OR DELETE ON app.expense_receipt
FOR EACH ROW EXECUTE FUNCTION app.keep_receipts();

-- The audit log only grows, whoever asks.

CREATE TRIGGER audit_event_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON app.audit_event
FOR EACH STATEMENT EXECUTE FUNCTION app.refuse_change('the audit log only grows');
