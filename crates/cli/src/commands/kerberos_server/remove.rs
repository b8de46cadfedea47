//! `kerberos-server remove`: the trust, the Kerberos server object, and what the tenant recorded of them.

use super::object::{self, ObjectRun};
use super::{open, require_global_administrator};
use crate::commands::trusted_domain_object::remove_trust;
use crate::context::Context;
use crate::domain_credentials::DomainArgs;
use crate::failure::Failure;
use crate::output::{Column, column};
use crossrealm_onprem::kerberos_server::plan_removal;
use serde::Serialize;

/// The arguments of `kerberos-server remove`.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    domain: DomainArgs,
}

/// What is printed.
#[derive(Debug, Serialize)]
struct Outcome {
    domain: String,
    removed_from_ad: bool,
    removed_from_tenant: bool,
}

const COLUMNS: &[Column] = &[
    column("Domain", "/domain"),
    column("RemovedFromAd", "/removed_from_ad"),
    column("RemovedFromTenant", "/removed_from_tenant"),
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
    let steps = plan_removal(&server.seen)?;
    let known = object::known(&client, &id, &domain).await?;
    let trust = remove_trust(&client, &tenant, &domain, &mut lsa).await?;
    server.apply(&steps).await?;
    if known.is_some() {
        client.delete_kerberos_server(&id, &domain).await?;
    }
    let outcome = Outcome {
        domain,
        removed_from_ad: trust.from_ad || !steps.is_empty(),
        removed_from_tenant: trust.from_tenant || known.is_some(),
    };
    if !outcome.removed_from_ad && !outcome.removed_from_tenant {
        eprintln!("nothing to remove: neither AD nor the tenant holds a Kerberos server object");
    }
    context.output.record(&outcome, COLUMNS)
}
