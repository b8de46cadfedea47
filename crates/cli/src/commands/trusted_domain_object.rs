//! `crossrealm trusted-domain-object`: the trust alone, without the Kerberos server object.

use super::kerberos_server::journal::{Journal, say};
use super::kerberos_server::replication::{self, PartnerView};
use super::kerberos_server::{open, recorded, require_global_administrator};
use crate::context::Context;
use crate::domain_credentials::DomainArgs;
use crate::failure::Failure;
use crate::output::{Column, column};
use clap::Subcommand;
use crossrealm_api::{Client, ClientError, Tenant};
use crossrealm_onprem::ldap::Ldap;
use crossrealm_onprem::lsa::Lsa;
use crossrealm_onprem::os;
use crossrealm_onprem::smb::LsaPipe;
use crossrealm_onprem::trust::{Observed, Step, apply, observe, plan_removal};
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
    replication: Vec<PartnerView>,
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

async fn remove(domain: &DomainArgs, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    require_global_administrator(&client).await?;
    let tenant = client.tenant(context.tenant()?).await?;
    let (session, mut lsa) = open(domain).await?;
    let observed = observe(&mut lsa, &tenant.realm).await?;
    let removal = TrustRemoval::plan(&client, &tenant, &session.dc().domain, &observed).await?;
    let id = tenant.id.to_string();
    let journal = Journal::new(&client, &id, &session);
    let removed = removal.run(&client, &mut lsa, &journal).await?;
    let replication = match removed.from_ad {
        true => {
            let mut ldap = Ldap::connect(&session).await?;
            replication::settle(&session, &mut ldap, &tenant).await
        }
        false => Vec::new(),
    };
    let outcome = Outcome {
        domain: session.dc().domain.clone(),
        realm: tenant.realm,
        removed_from_ad: removed.from_ad,
        removed_from_tenant: removed.from_tenant,
        replication,
    };
    if !outcome.removed_from_ad && !outcome.removed_from_tenant {
        eprintln!("nothing to remove: neither AD nor the tenant holds the trust");
    }
    context.output.record(&outcome, COLUMNS)
}

/// Takes a note back that was made of a removal which AD then refused: nothing was removed. Where AD did not answer, the
/// removal may have been done, and the note stays.
pub(super) async fn take_back(
    work: impl Future<Output = Result<(), ClientError>>,
    failure: &Failure,
) {
    if failure.is_refusal()
        && let Err(error) = work.await
    {
        say(&format!("warning: {error}"));
    }
}

/// What was taken away.
pub(super) struct Removed {
    pub(super) from_ad: bool,
    pub(super) from_tenant: bool,
}

/// What has to be taken away.
pub(super) struct TrustRemoval {
    tenant: String,
    domain: String,
    steps: Vec<Step>,
    is_recorded: bool,
}

impl TrustRemoval {
    /// Finds out what there is, and refuses to touch what is not this tenant's.
    pub(super) async fn plan(
        client: &Client,
        tenant: &Tenant,
        domain: &str,
        observed: &Observed,
    ) -> Result<Self, Failure> {
        let id = tenant.id.to_string();
        let sid = tenant
            .sid
            .parse()
            .map_err(|_| Failure::new(format!("the tenant's SID `{}` is not a SID", tenant.sid)))?;
        Ok(Self {
            steps: plan_removal(observed, &tenant.realm, &sid)?,
            is_recorded: recorded(client, &id, domain).await?.is_some(),
            tenant: id,
            domain: domain.to_owned(),
        })
    }

    /// AD first: a trust that AD still offers but the tenant cannot open would fail every user with a puzzling error.
    pub(super) async fn run(
        &self,
        client: &Client,
        lsa: &mut Lsa<LsaPipe>,
        journal: &Journal<'_>,
    ) -> Result<Removed, Failure> {
        let (tenant, domain) = (self.tenant.as_str(), self.domain.as_str());
        if self.is_recorded {
            let step = "note in the tenant that the trust is being removed";
            let noted = client.begin_trust_removal(tenant, domain);
            journal.in_tenant(step, noted).await?;
        }
        for step in &self.steps {
            // A deletion carries no secret.
            let work = apply(lsa, step, "", os::now().as_secs());
            let deleted = journal.in_ad(&step.to_string(), work).await;
            if let (Err(failure), true) = (&deleted, self.is_recorded) {
                take_back(client.cancel_trust_removal(tenant, domain), failure).await;
            }
            deleted?;
        }
        if self.is_recorded {
            let step = "delete the trust and its keys from the tenant";
            let deleted = client.delete_trust(tenant, domain);
            journal.in_tenant(step, deleted).await?;
        }
        Ok(Removed {
            from_ad: !self.steps.is_empty(),
            from_tenant: self.is_recorded,
        })
    }
}
