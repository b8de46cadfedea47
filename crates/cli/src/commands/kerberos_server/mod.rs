//! `crossrealm kerberos-server`: what AD and the tenant hold of each other, and the trust between them.

mod get;
mod remove;
mod set;

use crate::context::Context;
use crate::failure::Failure;
use clap::Subcommand;

/// What can be done with the Kerberos server object and the trust.
#[derive(Subcommand, Debug)]
pub enum Args {
    /// Show what AD and the tenant hold, and whether they agree
    Get(get::Args),
    /// Set up the service account and the cloud trust, repair them, or rotate their keys; a second run changes nothing
    Set(set::Args),
    /// Remove the service account, the cloud trust and the tenant's record of them
    Remove(remove::Args),
}

/// Runs `crossrealm kerberos-server`.
pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    match args {
        Args::Get(args) => get::run(args, context).await,
        Args::Set(args) => set::run(args, context).await,
        Args::Remove(args) => remove::run(args, context).await,
    }
}
