//! What the programs take from the operating system in one way only: the time, files that are replaced durably, the
//! delay before a retry, the rate of what recurs, the number of open files, and the reports to the service manager.
//!
//! The core crates (`types`, `krb`, `kdc`) must not depend on this one: time is an argument there.

pub mod clock;
pub mod file;
pub mod open_files;
pub mod retry;
pub mod service_manager;
pub mod token_bucket;
