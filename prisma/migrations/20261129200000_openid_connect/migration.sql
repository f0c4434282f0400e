-- What OpenID Connect registers of clients (Registration §2), knows of users (Core §5.1) and asks of an authorization.
ALTER TABLE "client"
    ADD COLUMN "subject_type" TEXT,
    ADD COLUMN "sector_identifier_uri" TEXT,
    ADD COLUMN "id_token_signed_response_alg" TEXT,
    ADD COLUMN "userinfo_signed_response_alg" TEXT,
    ADD COLUMN "request_object_signing_alg" TEXT,
    ADD COLUMN "token_endpoint_auth_signing_alg" TEXT,
    ADD COLUMN "client_assertion_audience" TEXT,
    ADD COLUMN "default_max_age" INTEGER,
    ADD COLUMN "require_auth_time" BOOLEAN,
    ADD COLUMN "default_acr_values" TEXT[],
    ADD COLUMN "initiate_login_uri" TEXT,
    ADD COLUMN "post_logout_redirect_uris" TEXT[],
    ADD COLUMN "backchannel_logout_uri" TEXT,
    ADD COLUMN "backchannel_logout_session_required" BOOLEAN;

ALTER TABLE "user_account"
    ADD COLUMN "profile" JSONB,
    ADD COLUMN "email_verified_at" TIMESTAMPTZ(3);

ALTER TABLE "authorization_grant" ADD COLUMN "claims" JSONB;

ALTER TABLE "authorization_code" ADD COLUMN "nonce" TEXT;
