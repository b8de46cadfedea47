-- Whether a connector may also rotate the trust of its domain.
ALTER TABLE tokens ADD COLUMN rotate_trust BIGINT NOT NULL DEFAULT 0;

-- Which sync agent works for a connector; a lease ends by itself.
CREATE TABLE sync_leases (
    tenant_id  BYTEA  NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    domain     TEXT COLLATE "C" NOT NULL,
    holder     TEXT COLLATE "C" NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, domain)
);

-- Objects that the agent of a domain could not make sense of, as its last runs told.
CREATE TABLE sync_failures (
    tenant_id BYTEA  NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    domain    TEXT COLLATE "C" NOT NULL,
    position  BIGINT NOT NULL,
    guid      BYTEA,
    name      TEXT COLLATE "C" NOT NULL,
    reason    TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, domain, position)
);
ALTER TABLE domains ADD COLUMN sync_failed BIGINT NOT NULL DEFAULT 0;
