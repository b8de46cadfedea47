//! `crossrealm serve`: the service.

use crate::context::Context;
use crate::failure::Failure;
use crate::hints;
use crate::installation;
use crate::output::{Column, column};
use crossrealm_cloud::ServeError;
use serde::Serialize;
use std::path::PathBuf;

/// The arguments of `crossrealm serve`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Configuration file that `crossrealm init` wrote [default: /etc/crossrealm/crossrealm.toml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Check the configuration, the certificate, the master key and the database, and serve nothing; the service may be running
    #[arg(long)]
    check: bool,
}

impl Args {
    /// Whether nothing is served.
    pub(crate) fn is_check(&self) -> bool {
        self.check
    }
}

/// One thing that is right.
#[derive(Serialize)]
struct Checked {
    checked: String,
}

const CHECKED: &[Column] = &[column("Checked", "/checked")];

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        Self::new(error.to_string()).maybe_hint(hints::server::of_serve(&error))
    }
}

/// Runs `crossrealm serve`.
pub(crate) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let config = args.config.unwrap_or_else(installation::usual_config);
    if !args.check {
        crossrealm_cloud::serve(&config).await?;
        return Ok(());
    }
    let lines = crossrealm_cloud::check(&config).await?.lines;
    let lines: Vec<Checked> = lines
        .into_iter()
        .map(|checked| Checked { checked })
        .collect();
    context.output.list(&lines, CHECKED, "nothing was checked")
}
