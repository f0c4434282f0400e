-- Whom the revocation of a user or session concerns is found by the resources of the user's grants, each combination by one
-- lookup. The index is built while nothing is written to the grants: some seconds for each million of them.
CREATE INDEX "authorization_grant_user_id_resources_idx" ON "authorization_grant"("user_id", "resources");
