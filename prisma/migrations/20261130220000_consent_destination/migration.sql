-- What a user decided about a client that registered itself, or that a document describes, was about the place that it goes to.
-- Null: an administrator vouches for the client and all its redirect URIs. What was decided before about others counts no more: nobody
-- knows which place its user saw.
ALTER TABLE "consent" ADD COLUMN "destination" TEXT;
