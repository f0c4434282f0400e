-- What a user decided was about the client as its document described it then. Null: no document did. What was decided before about
-- a client with a document counts no more: nobody knows which one its user saw.
ALTER TABLE "consent" ADD COLUMN "document_hash" BYTEA;
