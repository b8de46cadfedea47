//! The worker's reports to the supervisor, on stdout.

use crate::ipc::WorkerReport;
use std::io::Write;

/// Sends a report. A broken pipe is ignored: the supervisor is gone, and the end of the orders says so too.
pub(super) fn send(report: &WorkerReport) {
    if let Ok(mut json) = serde_json::to_vec(report) {
        json.push(b'\n');
        let mut stdout = std::io::stdout().lock();
        let _ = stdout.write_all(&json).and_then(|()| stdout.flush());
    }
}
