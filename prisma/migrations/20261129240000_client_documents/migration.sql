-- Clients that a document at their client_id describes (draft-ietf-oauth-client-id-metadata-document).
ALTER TABLE "client"
    ADD COLUMN "document_hash" BYTEA,
    ADD COLUMN "document_fetched_at" TIMESTAMPTZ(3),
    ADD COLUMN "document_fresh_until" TIMESTAMPTZ(3);
