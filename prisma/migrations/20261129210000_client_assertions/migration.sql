-- Assertions by which clients have proved themselves: each is good once (RFC 7523 §3). A row is of use until its assertion
-- expires, so it lies in the partition of that day.
CREATE TABLE "client_assertion" (
    "bucket" INTEGER NOT NULL,
    "jti_hash" BYTEA NOT NULL,

    CONSTRAINT "client_assertion_pkey" PRIMARY KEY ("bucket","jti_hash")
) PARTITION BY RANGE ("bucket");
CREATE TABLE "client_assertion_default" PARTITION OF "client_assertion" DEFAULT;
