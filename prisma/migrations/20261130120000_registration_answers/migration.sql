-- What a client was told when it last changed its registration, until it uses the token that it was told (RFC 7592 §2.2). A table
-- of its own: processes of the release before read `client` by statements that do not survive a new column.
CREATE TABLE "registration_answer" (
    "client_id" TEXT NOT NULL,
    "previous_hash" BYTEA NOT NULL,
    "current_hash" BYTEA NOT NULL,
    "answer" BYTEA NOT NULL,

    CONSTRAINT "registration_answer_pkey" PRIMARY KEY ("client_id"),
    CONSTRAINT "registration_answer_client_id_fkey" FOREIGN KEY ("client_id") REFERENCES "client" ("client_id")
        ON DELETE CASCADE ON UPDATE CASCADE
);
