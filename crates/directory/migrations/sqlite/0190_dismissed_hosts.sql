-- The tokens of SMB hosts whose tenant was deleted: a host ends only where the installation proves that it knew its token.
CREATE TABLE dismissed_hosts (
    hash BLOB NOT NULL PRIMARY KEY,
    id   BLOB NOT NULL
);
