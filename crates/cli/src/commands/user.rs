//! `crossrealm user`: the users of a tenant, synced from AD or cloud-only.

use super::share::path;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Column, column, shown};
use clap::Subcommand;
use crossrealm_api::{Client, Identity, PageQuery, UserCreate};
use serde_json::Value;

/// What can be done with users.
#[derive(Subcommand, Debug)]
pub enum Args {
    /// Create a cloud-only user; it can hold roles in the tenant, but has no on-premises sign-in
    Create {
        /// Its user principal name
        upn: String,
        /// Its name for people
        #[arg(long, default_value = "", hide_default_value = true)]
        display_name: String,
    },
    /// List the users
    List,
    /// Show a user and the groups that apply, directly or through other groups
    Show {
        /// Its UPN, account name or SID
        user: String,
    },
}

/// The columns of users and groups alike.
pub(super) const IDENTITIES: &[Column] = &[
    column("Name", "/account_name"),
    column("Upn", "/upn"),
    column("DisplayName", "/display_name"),
    column("Source", "/source"),
    column("State", "/state"),
    column("Sid", "/sid"),
];

const DETAILS: &[Column] = &[
    column("Upn", "/user/upn"),
    column("Name", "/user/account_name"),
    column("DisplayName", "/user/display_name"),
    column("Domain", "/user/domain"),
    column("Source", "/user/source"),
    column("State", "/user/state"),
    column("Sid", "/user/sid"),
    shown("EffectiveGroups", "/effective_groups", groups),
];

/// Effective groups as `Sales, AllStaff (Sales > AllStaff)`: the way is told where it is not direct.
fn groups(groups: &Value) -> String {
    let shown = groups.as_array().into_iter().flatten().map(|entry| {
        let name = entry["group"]["name"].as_str().unwrap_or_default();
        match entry["path"].as_array().map_or(0, Vec::len) {
            0 | 1 => name.to_owned(),
            _ => format!("{name} ({})", path(&entry["path"])),
        }
    });
    shown.collect::<Vec<_>>().join(", ")
}

/// Runs `crossrealm user`.
pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let (client, tenant) = (context.client()?, context.tenant()?);
    match args {
        Args::Create { upn, display_name } => {
            let user = UserCreate { upn, display_name };
            let user = client.create_user(tenant, &user).await?;
            context.output.record(&user, IDENTITIES)
        }
        Args::List => {
            let users = all_users(&client, tenant).await?;
            context.output.list(
                &users,
                IDENTITIES,
                "no users; `crossrealm sync once` brings those of an AD domain",
            )
        }
        Args::Show { user } => {
            let user = client.user(tenant, &user).await?;
            context.output.record(&user, DETAILS)
        }
    }
}

async fn all_users(client: &Client, tenant: &str) -> Result<Vec<Identity>, Failure> {
    let mut query = PageQuery::default();
    let mut all = Vec::new();
    loop {
        let page = client.users(tenant, &query).await?;
        all.extend(page.items);
        match page.next {
            Some(next) => query.after = Some(next),
            None => return Ok(all),
        }
    }
}
