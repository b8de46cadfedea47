//! The two databases, and what each connection is set to.

/// The two databases that are spoken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// One file, one writer at a time, readers that it never keeps waiting.
    Sqlite,
    /// A server that many nodes share.
    Postgres,
}

impl Dialect {
    /// What the first connection is told, which looks at the database and brings it to the schema.
    pub(crate) fn first(self) -> &'static [&'static str] {
        match self {
            Self::Sqlite => &["PRAGMA busy_timeout = 10000", "PRAGMA foreign_keys = ON"],
            Self::Postgres => &[],
        }
    }

    /// What each connection is told before it is used. A server ends what takes too long, also where this node has
    /// stopped and holds locks that others wait for.
    pub(crate) fn every(self) -> &'static [&'static str] {
        match self {
            Self::Sqlite => self.first(),
            Self::Postgres => &[
                "SET lock_timeout = '10s'",
                "SET statement_timeout = '30s'",
                "SET idle_in_transaction_session_timeout = '60s'",
            ],
        }
    }

    /// The cache is for the indexes, which a sync writes all over, in KiB; what a statement may have to take back is kept in
    /// memory, since there it costs next to nothing.
    pub(crate) fn writer(self) -> &'static [&'static str] {
        match self {
            Self::Sqlite => &[
                "PRAGMA journal_mode = WAL",
                "PRAGMA synchronous = FULL",
                "PRAGMA cache_size = -65536",
                "PRAGMA temp_store = MEMORY",
            ],
            Self::Postgres => &[],
        }
    }

    /// A reader that could write would be a hole in the promise that a ticket writes nothing.
    pub(crate) fn reader(self) -> &'static [&'static str] {
        match self {
            Self::Sqlite => &["PRAGMA query_only = ON"],
            Self::Postgres => &["SET default_transaction_read_only = on"],
        }
    }
}
