-- Keys that are ended together end by one row, which whoever reads a key looks at. The rows of the keys follow in batches.
CREATE TABLE "api_key_end" (
    "id" UUID NOT NULL,
    "target" TEXT NOT NULL,
    "position" BIGINT NOT NULL,
    "ended_at" TIMESTAMPTZ(3) NOT NULL,
    "reason" TEXT NOT NULL,
    "replaces" BOOLEAN NOT NULL,

    CONSTRAINT "api_key_end_pkey" PRIMARY KEY ("id")
);

CREATE INDEX "api_key_end_target_position_idx" ON "api_key_end" ("target", "position");

-- What is there lies before every end; no row is written anew. Whoever makes a key holds the lock of revocations, in the release
-- before as well: so the default gives each its place in the order of the commits.
ALTER TABLE "api_key" ADD COLUMN "position" BIGINT NOT NULL DEFAULT 0;
ALTER TABLE "api_key" ALTER COLUMN "position" SET DEFAULT nextval('revocation_position');
ALTER TABLE "api_key" ADD COLUMN "end_id" UUID;
ALTER TABLE "api_key" ADD COLUMN "awaits_successor" BOOLEAN;

CREATE INDEX "api_key_end_id_id_idx" ON "api_key" ("end_id", "id") WHERE "end_id" IS NOT NULL;

-- What is not ended yet, piece by piece.
CREATE INDEX "api_key_ended_at_id_idx" ON "api_key" ("ended_at", "id") WHERE "ended_at" IS NULL;

CREATE INDEX "api_key_prefix_ended_at_id_idx" ON "api_key" ("prefix", "ended_at", "id") WHERE "ended_at" IS NULL;
