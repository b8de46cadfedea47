-- The SID of the domain that a member is expected from, for a member that is not synced yet: no connector of another domain
-- can create it. NULL where the agent did not say.
ALTER TABLE memberships ADD COLUMN member_domain TEXT;
