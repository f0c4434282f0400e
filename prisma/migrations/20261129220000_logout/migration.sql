-- Which clients hear that a session or a user ended; and from where somebody is signed in, for them to see.
CREATE INDEX "authorization_grant_user_id_client_id_session_id_idx" ON "authorization_grant"("user_id", "client_id", "session_id");

ALTER TABLE "session" ADD COLUMN "ip" TEXT;
