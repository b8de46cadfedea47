//! `crossrealm trusted-domain-object`: the trust alone, without the Kerberos server object.

use super::kerberos_server::{open, recorded, require_global_administrator};
use crate::context::Context;
use crate::domain_credentials::DomainArgs;
use crate::failure::Failure;
use crate::output::{Column, column};
use clap::Subcommand;
use crossrealm_api::{Client, Tenant};
use crossrealm_onprem::lsa::Lsa;
use crossrealm_onprem::os;
use crossrealm_onprem::smb::LsaPipe;
use crossrealm_onprem::trust::{apply, observe, plan_removal};
use serde::Serialize;

/// What can be done with the trusted domain object.
#[derive(Subcommand, Debug)]
pub enum Args {
    /// Remove the trust from AD and its keys from the tenant; tickets already issued open nothing any more
    Remove {
        #[command(flatten)]
        domain: DomainArgs,
    },
}

/// What is printed.
#[derive(Debug, Serialize)]
struct Outcome {
    domain: String,
    realm: String,
    removed_from_ad: bool,
    removed_from_tenant: bool,
}

const COLUMNS: &[Column] = &[
    column("Domain", "/domain"),
    column("Realm", "/realm"),
    column("RemovedFromAd", "/removed_from_ad"),
    column("RemovedFromTenant", "/removed_from_tenant"),
];

/// Runs `crossrealm trusted-domain-object`.
pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    match args {
        Args::Remove { domain } => remove(&domain, context).await,
    }
}

/// What was taken away.
pub(super) struct Removed {
    pub(super) from_ad: bool,
    pub(super) from_tenant: bool,
}

async fn remove(domain: &DomainArgs, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    require_global_administrator(&client).await?;
    let tenant = client.tenant(context.tenant()?).await?;
    let (session, mut lsa) = open(domain).await?;
    let ad_domain = &session.dc().domain;
    let removed = remove_trust(&client, &tenant, ad_domain, &mut lsa).await?;
    let outcome = Outcome {
        domain: ad_domain.clone(),
        realm: tenant.realm,
        removed_from_ad: removed.from_ad,
        removed_from_tenant: removed.from_tenant,
    };
    if !outcome.removed_from_ad && !outcome.removed_from_tenant {
        eprintln!("nothing to remove: neither AD nor the tenant holds the trust");
    }
    context.output.record(&outcome, COLUMNS)
}

/// AD first: a trust that AD still offers but the tenant cannot open would fail every user with a puzzling error.
pub(super) async fn remove_trust(
    client: &Client,
    tenant: &Tenant,
    domain: &str,
    lsa: &mut Lsa<LsaPipe>,
) -> Result<Removed, Failure> {
    let id = tenant.id.to_string();
    let sid = tenant
        .sid
        .parse()
        .map_err(|_| Failure::new(format!("the tenant's SID `{}` is not a SID", tenant.sid)))?;
    let observed = observe(lsa, &tenant.realm).await?;
    let steps = plan_removal(&observed, &tenant.realm, &sid)?;
    let recorded = recorded(client, &id, domain).await?;
    for step in &steps {
        eprintln!("{step}");
        // A deletion carries no secret.
        apply(lsa, step, "", os::now().as_secs()).await?;
    }
    if recorded.is_some() {
        client.delete_trust(&id, domain).await?;
    }
    Ok(Removed {
        from_ad: !steps.is_empty(),
        from_tenant: recorded.is_some(),
    })
}
