//! One group policy object that gives the domain's computers the tenant's settings.
//!
//! Every step is a change in AD and so an event of the tenant's audit.

use crate::error::AgentError;
use crate::journal::Journal;
use crate::progress::Progress;
use crossrealm_api::{Client, Tenant};
use crossrealm_onprem::gpo::{GpoStep, Observed, Policies, Wanted, plan, plan_removal};
use crossrealm_onprem::session::Session;
use crossrealm_onprem::trust::AdNames;

/// The group policy object of a tenant in a domain.
pub struct GroupPolicy<'a> {
    tenant: &'a Tenant,
    session: Session,
    policies: Policies,
    /// The DN of the domain or organisational unit that it is linked to.
    link: String,
    seen: Observed,
}

impl<'a> GroupPolicy<'a> {
    /// Reads what AD holds. Without `link` the object is for the whole domain. Tools for group policies write to the PDC emulator,
    /// so that nobody works on two copies: the session should be with it.
    ///
    /// # Errors
    /// Where AD or SYSVOL cannot be read.
    pub async fn open(
        tenant: &'a Tenant,
        session: Session,
        link: Option<&str>,
    ) -> Result<Self, AgentError> {
        let mut policies = Policies::open(&session, &policy_id(tenant)).await?;
        let link = link.map_or_else(|| policies.base().to_owned(), str::to_owned);
        let seen = policies.observe(&link).await?;
        Ok(Self {
            tenant,
            session,
            policies,
            link,
            seen,
        })
    }

    /// The domain.
    pub fn domain(&self) -> &str {
        &self.session.dc().domain
    }

    /// The domain controller.
    pub fn controller(&self) -> &str {
        &self.session.dc().host
    }

    /// The object's id: `{GUID}`.
    pub fn id(&self) -> String {
        policy_id(self.tenant)
    }

    /// The object's name for people.
    pub fn name(&self) -> String {
        format!("Crossrealm: {}", self.tenant.name)
    }

    /// The names of the forest that no computer may map to the tenant's realm.
    ///
    /// # Errors
    /// Where AD cannot be read.
    pub async fn ad_names(&mut self) -> Result<AdNames, AgentError> {
        Ok(self.policies.ad_names().await?)
    }

    /// The steps to an object with these settings (`Registry.pol`) that applies to the groups and computers with these account
    /// names; if there are none, to every computer.
    ///
    /// # Errors
    /// [`AgentError::NoAccount`], or AD's.
    pub async fn plan(
        &mut self,
        settings: Vec<u8>,
        accounts: &[String],
    ) -> Result<Vec<GpoStep>, AgentError> {
        let mut apply_to = Vec::new();
        for account in accounts {
            let sid = self.policies.sid_of(account).await?;
            let sid = sid.ok_or_else(|| AgentError::NoAccount(account.clone()))?;
            if !apply_to.contains(&sid) {
                apply_to.push(sid);
            }
        }
        let wanted = Wanted {
            name: self.name(),
            settings,
            link: self.link.clone(),
            apply_to,
        };
        let (dn, path) = (self.policies.dn(), self.policies.path());
        Ok(plan(&self.seen, &wanted, dn, &path)?)
    }

    /// The steps that remove the object.
    pub fn plan_removal(&self) -> Vec<GpoStep> {
        plan_removal(&self.seen)
    }

    /// Carries the steps out, then reads again what AD holds.
    ///
    /// # Errors
    /// AD's, or the service's where a step cannot be audited.
    pub async fn apply(
        &mut self,
        steps: &[GpoStep],
        client: &Client,
        progress: &dyn Progress,
    ) -> Result<(), AgentError> {
        let tenant = self.tenant.id.to_string();
        let journal = Journal::new(client, &tenant, &self.session, progress);
        for step in steps {
            let applied = self.policies.apply(step);
            journal.in_ad(&step.to_string(), applied).await?;
        }
        self.seen = self.policies.observe(&self.link).await?;
        Ok(())
    }

    /// The DNs of the domains and organisational units that it is linked to, and whether the link is disabled: an administrator may
    /// have disabled it, and nothing of the policy is applied there.
    pub fn links(&self) -> impl Iterator<Item = (&str, bool)> {
        let dn = self.policies.dn();
        self.seen.links.iter().map(move |link| {
            let disabled = link.options(dn).is_some_and(|options| options & 1 != 0);
            (link.dn.as_str(), disabled)
        })
    }

    /// The computer half of the object's version; 0 where there is no object.
    pub fn version(&self) -> u32 {
        let container = self.seen.container.as_ref();
        container.map_or(0, |container| container.version & 0xffff)
    }
}

fn policy_id(tenant: &Tenant) -> String {
    format!("{{{}}}", tenant.id.to_string().to_uppercase())
}
