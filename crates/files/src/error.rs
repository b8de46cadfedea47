//! Why a host cannot serve, and what to do about it.

use crossrealm_api::{ClientError, Code};
use serde::{Deserialize, Serialize};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Why a host cannot serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FilesError {
    /// The process lacks the rights that namespaces, port 445 and other users' files need.
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
    /// A part of Samba or the system that is no program is missing.
    #[error("`{file}` is missing")]
    MissingFile {
        /// Its usual name.
        file: &'static str,
        /// The Debian package that holds it.
        package: &'static str,
    },
    /// The system does not let this process have namespaces.
    #[error("cannot make the host's own namespaces: {reason}")]
    NoNamespaces {
        /// What the system said.
        reason: String,
    },
    /// Another program listens there.
    #[error("cannot listen on {address}: the port is in use")]
    PortInUse {
        /// Where.
        address: SocketAddr,
    },
    /// The address cannot be listened on for another reason.
    #[error("cannot listen on {address}: {reason}")]
    CannotListen {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        reason: String,
    },
    /// Another host process uses this state folder.
    #[error("another `files serve` already uses `{}`", path.display())]
    AlreadyRunning {
        /// The state folder.
        path: PathBuf,
    },
    /// The folder holds the files of another tenant's account.
    #[error("`{}` holds the files of tenant {tenant}", path.display())]
    OtherTenant {
        /// The account's folder.
        path: PathBuf,
        /// The id of the tenant that it belongs to.
        tenant: String,
    },
    /// A file or folder of the host cannot be read or written.
    #[error("cannot {verb} `{}`: {reason}", path.display())]
    File {
        /// What was tried: `create`, `write`, …
        verb: &'static str,
        /// Of which file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The file system of the data cannot hold Windows permissions.
    #[error("the file system of `{}` cannot keep Windows permissions", path.display())]
    NoAttributes {
        /// The folder of the shares.
        path: PathBuf,
    },
    /// smbd could not be told to end what the permissions of a share no longer allow.
    #[error(
        "the open connections to share `{share}` that its permissions no longer allow were not ended: {reason}"
    )]
    NotClosed {
        /// The share.
        share: String,
        /// What went wrong.
        reason: String,
    },
    /// The folder of the snapshots cannot be used.
    #[error("the snapshots in `{}` cannot be served: {reason}", path.display())]
    BadSnapshots {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// What to do.
        hint: String,
    },
    /// The account's name is none.
    #[error("`{0}` is not the name of a storage account: 3 to 24 lower-case letters and digits")]
    BadAccountName(String),
    /// The share's name is none.
    #[error(
        "`{0}` is not the name of a share: 3 to 63 lower-case letters, digits and single inner hyphens"
    )]
    BadShareName(String),
    /// The copy of the state that was kept for times without the API cannot be used.
    #[error("the kept state `{}` cannot be used: {reason}", path.display())]
    BadCopy {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The API is away, and there is no copy to begin with.
    #[error("{api}, and {why}")]
    NothingKnown {
        /// Why the API gave no state.
        api: ClientError,
        /// Why there is nothing else to begin with.
        why: String,
    },
    /// The service does not let this host serve any more.
    #[error("stopped serving storage account `{account}`: {error}")]
    Dismissed {
        /// The account.
        account: String,
        /// What the service said.
        error: ClientError,
    },
    /// The API does not give the host its state.
    #[error(transparent)]
    Api(#[from] ClientError),
    /// What the service says of the account cannot be served.
    #[error("the service gave {what} that cannot be served: {reason}")]
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
        /// What it said last.
        reason: String,
    },
    /// The inner process ended without a word.
    #[error("the host's inner process ended ({how})")]
    InnerDied {
        /// How.
        how: String,
    },
    /// The inner process reported that it cannot go on.
    #[error("{}", .0.message)]
    Inside(Complaint),
}

/// An error as it travels from the inner process to the outer one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Complaint {
    /// One line for people.
    pub message: String,
    /// The next step, where one is known.
    pub hint: Option<String>,
}

impl FilesError {
    /// What to do next, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotRoot => Some("run it by `sudo`, or as a system service".into()),
            Self::MissingProgram { package, .. } | Self::MissingFile { package, .. } => {
                Some(format!("install it: `apt-get install {package}`"))
            }
            Self::NoNamespaces { .. } => Some(
                "in a container, give it the capability `CAP_SYS_ADMIN`, or run it on the machine itself".into(),
            ),
            Self::PortInUse { address } => Some(format!(
                "see who has it by `ss -ltnp 'sport = :{}'`, or choose another address by `--listen`",
                address.port()
            )),
            Self::CannotListen { .. } => {
                Some("`--listen` takes an address of this machine; see them by `ip address`".into())
            }
            Self::AlreadyRunning { .. } => {
                Some("stop it first, or give this one a folder of its own by `--state`".into())
            }
            Self::OtherTenant { .. } => Some(
                "tenants share no folder: choose another one by `--data`".into(),
            ),
            Self::BadSnapshots { hint, .. } => Some(hint.clone()),
            Self::NoAttributes { .. } => Some(
                "put the data on ext4, XFS or Btrfs, mounted with extended attributes".into(),
            ),
            Self::NotClosed { .. } => Some(
                "the host tries again; where it goes on, start it again: that ends every connection".into(),
            ),
            Self::Api(error) => error.hint(),
            Self::BadCopy { .. } | Self::NothingKnown { .. } => Some(
                "start the host again when the API answers: it then fetches its state anew".into(),
            ),
            Self::Dismissed { account, error } => match error.code() {
                Some(Code::Unauthenticated | Code::Forbidden) => Some(format!(
                    "where that was not meant, make the host a new token: `crossrealm storage-account host-token {account} --out FILE`"
                )),
                _ => Some("the files stay where they are".into()),
            },
            Self::File { reason, .. } if reason.contains("(os error 30)") => Some(
                "the file system is mounted read-only: mount it for writing, or choose another folder by `--data` and `--state`".into(),
            ),
            Self::File { reason, .. } if reason.contains("(os error 28)") => Some(
                "the disk is full: make room; what was served before goes on being served".into(),
            ),
            Self::File { reason, .. } if reason.contains("(os error 13)") => {
                Some("run it by `sudo`: the files of shares are for root alone".into())
            }
            Self::Inside(complaint) => complaint.hint.clone(),
            Self::BadAccountName(_)
            | Self::BadShareName(_)
            | Self::File { .. }
            | Self::BadState { .. }
            | Self::Program { .. }
            | Self::InnerDied { .. } => None,
        }
    }

    pub(crate) fn file(verb: &'static str, path: &Path, error: &io::Error) -> Self {
        Self::File {
            verb,
            path: path.to_owned(),
            reason: error.to_string(),
        }
    }

    pub(crate) fn complaint(&self) -> Complaint {
        Complaint {
            message: self.to_string(),
            hint: self.hint(),
        }
    }
}
