-- Where each attribute came from and when: one line for all that were last written together.
ALTER TABLE identities ADD COLUMN origins TEXT NOT NULL DEFAULT '';

-- How many identities were deleted or disabled by sync within a day, and by the run that declared how many it may.
ALTER TABLE domains ADD COLUMN losses BIGINT NOT NULL DEFAULT 0;
ALTER TABLE domains ADD COLUMN losses_since BIGINT NOT NULL DEFAULT 0;
ALTER TABLE domains ADD COLUMN declared_run TEXT;
ALTER TABLE domains ADD COLUMN declared_losses BIGINT NOT NULL DEFAULT 0;
