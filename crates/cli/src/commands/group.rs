//! `crossrealm group`: the groups of a tenant, as synchronized from AD.

use super::user::{GROUPS, IDENTITIES, MORE_GROUPS, ORIGINS};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Column, Section, column};
use clap::Subcommand;
use crossrealm_api::{
    AttributeOrigin, Client, EffectiveGroup, GroupDetails, Identity, IdentityRef, PageQuery,
};
use serde::Serialize;

/// What can be done with groups.
#[derive(Subcommand, Debug)]
pub(crate) enum Args {
    /// List the groups
    List,
    /// Show a group, the source of each attribute, its direct members, and its effective groups
    Show {
        /// Name or SID of the group
        group: String,
    },
}

const DETAILS: &[Column] = &[
    column("Name", "/group/account_name"),
    column("DisplayName", "/group/display_name"),
    column("Kind", "/group/kind"),
    column("Domain", "/group/domain"),
    column("Source", "/group/source"),
    column("Upn", "/group/upn"),
    column("State", "/group/state"),
    column("Sid", "/group/sid"),
    MORE_GROUPS,
];

const MEMBERS: Section = Section {
    heading: "Members",
    pointer: "/members",
    columns: &[
        column("Member", "/name"),
        column("Kind", "/kind"),
        column("Sid", "/sid"),
    ],
};

/// A group with all its members.
#[derive(Serialize)]
struct Shown {
    group: Identity,
    origins: Vec<AttributeOrigin>,
    effective_groups: Vec<EffectiveGroup>,
    more_groups: u64,
    members: Vec<IdentityRef>,
}

impl From<GroupDetails> for Shown {
    fn from(details: GroupDetails) -> Self {
        Self {
            group: details.group,
            origins: details.origins,
            effective_groups: details.effective_groups,
            more_groups: details.more_groups,
            members: details.members.items,
        }
    }
}

/// Runs `crossrealm group`.
pub(crate) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let (client, tenant) = (context.client()?, context.tenant()?);
    match args {
        Args::List => {
            let groups = all_groups(&client, tenant).await?;
            context.output.list(
                &groups,
                IDENTITIES,
                "no groups; `crossrealm sync once` synchronizes those of an AD domain",
            )
        }
        Args::Show { group } => {
            let group = Shown::from(whole_group(&client, tenant, &group).await?);
            context
                .output
                .report(&group, DETAILS, &[ORIGINS, MEMBERS, GROUPS])
        }
    }
}

async fn all_groups(client: &Client, tenant: &str) -> Result<Vec<Identity>, Failure> {
    let mut query = PageQuery::default();
    let mut all = Vec::new();
    loop {
        let page = client.groups(tenant, &query).await?;
        all.extend(page.items);
        match page.next {
            Some(next) => query.after = Some(next),
            None => return Ok(all),
        }
    }
}

/// The group with the members of all pages.
async fn whole_group(client: &Client, tenant: &str, name: &str) -> Result<GroupDetails, Failure> {
    let mut query = PageQuery::default();
    let mut whole = client.group(tenant, name, &query).await?;
    while let Some(next) = whole.members.next.take() {
        query.after = Some(next);
        let page = client.group(tenant, name, &query).await?.members;
        whole.members.items.extend(page.items);
        whole.members.next = page.next;
    }
    Ok(whole)
}
