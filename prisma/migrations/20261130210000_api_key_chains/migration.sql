-- The first key of the chain of rotations that a key stands in, by which its tier counts. Null: the key itself, and so it is for
-- what a process of the release before makes.
ALTER TABLE "api_key" ADD COLUMN "chain" TEXT;
