-- Tiers, what is left of them, and who leases from it. The release before leaves the new column out: its clients have no tier.

CREATE TABLE "tier" (
    "name" TEXT NOT NULL,
    "quota" INTEGER NOT NULL,
    "window" INTEGER NOT NULL,
    "burst" INTEGER NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "updated_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "tier_pkey" PRIMARY KEY ("name")
);

ALTER TABLE "client" ADD COLUMN "rate_tier" TEXT;
ALTER TABLE "client" ADD CONSTRAINT "client_rate_tier_fkey"
    FOREIGN KEY ("rate_tier") REFERENCES "tier"("name") ON DELETE RESTRICT ON UPDATE CASCADE;
CREATE INDEX "client_rate_tier_idx" ON "client"("rate_tier");

-- Room for new versions of a row beside it: they are written often, and no index has to know.
CREATE UNLOGGED TABLE "rate_limit" (
    "key" BYTEA NOT NULL,
    "tat" BIGINT NOT NULL,
    "emission" BIGINT NOT NULL,
    "tolerance" BIGINT NOT NULL,
    "granted" INTEGER NOT NULL,

    CONSTRAINT "rate_limit_pkey" PRIMARY KEY ("key")
) WITH (fillfactor = 50);

CREATE UNLOGGED TABLE "rate_limit_holder" (
    "scope" TEXT NOT NULL,
    "id" UUID NOT NULL,
    "seen_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "rate_limit_holder_pkey" PRIMARY KEY ("scope","id")
) WITH (fillfactor = 50);
