//! `crossrealm trusted-domain-object`: the trust alone, without the Kerberos server object.

use crate::commands::trust_output::{PartnerView, partner_views};
use crate::context::Context;
use crate::domain_credentials::DomainArgs;
use crate::failure::Failure;
use crate::output::{Column, column};
use crate::progress::Console;
use clap::Subcommand;
use crossrealm_agent::records::require_global_administrator;
use crossrealm_agent::trust::removal;
use serde::Serialize;

/// What can be done with the trusted domain object.
#[derive(Subcommand, Debug)]
pub(crate) enum Args {
    /// Remove the trust from AD and its keys from the tenant; referrals already issued are refused from then on
    Remove {
        #[command(flatten)]
        domain: DomainArgs,
    },
}

/// What is printed.
#[derive(Debug, Serialize)]
struct View {
    domain: String,
    realm: String,
    removed_from_ad: bool,
    removed_from_tenant: bool,
    replication: Vec<PartnerView>,
}

const COLUMNS: &[Column] = &[
    column("Domain", "/domain"),
    column("Realm", "/realm"),
    column("RemovedFromAd", "/removed_from_ad"),
    column("RemovedFromTenant", "/removed_from_tenant"),
];

/// Runs `crossrealm trusted-domain-object`.
pub(crate) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    match args {
        Args::Remove { domain } => remove(&domain, context).await,
    }
}

async fn remove(domain: &DomainArgs, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    require_global_administrator(&client).await?;
    let tenant = client.tenant(context.tenant()?).await?;
    let credentials = domain.credentials()?;
    let target = domain.target(&credentials);
    let removed = removal::remove(&client, &tenant, &target, &Console::new()).await?;
    let view = View {
        domain: removed.domain,
        realm: tenant.realm,
        removed_from_ad: removed.from_ad,
        removed_from_tenant: removed.from_tenant,
        replication: partner_views(removed.replication),
    };
    if !view.removed_from_ad && !view.removed_from_tenant {
        eprintln!("nothing to remove: neither AD nor the tenant holds the trust");
    }
    context.output.record(&view, COLUMNS)
}
