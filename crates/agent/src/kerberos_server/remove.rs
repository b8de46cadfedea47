//! Removing the trust, the Kerberos server object, and what the tenant has recorded of them.

use super::object::ObjectSetup;
use super::preflight;
use crate::connect::{self, DomainTarget};
use crate::error::AgentError;
use crate::finding::Findings;
use crate::journal::Journal;
use crate::progress::{Event, Progress};
use crate::trust::removal::{Consent, TrustRemoval};
use crate::{records, replication};
use crossrealm_api::{Client, Tenant};
use crossrealm_onprem::kerberos_server::plan_removal;
use crossrealm_onprem::kerberos_server::replication::Partner;
use crossrealm_onprem::trust::{Observed, observe};
use serde::Serialize;

/// The last step.
const DELETE_RECORD: &str = "delete the record of the Kerberos server object from the tenant";

/// How it is removed.
#[derive(Clone, Copy)]
pub struct RemoveOptions<'a> {
    /// Whether the object goes although AD trusts other tenants, which share it.
    pub force: bool,
    /// Asked before the first change.
    pub consent: Consent<'a>,
}

/// What was removed. Serialized without the partners, which the caller presents.
#[derive(Debug, Serialize)]
pub struct RemoveReport {
    /// The AD domain.
    pub domain: String,
    /// Whether AD held anything of it.
    pub removed_from_ad: bool,
    /// Whether the tenant had recorded anything of it.
    pub removed_from_tenant: bool,
    /// The realms of the other tenants for which the service account is kept.
    pub kept_for: Vec<String>,
    /// What the other domain controllers see of the change.
    #[serde(skip)]
    pub replication: Vec<Partner>,
}

/// Removes the trust and the Kerberos server object. The object is kept where AD trusts other tenants, unless [`RemoveOptions::force`]
/// is set; `None` if there was no consent, and nothing was done. The trust goes first: it is what users notice, and it can be set up again without the object being touched.
///
/// # Errors
/// [`AgentError::Blocked`] with every blocking finding before anything was changed; else AD's or the service's.
pub async fn remove(
    client: &Client,
    tenant: &Tenant,
    target: &DomainTarget<'_>,
    options: &RemoveOptions<'_>,
    progress: &dyn Progress,
) -> Result<Option<RemoveReport>, AgentError> {
    let id = tenant.id.to_string();
    progress.report(Event::Status("signing in to the domain"));
    let session = target.sign_in().await?;
    let mut lsa = connect::lsa(&session).await?;
    let domain = session.dc().domain.clone();
    progress.report(Event::Status("comparing the domain with the tenant"));
    let known = records::kerberos_server(client, &id, &domain).await?;
    let mut object = ObjectSetup::open(&session, known.clone()).await?;
    let mut steps = plan_removal(&object.seen);
    let observed = observe(&mut lsa, &tenant.realm).await?;
    let removal = TrustRemoval::plan(client, tenant, &domain, &observed).await?;
    // One AD has one service account, which the tenants that it trusts share.
    let mut kept_for = Vec::new();
    if !options.force && !steps.is_empty() {
        kept_for = other_tenants(&observed);
    }
    if !kept_for.is_empty() {
        steps.clear();
        progress.report(Event::ObjectKept(&kept_for));
    }
    let found = Findings {
        findings: preflight::object(&mut object, &steps).await?,
        ..Findings::default()
    };
    preflight::passed(found, progress)?;

    let mut all = removal.steps();
    all.extend(steps.iter().map(ToString::to_string));
    all.extend(known.is_some().then(|| DELETE_RECORD.to_owned()));
    if !all.is_empty() && !(options.consent)(&all) {
        return Ok(None);
    }
    let journal = Journal::new(client, &id, &session, progress);
    if known.is_some() {
        let step = "note in the tenant that the Kerberos server object is being removed";
        let noted = client.begin_kerberos_server_removal(&id, &domain);
        journal.in_tenant(step, noted).await?;
    }
    let removed = async {
        removal.run(client, &mut lsa, &journal).await?;
        object.apply(&steps, &journal).await
    };
    let removed = removed.await;
    if let (Err(failure), true) = (&removed, known.is_some()) {
        let withdrawal = client.cancel_kerberos_server_removal(&id, &domain);
        journal.withdraw(failure, withdrawal).await;
    }
    removed?;
    if known.is_some() {
        let deleted = client.delete_kerberos_server(&id, &domain);
        journal.in_tenant(DELETE_RECORD, deleted).await?;
    }
    let removed_from_ad = removal.is_in_ad() || !steps.is_empty();
    let replication = match removed_from_ad {
        true => replication::check(&session, &mut object.ldap, tenant, progress).await,
        false => Vec::new(),
    };
    Ok(Some(RemoveReport {
        domain,
        removed_from_ad,
        removed_from_tenant: removal.is_recorded || known.is_some(),
        kept_for,
        replication,
    }))
}

/// The realms of the other tenants that AD trusts, by what their trusts look like: this tenant's service may not know them.
fn other_tenants(observed: &Observed) -> Vec<String> {
    let others = observed
        .others
        .iter()
        .filter(|trust| trust.is_cloud_trust());
    others.map(|trust| trust.name.to_uppercase()).collect()
}
