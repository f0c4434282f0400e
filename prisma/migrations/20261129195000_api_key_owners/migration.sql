-- Of an owner's keys those that live, and the others in pages: neither grows with what ended before.
CREATE INDEX "api_key_owner_kind_owner_created_at_id_idx" ON "api_key"("owner_kind", "owner", "created_at", "id");
DROP INDEX "api_key_owner_kind_owner_idx";

CREATE INDEX "api_key_owner_kind_owner_expires_at_idx" ON "api_key"("owner_kind", "owner", "expires_at") WHERE "ended_at" IS NULL;
