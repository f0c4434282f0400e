-- The first schema. Tables of rows that expire are partitioned by time ("bucket": days or weeks since 1970); a
-- partition that is over is dropped. Partitions are created by the server at start and by the worker; each DEFAULT
-- partition catches what falls outside. Hot tables have no foreign keys: what they refer to is checked by the statement
-- that spends them.

-- Revocations take their position from here while they hold an advisory lock to the commit: positions are in commit order.
CREATE SEQUENCE "revocation_position" AS BIGINT;

CREATE TABLE "audit_event" (
    "bucket" INTEGER NOT NULL,
    "id" UUID NOT NULL,
    "time" TIMESTAMPTZ(3) NOT NULL,
    "type" TEXT NOT NULL,
    "actor" TEXT NOT NULL,
    "client_id" TEXT,
    "subject" TEXT,
    "grant_id" UUID,
    "ip" TEXT,
    "request_id" TEXT,
    "reason" TEXT,
    "detail" JSONB,
    "count" INTEGER NOT NULL,

    CONSTRAINT "audit_event_pkey" PRIMARY KEY ("bucket","id")
) PARTITION BY RANGE ("bucket");
CREATE TABLE "audit_event_default" PARTITION OF "audit_event" DEFAULT;

CREATE TABLE "setting" (
    "name" TEXT NOT NULL,
    "value" JSONB NOT NULL,

    CONSTRAINT "setting_pkey" PRIMARY KEY ("name")
);

CREATE TABLE "client" (
    "client_id" TEXT NOT NULL,
    "client_name" TEXT,
    "client_uri" TEXT,
    "logo_uri" TEXT,
    "policy_uri" TEXT,
    "tos_uri" TEXT,
    "contacts" TEXT[],
    "redirect_uris" TEXT[],
    "grant_types" TEXT[],
    "response_types" TEXT[],
    "token_endpoint_auth_method" TEXT NOT NULL,
    "scope" TEXT[],
    "default_scope" TEXT[],
    "required_scope" TEXT[],
    "application_type" TEXT NOT NULL,
    "jwks" JSONB,
    "jwks_uri" TEXT,
    "require_pkce" BOOLEAN NOT NULL,
    "first_party" BOOLEAN NOT NULL,
    "allowed_origins" TEXT[],
    "allowed_resources" TEXT[],
    "access_token_lifetime" INTEGER,
    "refresh_token_idle_lifetime" INTEGER,
    "refresh_token_lifetime" INTEGER,
    "refresh_token_rotation" BOOLEAN NOT NULL,
    "refresh_token_retry_window" INTEGER NOT NULL,
    "software_id" TEXT,
    "software_version" TEXT,
    "not_before" TIMESTAMPTZ(3),
    "disabled_at" TIMESTAMPTZ(3),
    "last_used_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "updated_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "client_pkey" PRIMARY KEY ("client_id")
);

CREATE TABLE "client_secret" (
    "id" UUID NOT NULL,
    "client_id" TEXT NOT NULL,
    "method" TEXT NOT NULL,
    "hash" BYTEA NOT NULL,
    "key_id" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "expires_at" TIMESTAMPTZ(3),
    "last_used_at" TIMESTAMPTZ(3),

    CONSTRAINT "client_secret_pkey" PRIMARY KEY ("id")
);

CREATE TABLE "authorization_grant" (
    "bucket" INTEGER NOT NULL,
    "id" UUID NOT NULL,
    "client_id" TEXT NOT NULL,
    "user_id" UUID NOT NULL,
    "session_bucket" INTEGER,
    "session_id" UUID,
    "scope" TEXT[],
    "resources" TEXT[],
    "offline" BOOLEAN NOT NULL,
    "auth_time" TIMESTAMPTZ(3) NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,
    "ended_at" TIMESTAMPTZ(3),
    "end_reason" TEXT,

    CONSTRAINT "authorization_grant_pkey" PRIMARY KEY ("bucket","id")
) PARTITION BY RANGE ("bucket");
CREATE TABLE "authorization_grant_default" PARTITION OF "authorization_grant" DEFAULT;

CREATE TABLE "authorization_code" (
    "bucket" INTEGER NOT NULL,
    "code_hash" BYTEA NOT NULL,
    "grant_bucket" INTEGER NOT NULL,
    "grant_id" UUID NOT NULL,
    "client_id" TEXT NOT NULL,
    "redirect_uri" TEXT,
    "code_challenge" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,
    "used_at" TIMESTAMPTZ(3),
    "attempt_id" UUID,

    CONSTRAINT "authorization_code_pkey" PRIMARY KEY ("bucket","code_hash")
) PARTITION BY RANGE ("bucket");
CREATE TABLE "authorization_code_default" PARTITION OF "authorization_code" DEFAULT;

