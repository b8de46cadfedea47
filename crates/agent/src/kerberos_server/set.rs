//! The Kerberos server object and the trust from AD to the tenant, set up, repaired or rotated.
//!
//! Everything is read and every blocking finding is reported before the first change. A run that is killed anywhere is finished by
//! the next.

use super::inspect::{self, Difference};
use super::object::ObjectSetup;
use super::preflight::{self, Environment};
use crate::error::AgentError;
use crate::finding::{Finding, Findings};
use crate::journal::Journal;
use crate::progress::{Event, Progress};
use crate::trust::convergence::{TrustChange, TrustSetup};
use crate::trust::stolen_key::{self, StolenKey};
use crate::{connect, records, replication};
use crossrealm_api::{Client, Tenant};
use crossrealm_onprem::credentials::DomainCredentials;
use crossrealm_onprem::kerberos_server::replication::Partner;
use crossrealm_onprem::kerberos_server::{ObjectStep, plan, trust_key};
use crossrealm_onprem::session::Session;
use serde::Serialize;

/// What is to be set up.
#[derive(Clone, Copy, Debug, Default)]
pub struct SetOptions<'a> {
    /// Whether the trust is set up too.
    pub trust: bool,
    /// Whether keys are rotated: of the service account, and with `trust` of the trust.
    pub rotate: bool,
    /// Whether keys that are younger than 24 hours are rotated too.
    pub force: bool,
    /// Whether the trust key is known to somebody: with `trust`, it is replaced twice and retired at once.
    pub compromised: bool,
    /// DNS suffixes whose services AD refers to the tenant; `None` for those recorded, at first the tenant's.
    pub top_level_names: Option<&'a [String]>,
    /// Whether nothing is changed. The trust key is not tried then.
    pub dry_run: bool,
}

/// What was set up, or would be. Serialized without notes and partners, which the caller presents.
#[derive(Debug, Serialize)]
pub struct SetReport {
    /// The AD domain.
    pub domain: String,
    /// The DN of the service account.
    pub user_account: String,
    /// The tenant's realm, where the trust was set up.
    pub realm: Option<String>,
    /// The top-level names of the trust.
    pub top_level_names: Vec<String>,
    /// The version of the trust key that AD has, by the tenant's count.
    pub key_version: Option<u32>,
    /// Whether AD or the tenant's record changed.
    pub changed: bool,
    /// The steps in AD, made or planned.
    pub steps: Vec<String>,
    /// What the preflight found that does not block the change.
    #[serde(skip)]
    pub notes: Vec<Finding>,
    /// Where the trust differs, if it was not to be set up or repaired.
    #[serde(skip)]
    pub trust_difference: Option<Difference>,
    /// What the other domain controllers see of the change.
    #[serde(skip)]
    pub replication: Vec<Partner>,
}

