-- Times are Unix seconds (`_at`) or milliseconds (`_ms`). Ids, GUIDs and hashes are BLOBs, SIDs are text.
-- `*_key` columns hold lower-cased copies for comparison without case.

CREATE TABLE meta (
    name  TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
);

CREATE TABLE tenants (
    id                   BLOB   NOT NULL PRIMARY KEY,
    name                 TEXT   NOT NULL UNIQUE,
    domain               TEXT   NOT NULL UNIQUE,
    realm                TEXT   NOT NULL UNIQUE,
    flat_name            TEXT   NOT NULL,
    sid                  TEXT   NOT NULL UNIQUE,
    top_level_names      TEXT   NOT NULL,              -- joined by commas
    max_ticket_life_s    BIGINT NOT NULL,
    max_renewable_life_s BIGINT NOT NULL,
    allow_low_rids       BIGINT NOT NULL,
    created_at           BIGINT NOT NULL,
    -- Every writing transaction raises one of these first: a lock on the tenant, and what caches are checked against.
    parties_change       BIGINT NOT NULL DEFAULT 0,
    identities_change    BIGINT NOT NULL DEFAULT 0
);

-- The Kerberos keys of the realm itself, of storage accounts and of service principals.
CREATE TABLE kerberos_keys (
    tenant_id  BLOB   NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    owner_kind TEXT   NOT NULL CHECK (owner_kind IN ('krbtgt', 'account', 'principal')),
    owner_id   BLOB   NOT NULL,
    kvno       BIGINT NOT NULL,
    slot       TEXT   NOT NULL CHECK (slot IN ('kerb1', 'kerb2')),
    enctype    BIGINT NOT NULL,
    sealing    BIGINT NOT NULL,
    sealed     BLOB   NOT NULL,
    created_at BIGINT NOT NULL,
    retires_at BIGINT,                                 -- set when the slot got a newer key
    PRIMARY KEY (tenant_id, owner_kind, owner_id, kvno)
);

CREATE TABLE domains (
    tenant_id       BLOB   NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    dns_name        TEXT   NOT NULL,
    flat_name       TEXT   NOT NULL,
    sid             TEXT   NOT NULL,
    forest_root     TEXT   NOT NULL,
    created_at      BIGINT NOT NULL,
    sync_cursor     TEXT,
    sync_run        TEXT,
    sync_success_at BIGINT,
    sync_skipped    BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, dns_name),
    UNIQUE (tenant_id, sid)
);

CREATE TABLE trusts (
    id              BLOB   NOT NULL PRIMARY KEY,
    tenant_id       BLOB   NOT NULL,
    dns_name        TEXT   NOT NULL,
    top_level_names TEXT   NOT NULL,                   -- joined by commas
    created_at      BIGINT NOT NULL,
    confirmed_at    BIGINT,
    UNIQUE (tenant_id, dns_name),
    FOREIGN KEY (tenant_id, dns_name) REFERENCES domains (tenant_id, dns_name) ON DELETE CASCADE
);

CREATE TABLE trust_secrets (
    trust_id     BLOB   NOT NULL REFERENCES trusts (id) ON DELETE CASCADE,
    version      BIGINT NOT NULL,
    state        TEXT   NOT NULL CHECK (state IN ('pending', 'current', 'previous', 'retired')),
    sealed       BLOB   NOT NULL,
    created_at   BIGINT NOT NULL,
    confirmed_at BIGINT,
    retires_at   BIGINT,
    last_seen_at BIGINT,
    PRIMARY KEY (trust_id, version)
);

CREATE TABLE identities (
    tenant_id         BLOB   NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    guid              BLOB   NOT NULL,
    sid               TEXT   NOT NULL,
    kind              TEXT   NOT NULL CHECK (kind IN ('user', 'group')),
    source            TEXT   NOT NULL CHECK (source IN ('hybrid', 'cloud')),
    state             TEXT   NOT NULL CHECK (state IN ('enabled', 'disabled', 'deleted')),
    disabled_reason   TEXT,
    account_name      TEXT   NOT NULL,
    upn               TEXT   NOT NULL,
    display_name      TEXT   NOT NULL,
    domain            TEXT   NOT NULL,                 -- DNS name of the AD domain; empty for a cloud-only identity
    primary_group_rid BIGINT NOT NULL,
    created_at        BIGINT NOT NULL,
    changed_at        BIGINT NOT NULL,
    name_key          TEXT   NOT NULL,
    taken_account     TEXT,                            -- the account name it holds; a deleted identity holds none
    taken_upn         TEXT,                            -- the UPN it holds
    PRIMARY KEY (tenant_id, guid),
    UNIQUE (tenant_id, sid),
    UNIQUE (tenant_id, domain, taken_account),
    UNIQUE (tenant_id, taken_upn)
);
CREATE INDEX identities_by_name ON identities (tenant_id, name_key, guid);
CREATE INDEX identities_by_domain ON identities (tenant_id, domain, guid);

