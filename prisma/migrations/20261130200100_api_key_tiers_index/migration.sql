-- Which keys have a tier: few have one.
CREATE INDEX "api_key_tier_idx" ON "api_key" ("tier") WHERE "tier" IS NOT NULL;
