//! The log of refused requests to the KDC proxy, at a bounded rate.

use crate::limits::LogThrottle;
use axum::http::StatusCode;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// The log of refusals that leave no event: they name no tenant, or nothing of the request was read. A flood of one status is one
/// line every few seconds, and hides no other.
#[derive(Default)]
pub(crate) struct RefusalLog(Mutex<HashMap<StatusCode, LogThrottle>>);

impl RefusalLog {
    /// Counts one more. If a log line is due, returns how many there were with this status since the last one.
    pub(crate) fn add(&self, status: StatusCode, now: Instant) -> Option<u64> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(status).or_default().add(now)
    }
}
