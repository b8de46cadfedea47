//! What the programs take from the operating system in one way only: the time, files that are replaced durably, and the
//! delay before a retry.
//!
//! The core crates (`types`, `krb`, `kdc`) must not depend on this one: time is an argument there.

pub mod clock;
pub mod file;
pub mod retry;
