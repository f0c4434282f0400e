-- How often API keys and clients were used, for what and from where; and which keys stood in an address.
ALTER TABLE "api_key" ADD COLUMN     "exposed_at" TIMESTAMPTZ(3);

CREATE TABLE "usage_count" (
    "bucket" INTEGER NOT NULL,
    "kind" TEXT NOT NULL,
    "credential" TEXT NOT NULL,
    "hour" TIMESTAMPTZ(3) NOT NULL,
    "api" TEXT NOT NULL,
    "scope" TEXT NOT NULL,
    "outcome" TEXT NOT NULL,
    "superseded" BOOLEAN NOT NULL,
    "count" BIGINT NOT NULL,

    CONSTRAINT "usage_count_pkey" PRIMARY KEY ("bucket","kind","credential","hour","api","scope","outcome","superseded")
) PARTITION BY RANGE ("bucket");
CREATE TABLE "usage_count_default" PARTITION OF "usage_count" DEFAULT;

CREATE TABLE "usage_network" (
    "bucket" INTEGER NOT NULL,
    "kind" TEXT NOT NULL,
    "credential" TEXT NOT NULL,
    "day" INTEGER NOT NULL,
    "api" TEXT NOT NULL,
    "network" TEXT NOT NULL,
    "superseded" BOOLEAN NOT NULL,
    "first_seen" TIMESTAMPTZ(3) NOT NULL,
    "last_seen" TIMESTAMPTZ(3) NOT NULL,
    "count" BIGINT NOT NULL,

    CONSTRAINT "usage_network_pkey" PRIMARY KEY ("bucket","kind","credential","day","api","network","superseded")
) PARTITION BY RANGE ("bucket");
CREATE TABLE "usage_network_default" PARTITION OF "usage_network" DEFAULT;
