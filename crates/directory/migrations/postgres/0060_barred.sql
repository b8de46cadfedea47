-- When a user stopped being enabled, Unix seconds; NULL while enabled or locked out, and of one who never was. Tickets that the user had
-- then live on for a while, so SMB hosts are told whom to bar.
ALTER TABLE identities ADD COLUMN barred_at BIGINT;
UPDATE identities SET barred_at = changed_at WHERE kind = 'user' AND source = 'hybrid' AND state <> 'enabled'
    AND COALESCE(disabled_reason, '') <> 'locked';
CREATE INDEX identities_barred ON identities (tenant_id, barred_at) WHERE barred_at IS NOT NULL;