CREATE TABLE "refresh_token" (
    "bucket" INTEGER NOT NULL,
    "token_hash" BYTEA NOT NULL,
    "grant_id" UUID NOT NULL,
    "client_id" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,
    "used_at" TIMESTAMPTZ(3),
    "successor_hash" BYTEA,
    "retry_until" TIMESTAMPTZ(3),

    CONSTRAINT "refresh_token_pkey" PRIMARY KEY ("bucket","token_hash")
) PARTITION BY RANGE ("bucket");
CREATE TABLE "refresh_token_default" PARTITION OF "refresh_token" DEFAULT;

CREATE TABLE "refresh_answer" (
    "bucket" INTEGER NOT NULL,
    "token_hash" BYTEA NOT NULL,
    "request_hash" BYTEA NOT NULL,
    "answer" BYTEA NOT NULL,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "refresh_answer_pkey" PRIMARY KEY ("bucket","token_hash")
) PARTITION BY RANGE ("bucket");
CREATE TABLE "refresh_answer_default" PARTITION OF "refresh_answer" DEFAULT;

CREATE TABLE "access_token" (
    "bucket" INTEGER NOT NULL,
    "token_hash" BYTEA NOT NULL,
    "claims" JSONB NOT NULL,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "access_token_pkey" PRIMARY KEY ("bucket","token_hash")
) PARTITION BY RANGE ("bucket");
CREATE TABLE "access_token_default" PARTITION OF "access_token" DEFAULT;

CREATE TABLE "signing_key" (
    "kid" TEXT NOT NULL,
    "alg" TEXT NOT NULL,
    "public_jwk" JSONB NOT NULL,
    "private_key" BYTEA NOT NULL,
    "master_key_id" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "active_at" TIMESTAMPTZ(3) NOT NULL,
    "retired_at" TIMESTAMPTZ(3),
    "expires_at" TIMESTAMPTZ(3),

    CONSTRAINT "signing_key_pkey" PRIMARY KEY ("kid")
);

CREATE TABLE "secret_key" (
    "id" TEXT NOT NULL,
    "purpose" TEXT NOT NULL,
    "wrapped" BYTEA NOT NULL,
    "master_key_id" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "retired_at" TIMESTAMPTZ(3),

    CONSTRAINT "secret_key_pkey" PRIMARY KEY ("id")
);

CREATE TABLE "resource" (
    "identifier" TEXT NOT NULL,
    "name" TEXT,
    "token_format" TEXT NOT NULL,
    "token_lifetime" INTEGER,
    "signing_alg" TEXT,
    "claims" TEXT[],
    "uses_roles" BOOLEAN NOT NULL,
    "client_id" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "updated_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "resource_pkey" PRIMARY KEY ("identifier")
);

CREATE TABLE "resource_scope" (
    "resource" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "description" TEXT,
    "token_lifetime" INTEGER,

    CONSTRAINT "resource_scope_pkey" PRIMARY KEY ("resource","name")
);

CREATE TABLE "revocation" (
    "bucket" INTEGER NOT NULL,
    "kind" TEXT NOT NULL,
    "target" TEXT NOT NULL,
    "position" BIGINT NOT NULL,
    "terminal" BOOLEAN NOT NULL,
    "instant" TIMESTAMPTZ(3) NOT NULL,
    "audiences" TEXT[],
    "reason" TEXT NOT NULL,
    "expires_at" TIMESTAMPTZ(3),

    CONSTRAINT "revocation_pkey" PRIMARY KEY ("bucket","kind","target")
) PARTITION BY RANGE ("bucket");
CREATE TABLE "revocation_default" PARTITION OF "revocation" DEFAULT;

CREATE TABLE "failure_count" (
    "bucket" INTEGER NOT NULL,
    "key" BYTEA NOT NULL,
    "window" INTEGER NOT NULL,
    "count" INTEGER NOT NULL,

    CONSTRAINT "failure_count_pkey" PRIMARY KEY ("bucket","key","window")
) PARTITION BY RANGE ("bucket");
CREATE TABLE "failure_count_default" PARTITION OF "failure_count" DEFAULT;

CREATE TABLE "role" (
    "id" UUID NOT NULL,
    "resource" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "description" TEXT,
    "scope" TEXT[],
    "created_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "role_pkey" PRIMARY KEY ("id")
);

CREATE TABLE "role_holder" (
    "role_id" UUID NOT NULL,
    "holder" TEXT NOT NULL,
    "kind" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "role_holder_pkey" PRIMARY KEY ("role_id","kind","holder")
);

