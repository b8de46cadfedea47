-- HMAC under a key derived from the master key, over the columns that decide what a row grants. Rows of before are tagged by the program
-- when it first opens the database; from then on a row without its tag grants nothing. A token that is revoked has none.
ALTER TABLE tokens ADD COLUMN tag BYTEA;
ALTER TABLE administrators ADD COLUMN tag BYTEA;
ALTER TABLE grants ADD COLUMN tag BYTEA;
ALTER TABLE storage_accounts ADD COLUMN tag BYTEA;
