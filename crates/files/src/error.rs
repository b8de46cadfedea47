//! Why an SMB host cannot serve, and what to do about it.

use crossrealm_api::{ClientError, Code};
use serde::{Deserialize, Serialize};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Why an SMB host cannot serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FilesError {
    /// The process lacks the privileges for namespaces, port 445 and other users' files.
    #[error("`files serve` must run as root")]
    NotRoot,
    /// A program of the system is missing.
    #[error("the program `{program}` is missing")]
    MissingProgram {
        /// Its name.
        program: &'static str,
        /// The Debian package that holds it.
        package: &'static str,
    },
    /// A file of Samba or the system is missing.
    #[error("`{file}` is missing")]
    MissingFile {
        /// Its usual name.
        file: &'static str,
        /// The Debian package that holds it.
        package: &'static str,
    },
    /// The system does not permit this process to create namespaces.
    #[error("cannot create the host's namespaces: {reason}")]
    NoNamespaces {
        /// The system's error.
        reason: String,
    },
    /// Another program listens on the address.
    #[error("cannot listen on {address}: the port is in use")]
    PortInUse {
        /// Where.
        address: SocketAddr,
    },
    /// The address cannot be bound for another reason.
    #[error("cannot listen on {address}: {reason}")]
    CannotListen {
        /// Where.
        address: SocketAddr,
        /// The system's error.
        reason: String,
    },
    /// Another host serves the files in this directory, or uses it for its state.
    #[error("another `files serve` already uses `{}`", path.display())]
    AlreadyRunning {
        /// The directory.
        path: PathBuf,
    },
    /// The directory contains the files of another tenant's account.
    #[error("`{}` holds the files of tenant {tenant}", path.display())]
    OtherTenant {
        /// The account's directory.
        path: PathBuf,
        /// The id of that tenant.
        tenant: String,
    },
    /// A file or directory of the host cannot be read or written.
    #[error("cannot {verb} `{}`: {reason}", path.display())]
    File {
        /// What was tried: `create`, `write`, …
        verb: &'static str,
        /// Of which file.
        path: PathBuf,
        /// The system's error.
        reason: String,
    },
    /// The file system of the data cannot store Windows permissions.
    #[error("the file system of `{}` cannot store Windows permissions", path.display())]
    NoAttributes {
        /// The directory of the shares.
        path: PathBuf,
    },
    /// smbd was not notified to close the connections that a share's permissions no longer allow.
    #[error(
        "cannot close the connections to share `{share}` that its permissions no longer allow: {reason}"
    )]
    NotClosed {
        /// The share.
        share: String,
        /// What went wrong.
        reason: String,
    },
    /// The directory of the snapshots cannot be used.
    #[error("the snapshots in `{}` cannot be served: {reason}", path.display())]
    BadSnapshots {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// What to do.
        hint: String,
    },
    /// The text is not an account's name.
    #[error("`{0}` is not the name of a storage account: 3 to 24 lower-case letters and digits")]
    BadAccountName(String),
    /// The text is not a share's name.
    #[error(
        "`{0}` is not the name of a share: 1 to 80 characters, none of `\"\\/[]:|<>+=;,*?%`, and no name of Samba's"
    )]
    BadShareName(String),
    /// The cached state cannot be used.
    #[error("the cached state `{}` cannot be used: {reason}", path.display())]
    BadStateCache {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The API is unreachable, and there is no cached state to start with.
    #[error("{api}, and {why}")]
    NoState {
        /// Why the API gave no state.
        api: ClientError,
        /// Why there is no cached state.
        why: String,
    },
    /// The service ended this host: its account was deleted or its token revoked.
    #[error("stopped serving storage account `{account}`: {error}")]
    Terminated {
        /// The account.
        account: String,
        /// What the service returned.
        error: ClientError,
    },
    /// The service refuses the host its state, without the proof that it dismisses the host, and no state is cached here.
    #[error("the service does not accept this host for storage account `{account}`: {error}")]
    NotAccepted {
        /// The account.
        account: String,
        /// What the service returned.
        error: ClientError,
    },
    /// The service has not confirmed the state for as long as it may be served.
    #[error(
        "stopped serving storage account `{account}`: the service has not confirmed its state for 7 days"
    )]
    Unconfirmed {
        /// The account.
        account: String,
    },
    /// The API refuses the host its state.
    #[error(transparent)]
    Api(#[from] ClientError),
    /// The state that the service returned cannot be served.
    #[error("the service returned {what} that cannot be served: {reason}")]
    BadState {
        /// Which part of it.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A program of Samba or the system failed.
    #[error("`{program}` failed: {reason}")]
    Program {
        /// Its name.
        program: String,
        /// The last line of its output.
        reason: String,
    },
    /// The worker process ended without a report.
    #[error("the host's worker process ended ({how})")]
    WorkerDied {
        /// How.
        how: String,
    },
    /// The worker process reported an error and ended.
    #[error("{}", .0.message)]
    Worker(ErrorReport),
}

/// An error as the worker reports it to the supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorReport {
    /// The message, in one line.
    pub message: String,
    /// The next step, where one is known.
    pub hint: Option<String>,
}

