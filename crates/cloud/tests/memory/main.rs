//! What the service takes of memory while it is attacked, and what an attacker can make it log: measured at the process.
//!
//! The service runs in a process of its own, which is this program again with [`FOLDER`] set, so that the memory of the clients
//! does not count.

#[path = "../cloud/common/mod.rs"]
mod common;
mod connections;
mod process;
mod requests;

/// The installation that [`the_service_itself`] serves.
const FOLDER: &str = "CROSSREALM_MEMORY_TEST_FOLDER";

/// The process that the other tests start.
#[test]
#[ignore = "started by the other tests, as a process of its own"]
fn the_service_itself() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        process::serve(folder.as_ref());
    }
}
