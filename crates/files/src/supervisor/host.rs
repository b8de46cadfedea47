//! The parts of a host that stay the same from one worker process to the next.

use super::options::Options;
use crate::paths::HostPaths;
use crossrealm_api::HostState;
use crossrealm_types::HostReport;
use std::path::PathBuf;
use tokio::sync::watch;

/// The parts of a host that stay the same from one worker process to the next.
pub(super) struct Host<'a> {
    pub(super) options: &'a Options,
    pub(super) paths: &'a HostPaths,
    /// The account's directory of snapshots, where users see them.
    pub(super) snapshots: Option<PathBuf>,
    /// The account's state; the newest is the one to serve.
    pub(super) states: watch::Receiver<Box<HostState>>,
    /// The report for the service.
    pub(super) reports: watch::Sender<HostReport>,
}
