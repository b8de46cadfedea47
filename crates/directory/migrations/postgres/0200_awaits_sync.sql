-- 1 from the moment the database is known to have gone back in time until a full sync of the domain: its users get no tickets
-- meanwhile, since one who was disabled in AD may be enabled here.
ALTER TABLE domains ADD COLUMN awaits_sync BIGINT NOT NULL DEFAULT 0;
