//! The two databases, and what each connection is set to.

/// The supported databases.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// One file with one writer at a time, which does not block readers.
    Sqlite,
    /// A server that many nodes share.
    Postgres,
}

impl Dialect {
    /// Statements for the first connection, which checks and migrates the database.
    pub(crate) fn first(self) -> &'static [&'static str] {
        match self {
            Self::Sqlite => &["PRAGMA busy_timeout = 10000", "PRAGMA foreign_keys = ON"],
            Self::Postgres => &[],
        }
    }

    /// Statements for every connection. The server ends what takes too long, also if this node has stopped while it
    /// holds locks.
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

    /// The page cache (in KiB) is for the indexes, which a sync writes at random. Temporary data is kept in memory: it
    /// is small.
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

    /// Readers cannot write: nothing is written on the path of a ticket.
    pub(crate) fn reader(self) -> &'static [&'static str] {
        match self {
            Self::Sqlite => &["PRAGMA query_only = ON"],
            Self::Postgres => &["SET default_transaction_read_only = on"],
        }
    }
}
