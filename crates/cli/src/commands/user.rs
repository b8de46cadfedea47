//! `crossrealm user`: the users of a tenant, synced from AD or cloud-only.

use super::share::path;
use crate::consent::ConsentArgs;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Column, Done, Section, column, shown, time_column};
use clap::Subcommand;
use crossrealm_api::{AccessVia, Client, Identity, PageQuery, UserCreate};
use serde_json::Value;

/// What can be done with users.
#[derive(Subcommand, Debug)]
pub(crate) enum Args {
    /// Create a cloud-only user, who can have roles in the tenant but cannot sign in on-premises
    Create {
        /// User principal name
        upn: String,
        /// Display name
        #[arg(long, default_value = "", hide_default_value = true)]
        display_name: String,
    },
    /// Delete a cloud-only user; a user of AD is deleted there
    Delete {
        /// UPN, account name or SID of the user
        user: String,
        #[command(flatten)]
        consent: ConsentArgs,
    },
    /// List the users
    List,
    /// Show a user, the source of each attribute, and the effective groups, each with its path
    Show {
        /// UPN, account name or SID of the user
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
    column("Kind", "/user/kind"),
    column("Domain", "/user/domain"),
    column("Source", "/user/source"),
    column("State", "/user/state"),
    column("Sid", "/user/sid"),
    column("DisabledReason", "/user/disabled_reason"),
    MORE_GROUPS,
];

/// The source of each attribute, of users and groups alike.
pub(super) const ORIGINS: Section = Section {
    heading: "Attributes",
    pointer: "/origins",
    columns: &[
        column("Attribute", "/attribute"),
        column("From", "/source"),
        time_column("Changed", "/changed_at"),
        column("By", "/changed_by"),
        column("Run", "/run_id"),
    ],
};

/// The effective groups, of users and groups alike.
pub(super) const GROUPS: Section = Section {
    heading: "Effective groups",
    pointer: "/effective_groups",
    columns: &[
        column("Group", "/group/name"),
        column("Sid", "/group/sid"),
        shown("Path", "", way),
    ],
};

/// Whether there are more groups than shown, of users and groups alike.
pub(super) const MORE_GROUPS: Column = column("MoreGroups", "/more_groups");

/// The path to a group: `Sales > AllStaff`, and whether the first step is the primary group.
fn way(entry: &Value) -> String {
    let steps = path(&entry["path"]);
    let left_out = match entry["omitted"].as_u64() {
        None | Some(0) => String::new(),
        Some(count) => format!(" ({count} steps after the first one omitted)"),
    };
    let primary = match entry["by_primary_group"].as_bool() {
        Some(true) => " (primary group)",
        _ => "",
    };
    format!("{steps}{left_out}{primary}")
}

/// Runs `crossrealm user`.
pub(crate) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let (client, tenant) = (context.client()?, context.tenant()?);
    match args {
        Args::Create { upn, display_name } => {
            let user = UserCreate { upn, display_name };
            let user = client.create_user(tenant, &user).await?;
            context.output.record(&user, IDENTITIES)
        }
        Args::Delete { user, consent } => {
            let question = consent.question(context.output);
            if question.is_put() && !question.is_consented(&losses(&client, tenant, &user).await?) {
                return question.not_consented();
            }
            client.delete_user(tenant, &user).await?;
            context.output.done(&Done {
                action: "deleted",
                object: "user",
                name: &user,
                on: None,
                effect: "their grants are gone",
            })
        }
        Args::List => {
            let users = all_users(&client, tenant).await?;
            context.output.list(
                &users,
                IDENTITIES,
                "no users; `crossrealm sync once` synchronizes those of an AD domain",
            )
        }
        Args::Show { user } => {
            let user = client.user(tenant, &user).await?;
            context.output.report(&user, DETAILS, &[ORIGINS, GROUPS])
        }
    }
}

/// What is lost with a user.
async fn losses(client: &Client, tenant: &str, user: &str) -> Result<Vec<String>, Failure> {
    let found = client.user(tenant, user).await?.user;
    let shares = client.user_shares(tenant, user).await?;
    let direct = shares.iter().filter_map(|share| {
        let mut reasons = share.reasons.iter();
        let own = reasons.find(|reason| reason.via == AccessVia::Direct)?;
        Some(format!(
            "the role `{}` of `{}` on `{}/{}`",
            own.role, found.upn, share.account, share.share
        ))
    });
    let all = std::iter::once(format!("the user `{}`", found.upn)).chain(direct);
    Ok(all.collect())
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
