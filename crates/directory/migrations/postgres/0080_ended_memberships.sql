-- Direct memberships that ended, a primary group's too, and when, Unix seconds. Tickets that tell of them live on for a while, so SMB hosts
-- are told whose role is less than their ticket says. Kept as long as the longest ticket lives.
CREATE TABLE ended_memberships (
    tenant_id   BYTEA  NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    group_guid  BYTEA  NOT NULL,
    member_guid BYTEA  NOT NULL,
    ended_at    BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, group_guid, member_guid)
);
CREATE INDEX ended_memberships_by_time ON ended_memberships (tenant_id, ended_at);
CREATE INDEX ended_memberships_by_member ON ended_memberships (tenant_id, member_guid);
-- Whose primary group it is.
CREATE INDEX identities_by_primary_group ON identities (tenant_id, primary_group_rid) WHERE primary_group_rid <> 0;
