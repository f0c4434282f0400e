-- A login that leads to a page of ours is for no client.
ALTER TABLE "interaction" ALTER COLUMN "client_id" DROP NOT NULL;

-- Through which application a key was made.
ALTER TABLE "api_key" ADD COLUMN "created_by_client" TEXT;
