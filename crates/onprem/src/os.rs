//! The clock and the operating system's randomness, for the core rooms that must not ask for them themselves.

use crossrealm_krb::random::Random;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The time since the Unix epoch; zero on a clock set before it, which every ticket check then refuses.
pub fn now() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// The operating system's random generator.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsRandom;

impl Random for OsRandom {
    /// # Panics
    ///
    /// Panics when the operating system has no randomness to give: going on would make predictable keys.
    fn fill(&mut self, bytes: &mut [u8]) {
        if let Err(error) = getrandom::fill(bytes) {
            panic!("the operating system gives no randomness: {error}");
        }
    }
}
