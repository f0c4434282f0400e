-- Where request objects of a client are (OpenID Connect Registration §2).
ALTER TABLE "client" ADD COLUMN "request_uris" TEXT[];
