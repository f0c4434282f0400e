-- Whether callers may show an API a client_id and a client_secret (RFC 7617). Those that there are may have been relied on for it
-- and go on; new ones have it off, also where a process of the release before makes them, which takes passwords for all.
ALTER TABLE "resource" ADD COLUMN "accepts_basic" BOOLEAN NOT NULL DEFAULT true;
ALTER TABLE "resource" ALTER COLUMN "accepts_basic" SET DEFAULT false;
