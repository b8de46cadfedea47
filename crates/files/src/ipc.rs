//! The messages between supervisor and worker: one JSON value per line, orders on the worker's stdin, reports on its stdout.
//!
//! The end of stdin is an order too: the worker stops Samba, whether the supervisor closed it or was killed.

use crate::error::ErrorReport;
use crossrealm_api::HostState;
use crossrealm_types::{HostQuota, HostSession};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Supervisor to worker.
#[derive(Serialize, Deserialize)]
pub(crate) enum Order {
    /// The first order: directories and address.
    Begin {
        /// The directory of the shares, outside the worker's mount namespace.
        shares: PathBuf,
        /// The directory of the state, outside.
        state: PathBuf,
        /// Where to listen.
        listen: SocketAddr,
        /// The directory of the snapshots, outside, where users see them.
        snapshots: Option<PathBuf>,
    },
    /// Serve this state from now on.
    Serve(Box<HostState>),
}

/// Worker to supervisor.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum WorkerReport {
    /// The port answers.
    Serving,
    /// A state is in effect.
    Applied {
        /// Its version.
        version: String,
        /// The versions of the keys in its keytab.
        kvnos: Vec<u32>,
        /// Shares whose names Samba cannot serve.
        left_out: Vec<String>,
    },
    /// A state could not be put into effect; the previous one stays.
    NotApplied {
        /// Its version.
        version: String,
        /// Why.
        error: ErrorReport,
    },
    /// Sessions and restarts, after a change.
    Health(Health),
    /// The quotas, after a change.
    Quotas {
        /// How many shares have a quota.
        count: u32,
        /// The fullest of them, up to the limit of a host's report.
        quotas: Vec<HostQuota>,
    },
    /// A warning for the log.
    Warning(String),
    /// The worker ends because of this error.
    Failed(ErrorReport),
}

/// The worker's sessions and restarts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Health {
    /// How often this worker restarted winbindd.
    pub winbindd_restarts: u32,
    /// How many sessions there are.
    pub session_count: u32,
    /// The sessions, sorted; some of them where there are many.
    pub sessions: Vec<HostSession>,
}