impl FilesError {
    /// The next step, where one is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotRoot => Some("run it with `sudo`, or as a system service".into()),
            Self::MissingProgram { package, .. } | Self::MissingFile { package, .. } => {
                Some(format!("install it: `apt-get install {package}`"))
            }
            Self::NoNamespaces { .. } => Some(
                "in a container, grant the capability `CAP_SYS_ADMIN`, or run it outside the container".into(),
            ),
            Self::PortInUse { address } => Some(format!(
                "find the program with `ss -ltnp 'sport = :{}'`, or choose another address",
                address.port()
            )),
            Self::CannotListen { .. } => {
                Some("choose an address of this machine; `ip address` lists them".into())
            }
            Self::AlreadyRunning { .. } => {
                Some("stop it first, or give this one directories of its own for data and state".into())
            }
            Self::OtherTenant { .. } => Some("each tenant needs its own data directory: choose another one".into()),
            Self::BadSnapshots { hint, .. } => Some(hint.clone()),
            Self::NoAttributes { .. } => Some(
                "put the data on ext4, XFS or Btrfs, mounted with extended attributes".into(),
            ),
            Self::NotClosed { .. } => Some(
                "the host tries again; if the error persists, restart it: that closes every connection".into(),
            ),
            Self::Api(error) => error.hint(),
            Self::BadStateCache { .. } | Self::NoState { .. } => Some(
                "start the host again when the API answers: it then fetches its state".into(),
            ),
            Self::Unconfirmed { .. } => Some(
                "find out why the service cannot be reached, or does not know this host; the files are not deleted".into(),
            ),
            Self::Terminated { error, .. } | Self::NotAccepted { error, .. } => match error.code() {
                Some(Code::Unauthenticated | Code::Forbidden) => Some(
                    "if that was not intended, create a new token for the host".into(),
                ),
                _ => Some("the files are not deleted".into()),
            },
            Self::File { reason, .. } if reason.contains("(os error 30)") => Some(
                "the file system is mounted read-only: remount it read-write, or choose other directories for data and state".into(),
            ),
            Self::File { reason, .. } if reason.contains("(os error 28)") => Some(
                "the disk is full: free some space; what was served before is still served".into(),
            ),
            Self::File { reason, .. } if reason.contains("(os error 13)") => {
                Some("run it with `sudo`: only root can access the files of shares".into())
            }
            Self::Worker(report) => report.hint.clone(),
            Self::BadAccountName(_)
            | Self::BadShareName(_)
            | Self::File { .. }
            | Self::BadState { .. }
            | Self::Program { .. }
            | Self::WorkerDied { .. } => None,
        }
    }

    pub(crate) fn file(verb: &'static str, path: &Path, error: &io::Error) -> Self {
        Self::File {
            verb,
            path: path.to_owned(),
            reason: error.to_string(),
        }
    }

    pub(crate) fn report(&self) -> ErrorReport {
        ErrorReport {
            message: self.to_string(),
            hint: self.hint(),
        }
    }
}
