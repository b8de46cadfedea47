-- What the tenant knows of the Kerberos server object of an AD domain. Holds no key: AD makes the key of such an account
-- itself and gives it to nobody.
CREATE TABLE kerberos_servers (
    tenant_id      BLOB   NOT NULL,
    dns_name       TEXT   NOT NULL,
    number         BIGINT NOT NULL,                    -- msDS-SecondaryKrbTgtNumber
    display_name   TEXT   NOT NULL,
    key_version    BIGINT NOT NULL,
    key_updated_at BIGINT NOT NULL,
    recorded_at    BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, dns_name),
    FOREIGN KEY (tenant_id, dns_name) REFERENCES domains (tenant_id, dns_name) ON DELETE CASCADE
);
