-- The tier of a key is one that there is, and stays while a key has it: else the key would be without a limit. From here on
-- this holds of what is written; nothing is read, so nobody waits. A process of the release before that makes a key with a
-- tier that there is not, or deletes one that a key has, gets an error.
ALTER TABLE "api_key" ADD CONSTRAINT "api_key_tier_fkey"
    FOREIGN KEY ("tier") REFERENCES "tier"("name") ON DELETE RESTRICT ON UPDATE CASCADE NOT VALID;
