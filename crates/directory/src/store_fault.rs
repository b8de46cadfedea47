//! What is wrong with a database that cannot be used, from its errors.

use std::fmt;

/// What is wrong with a database that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreFault {
    /// Its disk is full.
    Full,
    /// Its disk or file system fails.
    Io,
    /// It cannot be written, as a standby or on a file system that is mounted read-only.
    ReadOnly,
    /// It does not answer.
    Unreachable,
    /// It is too busy, or gave up a transaction in favour of another.
    Busy,
    /// What it holds is damaged.
    Damaged,
    /// Its file was deleted or replaced while it was open.
    Replaced,
}

impl StoreFault {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 7] = [
        Self::Full,
        Self::Io,
        Self::ReadOnly,
        Self::Unreachable,
        Self::Busy,
        Self::Damaged,
        Self::Replaced,
    ];

    /// The stable word for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Io => "io_error",
            Self::ReadOnly => "read_only",
            Self::Unreachable => "unreachable",
            Self::Busy => "busy",
            Self::Damaged => "damaged",
            Self::Replaced => "replaced",
        }
    }

    /// Whether the same call may succeed later without anybody repairing what is stored.
    pub fn is_passing(self) -> bool {
        self != Self::Damaged
    }

    /// The fault behind an error of the database; `None` where the statement or its values are to blame.
    pub(crate) fn of(error: &sqlx::Error) -> Option<Self> {
        match error {
            // The last three are left behind by a connection whose transaction failed.
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::BeginFailed
            | sqlx::Error::InvalidSavePointStatement => Some(Self::Unreachable),
            sqlx::Error::Database(error) => Self::of_code(error.code()?.as_ref()),
            _ => None,
        }
    }

    /// PostgreSQL's codes have five characters, the extended result codes of SQLite are numbers with fewer digits.
    fn of_code(code: &str) -> Option<Self> {
        if code.len() < 5 {
            // The low byte is the primary code (sqlite3.h).
            return match code.parse::<u32>().ok()? & 0xFF {
                13 => Some(Self::Full),
                10 | 14 => Some(Self::Io),
                8 => Some(Self::ReadOnly),
                5..=7 => Some(Self::Busy),
                11 | 26 => Some(Self::Damaged),
                _ => None,
            };
        }
        match code {
            "53100" => Some(Self::Full),
            "25006" => Some(Self::ReadOnly),
            "XX001" | "XX002" => Some(Self::Damaged),
            _ => match code.get(..2)? {
                "58" => Some(Self::Io),
                "08" | "57" => Some(Self::Unreachable),
                "40" | "53" | "55" => Some(Self::Busy),
                _ => None,
            },
        }
    }
}

impl fmt::Display for StoreFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "its disk is full",
            Self::Io => "its disk or file system reports errors",
            Self::ReadOnly => "it is read-only",
            Self::Unreachable => "it does not answer",
            Self::Busy => "it is too busy",
            Self::Damaged => "it is damaged",
            Self::Replaced => "its file was deleted or replaced",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_of_both_databases_name_the_fault() {
        for (code, fault) in [
            ("13", Some(StoreFault::Full)),
            // SQLITE_IOERR_FSYNC, SQLITE_READONLY_DBMOVED, SQLITE_BUSY_SNAPSHOT, SQLITE_CORRUPT_INDEX
            ("1034", Some(StoreFault::Io)),
            ("1032", Some(StoreFault::ReadOnly)),
            ("517", Some(StoreFault::Busy)),
            ("779", Some(StoreFault::Damaged)),
            ("2067", None),
            ("53100", Some(StoreFault::Full)),
            ("53300", Some(StoreFault::Busy)),
            ("25006", Some(StoreFault::ReadOnly)),
            ("58030", Some(StoreFault::Io)),
            ("57P01", Some(StoreFault::Unreachable)),
            ("XX001", Some(StoreFault::Damaged)),
            ("23505", None),
        ] {
            assert_eq!(StoreFault::of_code(code), fault, "{code}");
        }
    }
}
