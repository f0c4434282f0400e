-- What was written before. A tier that there is not limited nothing, and does so no longer under its name. While the rows are
-- checked keys are made and used.
UPDATE "api_key" k SET "tier" = NULL
 WHERE k."tier" IS NOT NULL AND NOT EXISTS (SELECT 1 FROM "tier" t WHERE t."name" = k."tier");

ALTER TABLE "api_key" VALIDATE CONSTRAINT "api_key_tier_fkey";
