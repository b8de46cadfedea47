//! What the outer and the inner process say to each other: one JSON value on each line, orders inwards, reports outwards.
//!
//! The end of the orders is itself one: the inner process stops cleanly, whether the outer one asked for it or was killed.

use crate::error::Complaint;
use crossrealm_api::{HostQuota, HostSession, HostState};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Outer to inner.
#[derive(Serialize, Deserialize)]
pub(crate) enum Order {
    /// First of all: where things are.
    Begin {
        /// The folder of the shares, outside.
        shares: PathBuf,
        /// The folder of the state, outside.
        state: PathBuf,
        /// Where to listen.
        listen: SocketAddr,
        /// The folder of the snapshots, outside, where users are to see them.
        snapshots: Option<PathBuf>,
    },
    /// Serve this from now on.
    Serve(Box<HostState>),
}

/// Inner to outer.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Report {
    /// The port answers.
    Serving,
    /// A state is in effect.
    Applied {
        /// Which one.
        version: String,
        /// The versions of the keys in its keytab.
        kvnos: Vec<u32>,
        /// Shares whose names Samba cannot serve.
        left_out: Vec<String>,
    },
    /// A state, or a part of it, could not be put into effect; the one before stays.
    NotApplied {
        /// Which one.
        version: String,
        /// Why.
        complaint: Complaint,
    },
    /// What goes on, whenever it differs from what was said before.
    Health(Health),
    /// What became of the quotas, whenever it differs from what was said before.
    Quotas {
        /// How many shares have one.
        count: u32,
        /// The fullest of them, as many as a report of the host may hold.
        quotas: Vec<HostQuota>,
    },
    /// Something is worth a line in the log.
    Warning(String),
    /// The inner process ends.
    Failed(Complaint),
}

/// What the inner process knows of the host's health.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Health {
    /// How often winbindd was started again in this life.
    pub winbindd_restarts: u32,
    /// How many sessions there are.
    pub session_count: u32,
    /// The sessions, sorted; some of them where there are many.
    pub sessions: Vec<HostSession>,
}
