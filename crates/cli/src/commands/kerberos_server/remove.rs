//! `kerberos-server remove`: the trust, the Kerberos server object, and what the tenant has recorded of them.

use crate::commands::trust_output::{PartnerView, failure, partner_views};
use crate::context::Context;
use crate::domain_credentials::DomainArgs;
use crate::failure::Failure;
use crate::output::{Column, column};
use crate::progress::Console;
use crossrealm_agent::kerberos_server::remove::remove;
use crossrealm_agent::records::require_global_administrator;
use serde::Serialize;

/// The arguments of `kerberos-server remove`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    domain: DomainArgs,
    /// Remove the service account although AD trusts other tenants, which share it
    #[arg(long)]
    force: bool,
}

/// What is printed.
#[derive(Debug, Serialize)]
struct View {
    domain: String,
    removed_from_ad: bool,
    removed_from_tenant: bool,
    /// The realms of the other tenants for which the service account is kept.
    kept_for: Vec<String>,
    replication: Vec<PartnerView>,
}

const COLUMNS: &[Column] = &[
    column("Domain", "/domain"),
    column("RemovedFromAd", "/removed_from_ad"),
    column("RemovedFromTenant", "/removed_from_tenant"),
    column("KeptFor", "/kept_for"),
];

/// Runs `kerberos-server remove`.
pub(super) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    require_global_administrator(&client).await?;
    let tenant = client.tenant(context.tenant()?).await?;
    let credentials = args.domain.credentials()?;
    let target = args.domain.target(&credentials);
    let removed = remove(&client, &tenant, &target, args.force, &Console::new()).await;
    let removed = removed.map_err(|error| failure(&error, context.output))?;
    let view = View {
        domain: removed.domain,
        removed_from_ad: removed.removed_from_ad,
        removed_from_tenant: removed.removed_from_tenant,
        kept_for: removed.kept_for,
        replication: partner_views(removed.replication),
    };
    if !view.removed_from_ad && !view.removed_from_tenant {
        eprintln!("nothing to remove: neither AD nor the tenant holds anything of this tenant");
    }
    context.output.record(&view, COLUMNS)
}
