-- From where a client may prove itself, and a user sign in. Empty or null: from anywhere, as before.
ALTER TABLE "client" ADD COLUMN "allowed_networks" TEXT[];
ALTER TABLE "user_account" ADD COLUMN "allowed_networks" TEXT[];
