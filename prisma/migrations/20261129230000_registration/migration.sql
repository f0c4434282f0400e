-- Clients that registered themselves (RFC 7591), and by what they change their registration (RFC 7592).
ALTER TABLE "client"
    ADD COLUMN "self_registered" BOOLEAN,
    ADD COLUMN "registration_access_hash" BYTEA,
    ADD COLUMN "unused_until" TIMESTAMPTZ(3);

CREATE INDEX "client_unused_until_idx" ON "client" ("unused_until");

-- Initial access tokens: who has one may register (RFC 7591 §3).
CREATE TABLE "registration_token" (
    "id" UUID NOT NULL,
    "hash" BYTEA NOT NULL,
    "name" TEXT,
    "uses" INTEGER NOT NULL,
    "max_uses" INTEGER NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "registration_token_pkey" PRIMARY KEY ("id")
);

CREATE UNIQUE INDEX "registration_token_hash_key" ON "registration_token" ("hash");
