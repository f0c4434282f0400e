-- Token Status Lists: what is leased, what a user's token has, and where a revoked token stands.

ALTER TABLE "revocation"
    ADD COLUMN "subject" TEXT,
    ADD COLUMN "status_list" BYTEA,
    ADD COLUMN "status_index" INTEGER;

CREATE TABLE "status_list" (
    "bucket" INTEGER NOT NULL,
    "period" INTEGER NOT NULL,
    "number" INTEGER NOT NULL,
    "id" BYTEA NOT NULL,
    "taken" INTEGER NOT NULL,
    "incarnation" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "status_list_pkey" PRIMARY KEY ("bucket","period","number")
) PARTITION BY RANGE ("bucket");
CREATE TABLE "status_list_default" PARTITION OF "status_list" DEFAULT;

CREATE TABLE "status_block" (
    "bucket" INTEGER NOT NULL,
    "list_id" BYTEA NOT NULL,
    "first" INTEGER NOT NULL,
    "size" INTEGER NOT NULL,
    "client_id" TEXT,
    "audience" TEXT,
    "kid" TEXT NOT NULL,
    "leased_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "status_block_pkey" PRIMARY KEY ("bucket","list_id","first")
) PARTITION BY RANGE ("bucket");
CREATE TABLE "status_block_default" PARTITION OF "status_block" DEFAULT;

CREATE TABLE "status_index" (
    "bucket" INTEGER NOT NULL,
    "user_id" UUID NOT NULL,
    "list_id" BYTEA NOT NULL,
    "idx" INTEGER NOT NULL,
    "grant_id" UUID NOT NULL,
    "client_id" TEXT NOT NULL,
    "session_id" UUID,
    "audience" TEXT NOT NULL,
    "iat" INTEGER NOT NULL,

    CONSTRAINT "status_index_pkey" PRIMARY KEY ("bucket","user_id","list_id","idx")
) PARTITION BY RANGE ("bucket");
CREATE TABLE "status_index_default" PARTITION OF "status_index" DEFAULT;

CREATE INDEX "status_block_client_id_idx" ON "status_block"("client_id");

CREATE INDEX "status_index_client_id_idx" ON "status_index"("client_id");