/// Sets up, repairs or rotates.
///
/// # Errors
/// [`AgentError::Blocked`] with every blocking finding before anything was changed; else AD's or the service's.
pub async fn set(
    client: &Client,
    tenant: &Tenant,
    environment: Environment,
    credentials: &DomainCredentials,
    options: &SetOptions<'_>,
    progress: &dyn Progress,
) -> Result<SetReport, AgentError> {
    let id = tenant.id.to_string();
    progress.report(Event::Status("signing in to the domain"));
    let session = Session::open_at(environment.dc, credentials).await?;
    let mut lsa = connect::lsa(&session).await?;
    progress.report(Event::Status("comparing the domain with the tenant"));
    let known = records::kerberos_server(client, &id, &session.dc().domain).await?;
    let mut object = ObjectSetup::open(&session, known).await?;
    let domain = lsa.domain().await?;
    let mut trust_difference = None;
    let trust = match options.trust {
        true => {
            let names = options.top_level_names;
            let key = trust_key(&mut object.ldap, &tenant.flat_name).await?;
            let set_at = key.and_then(|key| key.updated_at);
            Some(TrustSetup::open(client, tenant, &session, &mut lsa, names, set_at).await?)
        }
        false => {
            let ldap = &mut object.ldap;
            trust_difference =
                inspect::trust_difference(client, tenant, &session, &mut lsa, ldap).await?;
            None
        }
    };
    let rotation = Rotation::of(options, &object, trust.as_ref());
    let steps = plan(&object.seen, rotation.object)?;
    let mut found = environment.found;
    check(&mut found, &mut object, &steps, trust.as_ref(), &session).await?;
    if !options.force {
        found
            .findings
            .extend(rotation.too_young(&object, trust.as_ref()));
    }
    let mut report = SetReport {
        domain: session.dc().domain.clone(),
        user_account: object.seen.user_dn.clone(),
        realm: trust.as_ref().map(|trust| trust.wanted.realm.clone()),
        top_level_names: trust
            .as_ref()
            .map(|trust| trust.wanted.top_level_names.clone())
            .unwrap_or_default(),
        key_version: None,
        changed: false,
        steps: steps.iter().map(ToString::to_string).collect(),
        notes: preflight::passed(found, progress)?,
        trust_difference,
        replication: Vec::new(),
    };
    if options.dry_run {
        if let Some(trust) = &trust {
            report
                .steps
                .extend(trust.planned_steps(rotation.gives_key(trust))?);
            if options.compromised {
                report
                    .steps
                    .extend(stolen_key::planned_steps(&tenant.realm));
            }
        }
        return Ok(report);
    }
    // The pending version is what shows the next run that this one began.
    let journal = Journal::new(client, &id, &session, progress);
    let prepared = match &trust {
        Some(trust) => Some(trust.prepare(rotation.gives_key(trust), progress).await?),
        None => None,
    };
    object.apply(&steps, &journal).await?;
    let recorded = object.record(client, &id, &domain, &journal).await?;
    report.changed = recorded || !steps.is_empty();
    if let (Some(trust), Some(prepared)) = (trust, prepared) {
        let TrustChange {
            version,
            steps,
            changed,
        } = trust.finish(prepared, &journal, progress).await?;
        report.key_version = Some(version);
        report.steps.extend(steps);
        report.changed |= changed;
    }
    if options.trust && options.compromised {
        let stolen = StolenKey {
            client,
            tenant,
            session: &session,
            lsa: &mut lsa,
            journal: &journal,
            progress,
        };
        let replaced = stolen.replace().await?;
        report.key_version = Some(replaced.version);
        report.steps.extend(replaced.steps);
        report.changed = true;
    }
    if !report.steps.is_empty() {
        report.replication = replication::check(&session, &mut object.ldap, tenant, progress).await;
    }
    Ok(report)
}

/// Which keys are rotated.
struct Rotation {
    object: bool,
    trust: bool,
    /// Whether an earlier run began a rotation, which is finished regardless of a key's age.
    resumed: bool,
}

impl Rotation {
    fn of(options: &SetOptions<'_>, object: &ObjectSetup, trust: Option<&TrustSetup<'_>>) -> Self {
        let begun = trust.and_then(TrustSetup::half_rotated_since);
        // The run that was killed may have come as far as the account.
        let is_done = begun.is_some() && made_at(object) >= begun;
        Self {
            object: options.rotate && (options.force || !is_done),
            // A key that is known to somebody is replaced at the end, by two.
            trust: options.rotate && options.trust && !options.compromised,
            resumed: begun.is_some(),
        }
    }

    /// Whether AD gets a new trust key: as it was asked for, or because AD has another one than the tenant.
    fn gives_key(&self, trust: &TrustSetup<'_>) -> bool {
        self.trust || trust.has_other_key()
    }

    /// The keys that are too young to be rotated.
    fn too_young(&self, object: &ObjectSetup, trust: Option<&TrustSetup<'_>>) -> Vec<Finding> {
        let mut found = Vec::new();
        if self.resumed {
            return found;
        }
        if self.object {
            let made_at = made_at(object);
            found.extend(preflight::too_young(
                "the key of the service account",
                made_at,
            ));
        }
        if let (true, Some(trust)) = (self.trust, trust.filter(|trust| !trust.has_other_key())) {
            found.extend(preflight::too_young("the trust key", trust.confirmed_at()));
        }
        found
    }
}

/// When the service account's key was made, Unix seconds.
fn made_at(object: &ObjectSetup) -> Option<i64> {
    object.seen.user.as_ref()?.key_updated_at
}

/// Adds everything that blocks the change. Nothing has been changed yet.
async fn check(
    found: &mut Findings,
    object: &mut ObjectSetup,
    steps: &[ObjectStep],
    trust: Option<&TrustSetup<'_>>,
    session: &Session,
) -> Result<(), AgentError> {
    found
        .findings
        .extend(preflight::object(object, steps).await?);
    if let Some(trust) = trust {
        let more = preflight::trust(object, trust, session.dc()).await?;
        found.findings.extend(more.findings);
        found.notes.extend(more.notes);
    }
    Ok(())
}
