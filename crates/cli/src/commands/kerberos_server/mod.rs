//! `crossrealm kerberos-server`: what AD and the tenant hold of each other, and the trust between them.

mod get;
mod remove;
mod set;

use crate::context::Context;
use crate::failure::Failure;
use clap::Subcommand;

/// What can be done with the Kerberos server object and the trust.
#[derive(Subcommand, Debug)]
pub(crate) enum Args {
    /// Show the Kerberos server object and the trust in AD and in the tenant, and where they differ
    Get(get::Args),
    /// Set up, repair or rotate the service account and the cloud trust; idempotent
    Set(set::Args),
    /// Remove the service account, the cloud trust and the tenant's records of them
    Remove(remove::Args),
}

/// Runs `crossrealm kerberos-server`.
pub(crate) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    match args {
        Args::Get(args) => get::run(args, context).await,
        Args::Set(args) => set::run(args, context).await,
        Args::Remove(args) => remove::run(args, context).await,
    }
}
