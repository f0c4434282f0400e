-- Keys of programs. A row stays when its key has ended, so that whoever meets one in a log finds whose it was.
CREATE TABLE "api_key" (
    "id" TEXT NOT NULL,
    "prefix" TEXT NOT NULL,
    "environment" TEXT NOT NULL,
    "kind" TEXT NOT NULL,
    "hash" BYTEA,
    "key_id" TEXT,
    "public_jwk" JSONB,
    "owner_kind" TEXT NOT NULL,
    "owner" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "description" TEXT,
    "scope" TEXT[],
    "resources" TEXT[],
    "networks" TEXT[],
    "origins" TEXT[],
    "tier" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "updated_at" TIMESTAMPTZ(3) NOT NULL,
    "expires_at" TIMESTAMPTZ(3),
    "rotated_at" TIMESTAMPTZ(3),
    "successor" TEXT,
    "ended_at" TIMESTAMPTZ(3),
    "end_reason" TEXT,
    "last_used_at" TIMESTAMPTZ(3),
    "last_used_from" TEXT,

    CONSTRAINT "api_key_pkey" PRIMARY KEY ("id")
);

CREATE INDEX "api_key_owner_kind_owner_idx" ON "api_key"("owner_kind", "owner");

CREATE INDEX "api_key_prefix_idx" ON "api_key"("prefix");
