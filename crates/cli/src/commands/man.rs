//! `crossrealm man`: the manual pages, one a command, from the same definition as `--help`.

use crate::context::Context;
use crate::examples;
use crate::failure::Failure;
use clap::CommandFactory;
use std::path::PathBuf;

/// The arguments of `man`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Folder to write the pages to; created if it is missing
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Writes the pages of this command line.
pub(crate) fn run<Cli: CommandFactory>(args: &Args, context: &Context) -> Result<(), Failure> {
    let folder = args.out.display();
    let failed =
        |error: std::io::Error| Failure::new(format!("cannot write pages to `{folder}`: {error}"));
    std::fs::create_dir_all(&args.out).map_err(failed)?;
    clap_mangen::generate_to(examples::added_to(Cli::command()), &args.out).map_err(failed)?;
    context.suggest(&format!("man {folder}/crossrealm.1"));
    Ok(())
}
