//! Removing the trust from AD, and its keys from the tenant.

use crate::connect::{self, DomainTarget};
use crate::error::AgentError;
use crate::journal::Journal;
use crate::progress::Progress;
use crate::{records, replication};
use crossrealm_api::{Client, Tenant};
use crossrealm_onprem::kerberos_server::replication::Partner;
use crossrealm_onprem::lsa::Lsa;
use crossrealm_onprem::rpc::LsaPipe;
use crossrealm_onprem::trust::{Observed, TrustStep, apply, observe, plan_removal};
use crossrealm_os::clock;
use serde::Serialize;

/// What was removed. Serialized without the partners, which the caller presents.
#[derive(Clone, Debug, Serialize)]
pub struct TrustRemoved {
    /// The AD domain.
    pub domain: String,
    /// Whether AD had the trust.
    pub removed_from_ad: bool,
    /// Whether the tenant had recorded it.
    pub removed_from_tenant: bool,
    /// What the other domain controllers see of it.
    #[serde(skip)]
    pub replication: Vec<Partner>,
}

/// Says whether a removal goes on: asked once before the first change, with the steps.
pub type Consent<'a> = &'a (dyn Fn(&[String]) -> bool + Sync);

/// Removes the trust alone, without the Kerberos server object. `None` if there was no consent, and nothing was done.
///
/// # Errors
/// Where AD's trust is not this tenant's, or AD or the service failed.
pub async fn remove(
    client: &Client,
    tenant: &Tenant,
    target: &DomainTarget<'_>,
    consent: Consent<'_>,
    progress: &dyn Progress,
) -> Result<Option<TrustRemoved>, AgentError> {
    let session = target.sign_in().await?;
    let mut lsa = connect::lsa(&session).await?;
    let domain = session.dc().domain.clone();
    let observed = observe(&mut lsa, &tenant.realm).await?;
    let removal = TrustRemoval::plan(client, tenant, &domain, &observed).await?;
    let steps = removal.steps();
    if !steps.is_empty() && !consent(&steps) {
        return Ok(None);
    }
    let id = tenant.id.to_string();
    let journal = Journal::new(client, &id, &session, progress);
    removal.run(client, &mut lsa, &journal).await?;
    let replication = match removal.is_in_ad() {
        true => {
            let mut ldap = session.ldap().await?;
            replication::check(&session, &mut ldap, tenant, progress).await
        }
        false => Vec::new(),
    };
    Ok(Some(TrustRemoved {
        domain,
        removed_from_ad: removal.is_in_ad(),
        removed_from_tenant: removal.is_recorded,
        replication,
    }))
}

/// The last step.
const DELETE_RECORD: &str = "delete the trust and its keys from the tenant";

/// What has to be removed.
pub(crate) struct TrustRemoval {
    tenant: String,
    domain: String,
    steps: Vec<TrustStep>,
    /// Whether the tenant has recorded the trust.
    pub(crate) is_recorded: bool,
}

impl TrustRemoval {
    /// Finds out what there is, and refuses to touch what is not this tenant's.
    pub(crate) async fn plan(
        client: &Client,
        tenant: &Tenant,
        domain: &str,
        observed: &Observed,
    ) -> Result<Self, AgentError> {
        let id = tenant.id.to_string();
        Ok(Self {
            steps: plan_removal(observed, &tenant.realm, &tenant.sid)?,
            is_recorded: records::trust(client, &id, domain).await?.is_some(),
            tenant: id,
            domain: domain.to_owned(),
        })
    }

    /// What it does, in the imperative; nothing where there is nothing to remove.
    pub(crate) fn steps(&self) -> Vec<String> {
        let in_ad = self.steps.iter().map(ToString::to_string);
        let in_tenant = self.is_recorded.then(|| DELETE_RECORD.to_owned());
        in_ad.chain(in_tenant).collect()
    }

    /// Whether AD has the trust.
    pub(crate) fn is_in_ad(&self) -> bool {
        !self.steps.is_empty()
    }

    /// AD first: a trust that AD still offers but whose referrals the tenant cannot decrypt would fail every user with a
    /// misleading error.
    pub(crate) async fn run(
        &self,
        client: &Client,
        lsa: &mut Lsa<LsaPipe>,
        journal: &Journal<'_>,
    ) -> Result<(), AgentError> {
        let (tenant, domain) = (self.tenant.as_str(), self.domain.as_str());
        if self.is_recorded {
            let step = "note in the tenant that the trust is being removed";
            let noted = client.begin_trust_removal(tenant, domain);
            journal.in_tenant(step, noted).await?;
        }
        for step in &self.steps {
            // A deletion carries no trust password.
            let work = apply(lsa, step, "", clock::since_epoch().as_secs());
            let deleted = journal.in_ad(&step.to_string(), work).await;
            if let (Err(failure), true) = (&deleted, self.is_recorded) {
                let withdrawal = client.cancel_trust_removal(tenant, domain);
                journal.withdraw(failure, withdrawal).await;
            }
            deleted?;
        }
        if self.is_recorded {
            let deleted = client.delete_trust(tenant, domain);
            journal.in_tenant(DELETE_RECORD, deleted).await?;
        }
        Ok(())
    }
}
