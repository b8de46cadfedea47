//! `crossrealm serve`: the service.

use super::init::DEFAULT_DIR;
use crate::context::Context;
use crate::failure::Failure;
use crate::hints;
use crossrealm_cloud::ServeError;
use std::path::{Path, PathBuf};

/// The arguments of `crossrealm serve`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Configuration file that `crossrealm init` wrote [default: /var/lib/crossrealm/crossrealm.toml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        Self::new(error.to_string()).maybe_hint(hints::server::of_serve(&error))
    }
}

/// Runs `crossrealm serve`.
pub(crate) async fn run(args: Args, _context: &Context) -> Result<(), Failure> {
    let usual = || Path::new(DEFAULT_DIR).join("crossrealm.toml");
    let config = args.config.unwrap_or_else(usual);
    crossrealm_cloud::serve(&config).await?;
    Ok(())
}