CREATE TABLE "session" (
    "bucket" INTEGER NOT NULL,
    "token_hash" BYTEA NOT NULL,
    "id" UUID NOT NULL,
    "user_id" UUID NOT NULL,
    "auth_time" TIMESTAMPTZ(3) NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,
    "idle_expires_at" TIMESTAMPTZ(3) NOT NULL,
    "ended_at" TIMESTAMPTZ(3),
    "end_reason" TEXT,

    CONSTRAINT "session_pkey" PRIMARY KEY ("bucket","token_hash")
) PARTITION BY RANGE ("bucket");
CREATE TABLE "session_default" PARTITION OF "session" DEFAULT;

CREATE TABLE "interaction" (
    "bucket" INTEGER NOT NULL,
    "id_hash" BYTEA NOT NULL,
    "browser_hash" BYTEA NOT NULL,
    "client_id" TEXT NOT NULL,
    "request" JSONB NOT NULL,
    "authenticated_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,
    "completed_at" TIMESTAMPTZ(3),

    CONSTRAINT "interaction_pkey" PRIMARY KEY ("bucket","id_hash")
) PARTITION BY RANGE ("bucket");
CREATE TABLE "interaction_default" PARTITION OF "interaction" DEFAULT;

CREATE TABLE "user_account" (
    "id" UUID NOT NULL,
    "email" TEXT NOT NULL,
    "name" TEXT,
    "password_hash" TEXT,
    "password_changed_at" TIMESTAMPTZ(3),
    "admin" BOOLEAN NOT NULL,
    "not_before" TIMESTAMPTZ(3),
    "disabled_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "updated_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "user_account_pkey" PRIMARY KEY ("id")
);

CREATE TABLE "consent" (
    "user_id" UUID NOT NULL,
    "client_id" TEXT NOT NULL,
    "resource" TEXT NOT NULL,
    "scope" TEXT NOT NULL,
    "granted" BOOLEAN NOT NULL,
    "decided_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "consent_pkey" PRIMARY KEY ("user_id","client_id","resource","scope")
);

CREATE INDEX "client_allowed_origins_idx" ON "client" USING GIN ("allowed_origins");

CREATE INDEX "client_refresh_token_lifetime_idx" ON "client"("refresh_token_lifetime");

CREATE INDEX "consent_client_id_idx" ON "consent"("client_id");

CREATE INDEX "audit_event_time_idx" ON "audit_event"("time");

CREATE INDEX "client_secret_client_id_idx" ON "client_secret"("client_id");

CREATE INDEX "authorization_grant_id_idx" ON "authorization_grant"("id");

CREATE UNIQUE INDEX "resource_client_id_key" ON "resource"("client_id");

CREATE INDEX "revocation_position_idx" ON "revocation"("position");

CREATE UNIQUE INDEX "role_resource_name_key" ON "role"("resource", "name");

CREATE INDEX "role_holder_kind_holder_idx" ON "role_holder"("kind", "holder");

CREATE INDEX "session_id_idx" ON "session"("id");

CREATE INDEX "session_user_id_idx" ON "session"("user_id");

CREATE UNIQUE INDEX "user_account_email_key" ON "user_account"("email");

ALTER TABLE "client_secret" ADD CONSTRAINT "client_secret_client_id_fkey" FOREIGN KEY ("client_id") REFERENCES "client"("client_id") ON DELETE CASCADE ON UPDATE CASCADE;

ALTER TABLE "resource" ADD CONSTRAINT "resource_client_id_fkey" FOREIGN KEY ("client_id") REFERENCES "client"("client_id") ON DELETE RESTRICT ON UPDATE CASCADE;

ALTER TABLE "resource_scope" ADD CONSTRAINT "resource_scope_resource_fkey" FOREIGN KEY ("resource") REFERENCES "resource"("identifier") ON DELETE CASCADE ON UPDATE CASCADE;

ALTER TABLE "role" ADD CONSTRAINT "role_resource_fkey" FOREIGN KEY ("resource") REFERENCES "resource"("identifier") ON DELETE CASCADE ON UPDATE CASCADE;

ALTER TABLE "role_holder" ADD CONSTRAINT "role_holder_role_id_fkey" FOREIGN KEY ("role_id") REFERENCES "role"("id") ON DELETE CASCADE ON UPDATE CASCADE;

ALTER TABLE "consent" ADD CONSTRAINT "consent_user_id_fkey" FOREIGN KEY ("user_id") REFERENCES "user_account"("id") ON DELETE CASCADE ON UPDATE CASCADE;
