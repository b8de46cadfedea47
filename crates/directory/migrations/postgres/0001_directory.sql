-- Times are Unix seconds (`_at`) or milliseconds (`_ms`). Ids, GUIDs and hashes are BYTEAs, SIDs are text.
-- `*_key` columns hold lower-cased copies for comparison without case. Text sorts by its bytes, so that no change of a
-- locale can damage an index.

CREATE TABLE meta (
    name  TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value BYTEA NOT NULL
);

CREATE TABLE tenants (
    id                   BYTEA   NOT NULL PRIMARY KEY,
    name                 TEXT COLLATE "C" NOT NULL UNIQUE,
    domain               TEXT COLLATE "C" NOT NULL UNIQUE,
    realm                TEXT COLLATE "C" NOT NULL UNIQUE,
    flat_name            TEXT COLLATE "C" NOT NULL,
    sid                  TEXT COLLATE "C" NOT NULL UNIQUE,
    top_level_names      TEXT COLLATE "C" NOT NULL,              -- joined by commas
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
    tenant_id  BYTEA   NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    owner_kind TEXT COLLATE "C" NOT NULL CHECK (owner_kind IN ('krbtgt', 'account', 'principal')),
    owner_id   BYTEA   NOT NULL,
    kvno       BIGINT NOT NULL,
    slot       TEXT COLLATE "C" NOT NULL CHECK (slot IN ('kerb1', 'kerb2')),
    enctype    BIGINT NOT NULL,
    sealing    BIGINT NOT NULL,
    sealed     BYTEA   NOT NULL,
    created_at BIGINT NOT NULL,
    retires_at BIGINT,                                 -- set when the slot got a newer key
    PRIMARY KEY (tenant_id, owner_kind, owner_id, kvno)
);

CREATE TABLE domains (
    tenant_id       BYTEA   NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    dns_name        TEXT COLLATE "C" NOT NULL,
    flat_name       TEXT COLLATE "C" NOT NULL,
    sid             TEXT COLLATE "C" NOT NULL,
    forest_root     TEXT COLLATE "C" NOT NULL,
    created_at      BIGINT NOT NULL,
    sync_cursor     TEXT COLLATE "C",
    sync_run        TEXT COLLATE "C",
    sync_success_at BIGINT,
    sync_skipped    BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, dns_name),
    UNIQUE (tenant_id, sid)
);

CREATE TABLE trusts (
    id              BYTEA   NOT NULL PRIMARY KEY,
    tenant_id       BYTEA   NOT NULL,
    dns_name        TEXT COLLATE "C" NOT NULL,
    top_level_names TEXT COLLATE "C" NOT NULL,                   -- joined by commas
    created_at      BIGINT NOT NULL,
    confirmed_at    BIGINT,
    UNIQUE (tenant_id, dns_name),
    FOREIGN KEY (tenant_id, dns_name) REFERENCES domains (tenant_id, dns_name) ON DELETE CASCADE
);

CREATE TABLE trust_secrets (
    trust_id     BYTEA   NOT NULL REFERENCES trusts (id) ON DELETE CASCADE,
    version      BIGINT NOT NULL,
    state        TEXT COLLATE "C" NOT NULL CHECK (state IN ('pending', 'current', 'previous', 'retired')),
    sealed       BYTEA   NOT NULL,
    created_at   BIGINT NOT NULL,
    confirmed_at BIGINT,
    retires_at   BIGINT,
    last_seen_at BIGINT,
    PRIMARY KEY (trust_id, version)
);

CREATE TABLE identities (
    tenant_id         BYTEA   NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    guid              BYTEA   NOT NULL,
    sid               TEXT COLLATE "C" NOT NULL,
    kind              TEXT COLLATE "C" NOT NULL CHECK (kind IN ('user', 'group')),
    source            TEXT COLLATE "C" NOT NULL CHECK (source IN ('hybrid', 'cloud')),
    state             TEXT COLLATE "C" NOT NULL CHECK (state IN ('enabled', 'disabled', 'deleted')),
    disabled_reason   TEXT COLLATE "C",
    account_name      TEXT COLLATE "C" NOT NULL,
    upn               TEXT COLLATE "C" NOT NULL,
    display_name      TEXT COLLATE "C" NOT NULL,
    domain            TEXT COLLATE "C" NOT NULL,                 -- DNS name of the AD domain; empty for a cloud-only identity
    primary_group_rid BIGINT NOT NULL,
    created_at        BIGINT NOT NULL,
    changed_at        BIGINT NOT NULL,
    name_key          TEXT COLLATE "C" NOT NULL,
    taken_account     TEXT COLLATE "C",                            -- the account name it holds; a deleted identity holds none
    taken_upn         TEXT COLLATE "C",                            -- the UPN it holds
    PRIMARY KEY (tenant_id, guid),
    UNIQUE (tenant_id, sid),
    UNIQUE (tenant_id, domain, taken_account),
    UNIQUE (tenant_id, taken_upn)
);
CREATE INDEX identities_by_name ON identities (tenant_id, name_key, guid);
CREATE INDEX identities_by_domain ON identities (tenant_id, domain, guid);

