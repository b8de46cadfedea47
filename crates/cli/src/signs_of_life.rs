//! When a command that runs as a service owes its service manager a sign of life.

use crossrealm_os::service_manager;
use tokio::time::{Interval, interval};

/// The times at which one is due.
pub(crate) struct Signs(Option<Interval>);

impl Signs {
    pub(crate) fn new() -> Self {
        Self(service_manager::watchdog_period().map(interval))
    }

    /// Resolves when the next is due; never where nobody waits for it.
    pub(crate) async fn due(&mut self) {
        match &mut self.0 {
            Some(times) => {
                times.tick().await;
            }
            None => std::future::pending().await,
        }
    }
}
