//! Why the directory refused or failed, split by who is to blame.

use crate::sealing::master_key::MasterKeyError;
use crate::sealing::seal::UnsealError;
use std::fmt;

/// The result of everything this crate does.
pub type Result<T> = std::result::Result<T, DirectoryError>;

/// What kind of record an error speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A tenant.
    Tenant,
    /// An AD domain registered with a tenant.
    Domain,
    /// A trust with an AD forest.
    Trust,
    /// The record of an AD domain's Kerberos server object.
    KerberosServer,
    /// A user or a group.
    Principal,
    /// A user.
    User,
    /// A group.
    Group,
    /// A storage account.
    StorageAccount,
    /// A service principal.
    ServicePrincipal,
    /// A share.
    Share,
    /// A grant of a role on a share.
    Grant,
    /// An access token.
    Token,
    /// An access token of an SMB host.
    HostToken,
    /// The connector of an AD domain.
    Connector,
    /// Somebody who administers.
    Administrator,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tenant => "tenant",
            Self::Domain => "domain",
            Self::Trust => "trust",
            Self::KerberosServer => "Kerberos server object of",
            Self::Principal => "user or group",
            Self::User => "user",
            Self::Group => "group",
            Self::StorageAccount => "storage account",
            Self::ServicePrincipal => "service principal",
            Self::Share => "share",
            Self::Grant => "grant",
            Self::Token => "token",
            Self::HostToken => "host token",
            Self::Connector => "connector for",
            Self::Administrator => "administrator",
        })
    }
}

/// Everything that can go wrong in the directory.
///
/// The first group is the caller's to mend, the second the operator's. No variant carries a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DirectoryError {
    /// There is no such record.
    #[error("no {kind} `{name}`")]
    NotFound {
        /// What was looked for.
        kind: Kind,
        /// The name it was looked for by.
        name: String,
    },
    /// The name, or something else that must be unique, is in use.
    #[error("{kind} `{name}` already exists{}", in_use(.by))]
    Exists {
        /// What was to be made.
        kind: Kind,
        /// The value that is taken.
        name: String,
        /// Who holds it, where that is not a record of the same kind and name.
        by: Option<String>,
    },
    /// A value is not of the form it must have.
    #[error("{what} `{value}` is not valid: {reason}")]
    Invalid {
        /// Which value: `tenant name`, `realm`.
        what: &'static str,
        /// The value, shortened where it is long.
        value: String,
        /// What it must look like.
        reason: &'static str,
    },
    /// More than one record has the name.
    #[error("`{name}` names more than one user or group: {candidates}")]
    Ambiguous {
        /// The name.
        name: String,
        /// The records, by names that tell them apart.
        candidates: String,
    },
    /// The request contradicts what the directory holds.
    #[error("{message}")]
    Refused {
        /// A stable word for programs: `trust_sid_mismatch`.
        code: &'static str,
        /// The reason for people.
        message: String,
        /// The next step, where one is known.
        hint: Option<String>,
    },

    /// The master key cannot be used.
    #[error(transparent)]
    MasterKey(#[from] MasterKeyError),
    /// A sealed key of the database does not open.
    #[error(transparent)]
    Unseal(#[from] UnsealError),
    /// A record of the database is not what this program writes.
    #[error("the database holds a damaged {what}: {reason}")]
    Damaged {
        /// Which record.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The database cannot be opened.
    #[error("cannot open the database `{url}`: {reason}")]
    Open {
        /// The URL, without a password.
        url: String,
        /// What is wrong.
        reason: String,
        /// What to do about it, where that is known.
        hint: Option<String>,
    },
    /// The database did not do what it was asked.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// The operating system's random generator failed.
    #[error("the operating system gave no random bytes: {0}")]
    Random(String),
}

fn in_use(by: &Option<String>) -> String {
    by.as_ref()
        .map(|by| format!(" (it belongs to {by})"))
        .unwrap_or_default()
}

impl DirectoryError {
    pub(crate) fn not_found(kind: Kind, name: impl fmt::Display) -> Self {
        Self::NotFound {
            kind,
            name: name.to_string(),
        }
    }

    pub(crate) fn exists(kind: Kind, name: impl fmt::Display) -> Self {
        Self::Exists {
            kind,
            name: name.to_string(),
            by: None,
        }
    }

    pub(crate) fn damaged(what: impl fmt::Display, reason: impl fmt::Display) -> Self {
        Self::Damaged {
            what: what.to_string(),
            reason: reason.to_string(),
        }
    }

    /// Whether the same may succeed later as it is: the database is away, starting, overloaded, or was interrupted.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Database(
                sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::WorkerCrashed,
            ) => true,
            // PostgreSQL's classes of errors: connection, rollback, resources, state, intervention; and a standby.
            Self::Database(sqlx::Error::Database(error)) => error.code().is_some_and(|code| {
                let classes = ["08", "40", "53", "55", "57", "25006"];
                code.len() == 5 && classes.iter().any(|class| code.starts_with(class))
            }),
            _ => false,
        }
    }

    /// The next step for a person, where one is known.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Refused { hint, .. } | Self::Open { hint, .. } => hint.as_deref(),
            Self::MasterKey(error) => error.hint(),
            _ => None,
        }
    }
}
