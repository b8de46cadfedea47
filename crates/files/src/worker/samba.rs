//! Samba's command-line programs, run with the host's configuration.

use crate::error::FilesError;
use crate::paths::SMB_CONF;
use crate::tools;

/// Runs a program of Samba and returns its stdout.
///
/// # Errors
///
/// [`FilesError::Program`] where it fails.
pub(super) async fn run(program: &str, args: &[&str]) -> Result<String, FilesError> {
    run_with(SMB_CONF, program, args).await
}

/// The same with another configuration.
pub(super) async fn run_with(
    configuration: &str,
    program: &str,
    args: &[&str],
) -> Result<String, FilesError> {
    let mut all = vec!["--configfile", configuration];
    if program == "samba-tool" {
        // `samba-tool` takes options after the subcommand.
        all.splice(0..0, args.iter().copied());
    } else {
        all.extend(args);
    }
    tools::run(program, &all).await
}
