-- An administrator's permit for one run of a domain's sync to delete more than the limit; run_id is the run that uses it.
CREATE TABLE deletion_permits (
    tenant_id  BLOB   NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    domain     TEXT   NOT NULL,
    deletions  BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    run_id     TEXT,
    tag        BLOB,
    PRIMARY KEY (tenant_id, domain)
);
-- Which keys a host token was given, and where: each new pair is an event.
ALTER TABLE tokens ADD COLUMN keys_given TEXT NOT NULL DEFAULT '';
-- The token by which a host reports: each reports for one host. NULL for a report of before.
ALTER TABLE host_reports ADD COLUMN token_id BLOB;
