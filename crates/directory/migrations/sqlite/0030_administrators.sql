-- People who administer the installation (no tenant) or one tenant, and what they prove themselves with. All names of people
-- are unique in the installation, so that a sign-in needs no more than one.
CREATE TABLE administrators (
    id              BLOB   NOT NULL PRIMARY KEY,
    tenant_id       BLOB   REFERENCES tenants (id) ON DELETE CASCADE,
    upn             TEXT   NOT NULL,
    upn_key         TEXT   NOT NULL UNIQUE,
    role            TEXT   NOT NULL,
    created_at      BIGINT NOT NULL,
    code_hash       BLOB,                              -- SHA-256 of the one-time enrolment code, until it is used
    code_expires_at BIGINT,
    password        BLOB,                              -- format, salt and Argon2id hash; from enrolment on
    totp_version    BIGINT NOT NULL DEFAULT 0,
    totp_sealed     BLOB,
    totp_step       BIGINT NOT NULL DEFAULT 0,         -- the last time step whose code was used
    enrolled_at     BIGINT,
    signed_in_at    BIGINT
);

-- Failed sign-ins by account and by sender, whether or not there is such an account.
CREATE TABLE sign_in_attempts (
    subject      TEXT   NOT NULL PRIMARY KEY,
    failures     BIGINT NOT NULL,
    last_at      BIGINT NOT NULL,
    locked_until BIGINT NOT NULL
);
CREATE INDEX sign_in_attempts_by_age ON sign_in_attempts (last_at);

-- The session of an administrator is a token that ends with the administrator.
ALTER TABLE tokens ADD COLUMN administrator_id BLOB REFERENCES administrators (id) ON DELETE CASCADE;
CREATE INDEX tokens_by_administrator ON tokens (administrator_id);
