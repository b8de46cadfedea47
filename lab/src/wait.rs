//! Waiting for what takes a moment: asked again and again, and in the end given up.

use std::time::{Duration, Instant};

use crate::run::Failure;

/// The most that anything may take on a busy machine: at a load of 30 on two cores a domain controller needs more than a minute
/// to start. Nothing waits that long unless it fails.
pub const PATIENCE: Duration = Duration::from_secs(240);

const POLL: Duration = Duration::from_millis(100);

/// Asks until there is an answer, and gives it.
///
/// # Errors
/// When asking fails, or after `limit` without an answer; `what` was waited for.
pub fn until<T>(
    what: &str,
    limit: Duration,
    mut ask: impl FnMut() -> Result<Option<T>, Failure>,
) -> Result<T, Failure> {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if began.elapsed() > limit {
            let seconds = limit.as_secs();
            return Err(Failure::new(format!("not within {seconds} s: {what}")));
        }
        std::thread::sleep(POLL);
    }
}
