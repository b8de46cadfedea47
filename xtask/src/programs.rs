//! `cargo xtask programs`: whether every external program of the table is installed and starts.

use crate::Outcome;

/// Starts each once.
pub(crate) fn run() -> Outcome {
    match crossrealm_programs::probe::all() {
        Ok(count) => {
            eprintln!("programs: {count} programs and Python modules start");
            Ok(())
        }
        Err(failed) => Err(format!(
            "programs of the test world do not start:\n  {}",
            failed.join("\n  ")
        )),
    }
}
