-- How much a share may hold, in GiB; NULL where it has no quota.
ALTER TABLE shares ADD COLUMN quota_gib BIGINT;
