//! `kerberos-server remove`: the trust, the Kerberos server object, and what the tenant has recorded of them.

use crate::commands::trust_output::{PartnerView, failure, partner_views};
use crate::consent::ConsentArgs;
use crate::context::Context;
use crate::domain_credentials::DomainArgs;
use crate::failure::Failure;
use crate::output::{Column, column};
use crate::progress::Console;
use crate::terminal::say;
use crossrealm_agent::kerberos_server::remove::{RemoveOptions, RemoveReport, remove};
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
    #[command(flatten)]
    consent: ConsentArgs,
}

/// What is printed.
#[derive(Debug, Serialize)]
struct View {
    #[serde(flatten)]
    removed: RemoveReport,
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
    let credentials = args.domain.sign_in.credentials()?;
    let target = args.domain.target(&credentials);
    let question = args.consent.question(context.output);
    let options = RemoveOptions {
        force: args.force,
        consent: &|steps| question.is_consented(steps),
    };
    let removed = remove(&client, &tenant, &target, &options, &Console::new()).await;
    let removed = removed.map_err(|error| failure(&error, context.output))?;
    let Some(removed) = removed else {
        return question.not_consented();
    };
    let replication = partner_views(&removed.replication);
    if !removed.removed_from_ad && !removed.removed_from_tenant {
        say!("nothing to remove: neither AD nor the tenant holds anything of this tenant");
    }
    let view = View {
        removed,
        replication,
    };
    context.output.record(&view, COLUMNS)
}
