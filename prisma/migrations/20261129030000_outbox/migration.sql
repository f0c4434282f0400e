-- What must follow a change by a call or a mail. A row goes when it is delivered or given up, so the table is as long as what
-- waits. Each row is claimed, in place, and deleted: cleaned up after by number and not by share, or a table that was long
-- for a day would stay so.
CREATE TABLE "outbox" (
    "id" UUID NOT NULL,
    "kind" TEXT NOT NULL,
    "destination" TEXT NOT NULL,
    "payload" JSONB NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "next_attempt_at" TIMESTAMPTZ(3) NOT NULL,
    "attempts" INTEGER NOT NULL,
    "claimed_until" TIMESTAMPTZ(3),
    "last_error" TEXT,

    CONSTRAINT "outbox_pkey" PRIMARY KEY ("id")
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

CREATE INDEX "outbox_kind_destination_next_attempt_at_idx" ON "outbox"("kind", "destination", "next_attempt_at");
