//! `crossrealm access`: who may open a share, and what a user may open, each with the grant and the groups it comes from.

use super::share::{ShareName, reasons};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Column, column, shown};
use crate::terminal::say;
use clap::Subcommand;

/// What can be done with access.
#[derive(Subcommand, Debug)]
pub(crate) enum Args {
    /// List everyone who may open a share, or every share that a user may open, by which grant and groups
    List {
        /// The share
        #[arg(
            value_name = "ACCOUNT/SHARE",
            required_unless_present = "user",
            conflicts_with = "user"
        )]
        share: Option<ShareName>,
        /// List what this user may open: a UPN, an account name or a SID
        #[arg(long, value_name = "UPN")]
        user: Option<String>,
    },
}

/// Of a share.
const USERS: &[Column] = &[
    column("User", "/user/upn"),
    column("Role", "/effective"),
    shown("By", "/reasons", reasons),
    column("DisplayName", "/user/display_name"),
    column("Sid", "/user/sid"),
];

/// Of a user.
const SHARES: &[Column] = &[
    column("Account", "/account"),
    column("Share", "/share"),
    column("Role", "/effective"),
    shown("By", "/reasons", reasons),
];

/// Runs `crossrealm access`.
pub(crate) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let (client, tenant) = (context.client()?, context.tenant()?);
    let Args::List { share, user } = args;
    if let Some(share) = share {
        let users = client
            .share_users(tenant, &share.account, &share.share)
            .await?;
        let nothing = format!(
            "nobody may open `{share}`; `crossrealm share grant ACCOUNT/SHARE --to PRINCIPAL --role ROLE` grants a role"
        );
        return context.output.list(&users, USERS, &nothing);
    }
    let user = user.unwrap_or_default();
    let shares = client.user_shares(tenant, &user).await?;
    if shares.iter().any(|share| share.effective.is_none()) {
        say!("note: `{user}` may not sign in, so that none of these roles takes effect");
    }
    let nothing = format!("no role applies to `{user}` on any share");
    context.output.list(&shares, SHARES, &nothing)
}
