-- Which trust with a forest it is, and since which theft of its key: random, never again the same. TGTs of the tenant's realm name it. NULL
-- for a trust of before, until its key is stolen.
ALTER TABLE trusts ADD COLUMN generation BLOB;
-- From when a key of a realm encrypts, so that every node has it by then; NULL for from its creation.
ALTER TABLE kerberos_keys ADD COLUMN encrypts_from BIGINT;
