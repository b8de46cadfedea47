//! `crossrealm trusted-domain-object`: the trust alone, without the Kerberos server object.

use crate::commands::trust_output::{PartnerView, partner_views};
use crate::consent::ConsentArgs;
use crate::context::Context;
use crate::domain_credentials::DomainArgs;
use crate::failure::Failure;
use crate::output::{Column, column};
use crate::progress::Console;
use crate::terminal::say;
use clap::Subcommand;
use crossrealm_agent::records::require_global_administrator;
use crossrealm_agent::trust::removal::{self, TrustRemoved};
use serde::Serialize;

/// What can be done with the trusted domain object.
#[derive(Subcommand, Debug)]
pub(crate) enum Args {
    /// Remove the trust from AD and its keys from the tenant; referrals already issued are refused from then on
    Remove {
        #[command(flatten)]
        domain: DomainArgs,
        #[command(flatten)]
        consent: ConsentArgs,
    },
}

/// What is printed.
#[derive(Debug, Serialize)]
struct View {
    #[serde(flatten)]
    removed: TrustRemoved,
    realm: String,
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
        Args::Remove { domain, consent } => remove(&domain, consent, context).await,
    }
}

async fn remove(
    domain: &DomainArgs,
    consent: ConsentArgs,
    context: &Context,
) -> Result<(), Failure> {
    let client = context.client()?;
    require_global_administrator(&client).await?;
    let tenant = client.tenant(context.tenant()?).await?;
    let credentials = domain.sign_in.credentials()?;
    let target = domain.target(&credentials);
    let question = consent.question(context.output);
    let consent = |steps: &[String]| question.is_consented(steps);
    let removed = removal::remove(&client, &tenant, &target, &consent, &Console::new()).await?;
    let Some(removed) = removed else {
        return question.not_consented();
    };
    let view = View {
        realm: tenant.realm,
        replication: partner_views(&removed.replication),
        removed,
    };
    if !view.removed.removed_from_ad && !view.removed.removed_from_tenant {
        say!("nothing to remove: neither AD nor the tenant holds the trust");
    }
    context.output.record(&view, COLUMNS)
}
