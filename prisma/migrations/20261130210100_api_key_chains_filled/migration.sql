-- Of the keys that there are: each was named as a successor by one key at most. While the rows are written keys are used.
WITH RECURSIVE link AS (
    SELECT k."id", k."successor", k."id" AS first FROM "api_key" k
     WHERE k."successor" IS NOT NULL AND NOT EXISTS (SELECT 1 FROM "api_key" p WHERE p."successor" = k."id")
    UNION
    SELECT n."id", n."successor", link.first FROM link JOIN "api_key" n ON n."id" = link."successor"
)
UPDATE "api_key" k SET "chain" = link.first
  FROM link WHERE k."id" = link."id" AND link.first <> k."id" AND k."chain" IS NULL;
