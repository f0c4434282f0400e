-- When credentials are to be rotated, and what their owners are told. The release before leaves the new column out: its tiers
-- have the policy of the setting.
ALTER TABLE "tier" ADD COLUMN "rotate_every" INTEGER;

CREATE TABLE "notice" (
    "id" UUID NOT NULL,
    "owner_kind" TEXT NOT NULL,
    "owner" TEXT NOT NULL,
    "kind" TEXT NOT NULL,
    "subject_kind" TEXT NOT NULL,
    "subject" TEXT NOT NULL,
    "cause" TEXT NOT NULL,
    "detail" JSONB NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "notice_pkey" PRIMARY KEY ("id")
);

CREATE UNIQUE INDEX "notice_subject_cause_key" ON "notice"("subject", "cause");
CREATE INDEX "notice_owner_kind_owner_created_at_idx" ON "notice"("owner_kind", "owner", "created_at");
CREATE INDEX "notice_created_at_idx" ON "notice"("created_at");

-- The keys that may be due, whatever ended, expired or was replaced before.
CREATE INDEX "api_key_expires_at_id_idx" ON "api_key"("expires_at", "id") WHERE "ended_at" IS NULL AND "successor" IS NULL;
