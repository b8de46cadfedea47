//! `crossrealm completions`: the script that lets a shell complete commands and names.

use crate::completion::{self, Shell};
use crate::failure::Failure;
use crate::terminal::write_bytes;

/// The arguments of `completions`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    write_bytes(&completion::script(args.shell)?)
}
