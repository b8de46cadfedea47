//! Removing the trust from AD, and its keys from the tenant.

use crate::connect::{self, DomainTarget};
use crate::error::AgentError;
use crate::journal::Journal;
use crate::progress::Progress;
use crate::{records, replication};
use crossrealm_api::{Client, Tenant};
use crossrealm_onprem::kerberos_server::replication::Partner;
use crossrealm_onprem::ldap::Ldap;
use crossrealm_onprem::lsa::Lsa;
use crossrealm_onprem::smb::LsaPipe;
use crossrealm_onprem::trust::{Observed, TrustStep, apply, observe, plan_removal};
use crossrealm_os::clock;

/// What was removed.
#[derive(Clone, Debug)]
pub struct TrustRemoved {
    /// The AD domain.
    pub domain: String,
    /// Whether AD had the trust.
    pub from_ad: bool,
    /// Whether the tenant had recorded it.
    pub from_tenant: bool,
    /// What the other domain controllers see of it.
    pub replication: Vec<Partner>,
}

/// Removes the trust alone, without the Kerberos server object.
///
/// # Errors
/// Where AD's trust is not this tenant's, or AD or the service failed.
pub async fn remove(
    client: &Client,
    tenant: &Tenant,
    target: &DomainTarget<'_>,
    progress: &dyn Progress,
) -> Result<TrustRemoved, AgentError> {
    let session = target.sign_in().await?;
    let mut lsa = connect::lsa(&session).await?;
    let domain = session.dc().domain.clone();
    let observed = observe(&mut lsa, &tenant.realm).await?;
    let removal = TrustRemoval::plan(client, tenant, &domain, &observed).await?;
    let id = tenant.id.to_string();
    let journal = Journal::new(client, &id, &session, progress);
    removal.run(client, &mut lsa, &journal).await?;
    let replication = match removal.is_in_ad() {
        true => {
            let mut ldap = Ldap::connect(&session).await?;
            replication::check(&session, &mut ldap, tenant, progress).await
        }
        false => Vec::new(),
    };
    Ok(TrustRemoved {
        domain,
        from_ad: removal.is_in_ad(),
        from_tenant: removal.is_recorded,
        replication,
    })
}

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
            steps: plan_removal(observed, &tenant.realm, &records::sid(tenant)?)?,
            is_recorded: records::trust(client, &id, domain).await?.is_some(),
            tenant: id,
            domain: domain.to_owned(),
        })
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
            let step = "delete the trust and its keys from the tenant";
            let deleted = client.delete_trust(tenant, domain);
            journal.in_tenant(step, deleted).await?;
        }
        Ok(())
    }
}
