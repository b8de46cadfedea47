//! The operating system's randomness, for the core crates, which must not ask for it themselves.

use crossrealm_krb::random::Random;

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
