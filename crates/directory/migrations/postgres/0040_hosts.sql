-- Which range of local user and group ids the hosts of a tenant give to the SIDs of an AD domain. A number stays with its
-- SID for ever, also when the domain goes and comes again: files on disk carry the ids.
CREATE TABLE id_ranges (
    tenant_id BYTEA   NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    sid       TEXT   NOT NULL,
    number    BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, sid),
    UNIQUE (tenant_id, number)
);
INSERT INTO id_ranges (tenant_id, sid, number)
SELECT tenant_id, sid, ROW_NUMBER() OVER (PARTITION BY tenant_id ORDER BY created_at, dns_name) - 1 FROM domains;

-- What each SMB host of a storage account said of itself last, as JSON.
CREATE TABLE host_reports (
    account_id  BYTEA   NOT NULL REFERENCES storage_accounts (id) ON DELETE CASCADE,
    host        TEXT   NOT NULL,
    report      TEXT   NOT NULL,
    reported_at BIGINT NOT NULL,
    PRIMARY KEY (account_id, host)
);
