//! The operating system's random number generator, for the core crates: they take randomness as an argument.

use crossrealm_krb::random::Random;

/// The operating system's random generator.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsRandom;

impl Random for OsRandom {
    /// # Panics
    ///
    /// If the operating system returns no random bytes: without them keys would be predictable.
    fn fill(&mut self, bytes: &mut [u8]) {
        if let Err(error) = getrandom::fill(bytes) {
            panic!("the operating system gives no randomness: {error}");
        }
    }
}
