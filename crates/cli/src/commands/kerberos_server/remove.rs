//! `kerberos-server remove`: the trust, the Kerberos server object, and what the tenant recorded of them.

use super::journal::Journal;
use super::object::{self, ObjectRun};
use super::preflight::{self, Findings};
use super::replication::{self, PartnerView};
use super::{open, require_global_administrator};
use crate::commands::trusted_domain_object::{TrustRemoval, take_back};
use crate::context::Context;
use crate::domain_credentials::DomainArgs;
use crate::failure::Failure;
use crate::output::{Column, column};
use crossrealm_onprem::kerberos_server::plan_removal;
use crossrealm_onprem::trust::{Observed, observe};
use serde::Serialize;

/// The arguments of `kerberos-server remove`.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    domain: DomainArgs,
    /// Remove the service account also where trusts of other tenants stand in AD, which share it
    #[arg(long)]
    force: bool,
}

/// What is printed.
#[derive(Debug, Serialize)]
struct Outcome {
    domain: String,
    removed_from_ad: bool,
    removed_from_tenant: bool,
    /// The realms of the other tenants for which the service account stays.
    kept_for: Vec<String>,
    replication: Vec<PartnerView>,
}

const COLUMNS: &[Column] = &[
    column("Domain", "/domain"),
    column("RemovedFromAd", "/removed_from_ad"),
    column("RemovedFromTenant", "/removed_from_tenant"),
    column("KeptFor", "/kept_for"),
];

/// The trust first: it is what users notice, and it can be set up again without the object being touched.
pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    require_global_administrator(&client).await?;
    let tenant = client.tenant(context.tenant()?).await?;
    let id = tenant.id.to_string();
    let (session, mut lsa) = open(&args.domain).await?;
    let domain = session.dc().domain.clone();
    let mut server = ObjectRun::open(&session).await?;
    let mut steps = plan_removal(&server.seen)?;
    let known = object::known(&client, &id, &domain).await?;
    let observed = observe(&mut lsa, &tenant.realm).await?;
    let removal = TrustRemoval::plan(&client, &tenant, &domain, &observed).await?;
    // One AD has one service account, which the tenants that it trusts share.
    let mut kept_for = Vec::new();
    if !args.force && !steps.is_empty() {
        kept_for = other_tenants(&observed);
    }
    if !kept_for.is_empty() {
        steps.clear();
        eprintln!(
            "note: the service account stays, for trusts of other tenants stand in AD: `{}`; the last one's `remove` takes it, or `--force`",
            kept_for.join("`, `")
        );
    }
    let lacking = Findings {
        findings: preflight::object(&mut server, &steps).await?,
        ..Findings::default()
    };
    lacking.refuse(context.output)?;

    let journal = Journal::new(&client, &id, &session);
    if known.is_some() {
        let step = "note in the tenant that the Kerberos server object is being removed";
        let noted = client.begin_kerberos_server_removal(&id, &domain);
        journal.in_tenant(step, noted).await?;
    }
    let removed = async {
        let trust = removal.run(&client, &mut lsa, &journal).await?;
        server.apply(&steps, &journal).await?;
        Ok(trust)
    };
    let removed = removed.await;
    if let (Err(failure), true) = (&removed, known.is_some()) {
        let taken_back = client.cancel_kerberos_server_removal(&id, &domain);
        take_back(taken_back, failure).await;
    }
    let trust = removed?;
    if known.is_some() {
        let step = "delete the record of the Kerberos server object from the tenant";
        let deleted = client.delete_kerberos_server(&id, &domain);
        journal.in_tenant(step, deleted).await?;
    }
    let removed_from_ad = trust.from_ad || !steps.is_empty();
    let replication = match removed_from_ad {
        true => replication::settle(&session, &mut server.ldap, &tenant).await,
        false => Vec::new(),
    };
    let outcome = Outcome {
        domain,
        removed_from_ad,
        removed_from_tenant: trust.from_tenant || known.is_some(),
        kept_for,
        replication,
    };
    if !outcome.removed_from_ad && !outcome.removed_from_tenant {
        eprintln!("nothing to remove: neither AD nor the tenant holds anything of this tenant");
    }
    context.output.record(&outcome, COLUMNS)
}

/// The realms of the other tenants that AD trusts, by what their trusts look like: this tenant's service may not know them.
fn other_tenants(observed: &Observed) -> Vec<String> {
    let others = observed
        .others
        .iter()
        .filter(|trust| trust.is_cloud_trust());
    others.map(|trust| trust.name.to_uppercase()).collect()
}