-- Direct members as AD has them. A member may be unknown here; it counts from when it is synced.
CREATE TABLE memberships (
    tenant_id   BYTEA NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    group_guid  BYTEA NOT NULL,
    member_guid BYTEA NOT NULL,
    PRIMARY KEY (tenant_id, group_guid, member_guid)
);
CREATE INDEX memberships_by_member ON memberships (tenant_id, member_guid, group_guid);

-- For each live group: itself, and every group it is in, directly or through others.
CREATE TABLE group_closure (
    tenant_id     BYTEA NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    group_guid    BYTEA NOT NULL,
    ancestor_guid BYTEA NOT NULL,
    PRIMARY KEY (tenant_id, group_guid, ancestor_guid)
);
CREATE INDEX group_closure_by_ancestor ON group_closure (tenant_id, ancestor_guid, group_guid);

-- Objects that the last attempt to sync them refused.
CREATE TABLE sync_refusals (
    tenant_id    BYTEA   NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    domain       TEXT COLLATE "C" NOT NULL,
    guid         BYTEA   NOT NULL,
    account_name TEXT COLLATE "C" NOT NULL,
    code         TEXT COLLATE "C" NOT NULL,
    message      TEXT COLLATE "C" NOT NULL,
    refused_at   BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, domain, guid)
);

CREATE TABLE storage_accounts (
    id           BYTEA   NOT NULL PRIMARY KEY,
    tenant_id    BYTEA   NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    name         TEXT COLLATE "C" NOT NULL,
    default_role TEXT COLLATE "C"   CHECK (default_role IN ('reader', 'contributor', 'elevated-contributor')),
    created_at   BIGINT NOT NULL,
    UNIQUE (tenant_id, name)
);

CREATE TABLE service_principals (
    id         BYTEA   NOT NULL PRIMARY KEY,
    tenant_id  BYTEA   NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    spn        TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (tenant_id, spn)
);

-- Every name a service answers to, so that one read finds the service of a ticket and no two services share a name.
CREATE TABLE service_names (
    tenant_id  BYTEA NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    class      TEXT COLLATE "C" NOT NULL,
    host       TEXT COLLATE "C" NOT NULL,
    owner_kind TEXT COLLATE "C" NOT NULL CHECK (owner_kind IN ('account', 'principal')),
    owner_id   BYTEA NOT NULL,
    PRIMARY KEY (tenant_id, class, host)
);
CREATE INDEX service_names_by_owner ON service_names (tenant_id, owner_kind, owner_id);

CREATE TABLE shares (
    id         BYTEA   NOT NULL PRIMARY KEY,
    account_id BYTEA   NOT NULL REFERENCES storage_accounts (id) ON DELETE CASCADE,
    name       TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    removed_at BIGINT,
    UNIQUE (account_id, name)
);

CREATE TABLE grants (
    share_id   BYTEA   NOT NULL REFERENCES shares (id) ON DELETE CASCADE,
    tenant_id  BYTEA   NOT NULL,
    guid       BYTEA   NOT NULL,
    role       TEXT COLLATE "C" NOT NULL CHECK (role IN ('reader', 'contributor', 'elevated-contributor')),
    created_at BIGINT NOT NULL,
    PRIMARY KEY (share_id, guid),
    FOREIGN KEY (tenant_id, guid) REFERENCES identities (tenant_id, guid) ON DELETE CASCADE
);
CREATE INDEX grants_by_principal ON grants (tenant_id, guid);

CREATE TABLE tokens (
    id         BYTEA   NOT NULL PRIMARY KEY,
    tenant_id  BYTEA   REFERENCES tenants (id) ON DELETE CASCADE,
    hash       BYTEA   NOT NULL UNIQUE,
    role       TEXT COLLATE "C" NOT NULL,
    scope      TEXT COLLATE "C" NOT NULL,                        -- the domain of a connector, the account of a host
    name       TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT
);

-- No reference to tenants: the audit outlives what it speaks of.
CREATE TABLE events (
    sequence  BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id        TEXT COLLATE "C",
    at_ms     BIGINT NOT NULL,
    tenant_id BYTEA,
    category  TEXT COLLATE "C" NOT NULL,
    outcome   TEXT COLLATE "C" NOT NULL,
    action    TEXT COLLATE "C" NOT NULL,
    reason    TEXT COLLATE "C" NOT NULL,
    actor     TEXT COLLATE "C" NOT NULL,
    user_name TEXT COLLATE "C" NOT NULL,
    user_key  TEXT COLLATE "C" NOT NULL,
    target    TEXT COLLATE "C" NOT NULL,
    address   TEXT COLLATE "C",
    detail    TEXT COLLATE "C" NOT NULL
);
CREATE INDEX events_by_tenant ON events (tenant_id, sequence);
CREATE INDEX events_by_category ON events (tenant_id, category, sequence);
CREATE INDEX events_by_user ON events (tenant_id, user_key, sequence);