-- Direct members as AD has them. A member may be unknown here; it counts from when it is synced.
CREATE TABLE memberships (
    tenant_id   BLOB NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    group_guid  BLOB NOT NULL,
    member_guid BLOB NOT NULL,
    PRIMARY KEY (tenant_id, group_guid, member_guid)
) WITHOUT ROWID;
CREATE INDEX memberships_by_member ON memberships (tenant_id, member_guid, group_guid);

-- For each live group: itself, and every group it is in, directly or through others.
CREATE TABLE group_closure (
    tenant_id     BLOB NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    group_guid    BLOB NOT NULL,
    ancestor_guid BLOB NOT NULL,
    PRIMARY KEY (tenant_id, group_guid, ancestor_guid)
) WITHOUT ROWID;
CREATE INDEX group_closure_by_ancestor ON group_closure (tenant_id, ancestor_guid, group_guid);

-- Objects that the last attempt to sync them refused.
CREATE TABLE sync_refusals (
    tenant_id    BLOB   NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    domain       TEXT   NOT NULL,
    guid         BLOB   NOT NULL,
    account_name TEXT   NOT NULL,
    code         TEXT   NOT NULL,
    message      TEXT   NOT NULL,
    refused_at   BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, domain, guid)
);

CREATE TABLE storage_accounts (
    id           BLOB   NOT NULL PRIMARY KEY,
    tenant_id    BLOB   NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    name         TEXT   NOT NULL,
    default_role TEXT   CHECK (default_role IN ('reader', 'contributor', 'elevated-contributor')),
    created_at   BIGINT NOT NULL,
    UNIQUE (tenant_id, name)
);

CREATE TABLE service_principals (
    id         BLOB   NOT NULL PRIMARY KEY,
    tenant_id  BLOB   NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    spn        TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (tenant_id, spn)
);

-- Every name a service answers to, so that one read finds the service of a ticket and no two services share a name.
CREATE TABLE service_names (
    tenant_id  BLOB NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    class      TEXT NOT NULL,
    host       TEXT NOT NULL,
    owner_kind TEXT NOT NULL CHECK (owner_kind IN ('account', 'principal')),
    owner_id   BLOB NOT NULL,
    PRIMARY KEY (tenant_id, class, host)
);
CREATE INDEX service_names_by_owner ON service_names (tenant_id, owner_kind, owner_id);

CREATE TABLE shares (
    id         BLOB   NOT NULL PRIMARY KEY,
    account_id BLOB   NOT NULL REFERENCES storage_accounts (id) ON DELETE CASCADE,
    name       TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    removed_at BIGINT,
    UNIQUE (account_id, name)
);

CREATE TABLE grants (
    share_id   BLOB   NOT NULL REFERENCES shares (id) ON DELETE CASCADE,
    tenant_id  BLOB   NOT NULL,
    guid       BLOB   NOT NULL,
    role       TEXT   NOT NULL CHECK (role IN ('reader', 'contributor', 'elevated-contributor')),
    created_at BIGINT NOT NULL,
    PRIMARY KEY (share_id, guid),
    FOREIGN KEY (tenant_id, guid) REFERENCES identities (tenant_id, guid) ON DELETE CASCADE
);
CREATE INDEX grants_by_principal ON grants (tenant_id, guid);

CREATE TABLE tokens (
    id         BLOB   NOT NULL PRIMARY KEY,
    tenant_id  BLOB   REFERENCES tenants (id) ON DELETE CASCADE,
    hash       BLOB   NOT NULL UNIQUE,
    role       TEXT   NOT NULL,
    scope      TEXT   NOT NULL,                        -- the domain of a connector, the account of a host
    name       TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT
);

-- No reference to tenants: the audit outlives what it speaks of.
CREATE TABLE events (
    sequence  INTEGER PRIMARY KEY AUTOINCREMENT,
    id        TEXT,
    at_ms     BIGINT NOT NULL,
    tenant_id BLOB,
    category  TEXT   NOT NULL,
    outcome   TEXT   NOT NULL,
    action    TEXT   NOT NULL,
    reason    TEXT   NOT NULL,
    actor     TEXT   NOT NULL,
    user_name TEXT   NOT NULL,
    user_key  TEXT   NOT NULL,
    target    TEXT   NOT NULL,
    address   TEXT,
    detail    TEXT   NOT NULL
);
CREATE INDEX events_by_tenant ON events (tenant_id, sequence);
CREATE INDEX events_by_category ON events (tenant_id, category, sequence);
CREATE INDEX events_by_user ON events (tenant_id, user_key, sequence);
