-- When a removal from AD was begun that has not ended, Unix seconds.
ALTER TABLE trusts ADD COLUMN removal_begun_at BIGINT;
ALTER TABLE kerberos_servers ADD COLUMN removal_begun_at BIGINT;
-- Which agent is giving AD the next key, and until when nobody else is to try.
ALTER TABLE trusts ADD COLUMN rotation_holder TEXT COLLATE "C";
ALTER TABLE trusts ADD COLUMN rotation_until BIGINT;
