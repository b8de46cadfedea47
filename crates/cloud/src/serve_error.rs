//! Why the service cannot start.

use crate::config::ConfigError;
use crate::tls::TlsError;
use crossrealm_directory::{DirectoryError, MasterKeyError};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why the service cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The certificate or its key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The master key cannot be used.
    #[error(transparent)]
    MasterKey(#[from] MasterKeyError),
    /// The database that `init` created is missing. A new one would make an empty service under the same name.
    #[error("the database `{}` does not exist", .0.display())]
    NoDatabase(PathBuf),
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] DirectoryError),
    /// A node of the service uses the database.
    #[error("a node of the service is running: it wrote to the database in the last seconds")]
    IsServed,
    /// The port cannot be listened on.
    #[error("cannot listen on `{address}`: {reason}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system says.
        reason: String,
        /// Whether something listens there already.
        taken: bool,
    },
    /// A socket of the service manager is not one that is served.
    #[error("cannot serve on the socket `{name}` of the service manager: {reason}")]
    Inherited {
        /// Its name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The operating system refuses to report signals.
    #[error("cannot wait for signals: {0}")]
    Signals(io::Error),
}

impl ServeError {
    /// The next step, if it is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Config(error) => error.hint(),
            Self::Tls(error) => error.hint(),
            Self::MasterKey(error) => error.hint().map(ToOwned::to_owned),
            Self::NoDatabase(_) => Some(
                "restore it from your backup, or see that its disk is mounted; a new installation makes one".into(),
            ),
            Self::Store(error) => error.hint().map(ToOwned::to_owned),
            Self::Listen { taken: true, .. } => Some(
                "another program listens there, perhaps another instance of this service: stop it, or change `https_listen` or `kdc_listen` in the configuration".into(),
            ),
            Self::Listen { .. } => Some(
                "check the address in the configuration; ports below 1024 need root or CAP_NET_BIND_SERVICE".into(),
            ),
            Self::Inherited { .. } => Some(
                "`FileDescriptorName=` in a socket unit is `https` for one TCP socket, or `kerberos` for one of TCP and one of UDP".into(),
            ),
            Self::IsServed => Some("stop every node that uses this database".into()),
            Self::Signals(_) => None,
        }
    }
}
