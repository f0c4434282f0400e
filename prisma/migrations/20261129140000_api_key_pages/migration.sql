-- Administrators read all keys page by page, oldest first.
CREATE INDEX "api_key_created_at_id_idx" ON "api_key" ("created_at", "id");
