//! The time of day.

use std::time::{SystemTime, UNIX_EPOCH};

/// Now, Unix seconds.
pub(crate) fn now_s() -> i64 {
    now_ms() / 1000
}

/// Now, Unix milliseconds.
pub(crate) fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_millis()).ok())
        .unwrap_or_default()
}
