//! The command line itself: which commands there are, and where each of them lives.
//!
//! A command appears here when it works, never before. Each noun has a module in [`crate::commands`] with its arguments
//! and `async fn run(args, &Context) -> Result<(), Failure>`.

use crate::context::{Context, Global};
use crate::failure::Failure;
use clap::{Parser, Subcommand};

/// The cloud trust: people signed in to Active Directory open file shares in the cloud.
#[derive(Parser, Debug)]
#[command(name = "crossrealm", version, about, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {}

impl Cli {
    /// Runs the command to its end.
    pub fn run(self) -> Result<(), Failure> {
        let context = Context::new(self.global);
        init_tracing();
        let runtime = tokio::runtime::Runtime::new()
            .map_err(|error| Failure::new(format!("cannot start the runtime: {error}")))?;
        runtime.block_on(async { match self.command {} })
    }
}

/// Logs go to stderr; `CROSSREALM_LOG` chooses what, e.g. `info,crossrealm_files=debug`.
fn init_tracing() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("CROSSREALM_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
}
