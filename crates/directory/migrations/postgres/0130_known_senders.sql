-- From where an administrator signed in last: these senders are not held back by the failures of others.
CREATE TABLE known_senders (
    administrator_id BYTEA   NOT NULL REFERENCES administrators (id) ON DELETE CASCADE,
    sender           TEXT   NOT NULL,
    last_at          BIGINT NOT NULL,
    PRIMARY KEY (administrator_id, sender)
);
