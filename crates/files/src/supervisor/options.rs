//! What the caller chooses of a host, and what the host announces.

use super::sealed_state::SealKey;
use crate::listen::Listen;
use crossrealm_api::DismissalKey;
use std::ffi::OsString;
use std::path::PathBuf;

/// What to serve, and where.
#[derive(Clone)]
pub struct Options {
    /// The tenant, by name, domain or id.
    pub tenant: String,
    /// The storage account.
    pub account: String,
    /// The data directory: the files of share `s` are in `DATA/ACCOUNT/shares/s`.
    pub data: PathBuf,
    /// The directory of this host's own state; `ACCOUNT` below [`crate::DEFAULT_STATE`] where absent.
    pub state: Option<PathBuf>,
    /// Where to listen.
    pub listen: Listen,
    /// The directory of the snapshots, those of share `s` in `SNAPSHOTS/ACCOUNT/s`; users see them as previous versions.
    pub snapshots: Option<PathBuf>,
    /// The name of this host in its reports; other hosts of the account have other names.
    pub name: String,
    /// The key that the cached state is sealed with.
    pub seal_key: SealKey,
    /// What the service proves by that it dismisses this host.
    pub dismissal_key: DismissalKey,
    /// The command that runs [`crate::worker::run`]: the program and its arguments.
    pub worker: Vec<OsString>,
}

/// What the host announces while it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The port answers; also after each restart.
    Serving {
        /// The host name of the account.
        host: String,
        /// Where it listens.
        listen: Listen,
        /// How many shares it serves.
        shares: usize,
    },
}
