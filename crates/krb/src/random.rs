//! Where random bytes come from: the caller.

/// A source of cryptographically strong random bytes, given by the shell that owns the operating system's generator.
pub trait Random {
    /// Fills `bytes` completely.
    fn fill(&mut self, bytes: &mut [u8]);
}

impl<F: FnMut(&mut [u8])> Random for F {
    fn fill(&mut self, bytes: &mut [u8]) {
        self(bytes);
    }
}
