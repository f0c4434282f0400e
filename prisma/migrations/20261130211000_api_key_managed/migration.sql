-- Whether an administrator or the command line made a key, or said what it may do: then its owner makes it narrower alone. Null: no,
-- and so it is for what a process of the release before makes, which lets owners do as they did.
ALTER TABLE "api_key" ADD COLUMN "managed" BOOLEAN;
