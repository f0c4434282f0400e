-- A client makes keys by its own token alone, which the row says: the others of it somebody else made. Of users the row does not
-- tell the command line from the page under /account: their keys stay as they were, until an administrator changes one.
UPDATE "api_key" SET "managed" = true
 WHERE "owner_kind" = 'client' AND "created_by_client" IS DISTINCT FROM "owner" AND "ended_at" IS NULL AND "managed" IS NULL;
