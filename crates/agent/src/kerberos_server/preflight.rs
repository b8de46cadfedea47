//! Every reason against setting up the Kerberos server object or the trust, found before the first change.
//!
//! What can be seen without signing in comes first ([`Environment`]): where the clocks, the ports or the domain itself make
//! the rest impossible, nobody signs in at all. Everything else is gathered then and reported together.

use super::object::ObjectSetup;
use crate::error::AgentError;
use crate::finding::{Finding, Findings};
use crate::progress::{Event, Progress};
use crate::trust::convergence::TrustSetup;
use crossrealm_api::Client;
use crossrealm_onprem::dc::{Choice, DomainController};
use crossrealm_onprem::kerberos_server::{ObjectStep, preflight};
use crossrealm_onprem::ldap::RootDse;
use crossrealm_onprem::trust::{TrustRefusal, TrustStep, findings, overlap, plan, top_level_names};
use crossrealm_os::clock;

/// How long a key must be in use before it is rotated again without force: a ticket's life and more.
const ROTATION_PAUSE_S: i64 = 24 * 3600;

/// Reports the notes and returns them.
///
/// # Errors
/// [`AgentError::Blocked`] with everything that was found, where anything blocks the change.
pub(super) fn passed(found: Findings, progress: &dyn Progress) -> Result<Vec<Finding>, AgentError> {
    if !found.findings.is_empty() {
        return Err(AgentError::Blocked(found));
    }
    for note in &found.notes {
        progress.report(Event::Note(note));
    }
    Ok(found.notes)
}

/// What can be seen without signing in: the domain controller, its forest, the clocks.
pub struct Environment {
    pub(super) dc: DomainController,
    pub(super) found: Findings,
}

impl Environment {
    /// Finds the domain controller, `dc` where it is named, and looks at it.
    ///
    /// # Errors
    /// [`AgentError::Blocked`] where nobody could sign in, or where a trust is wanted in a child domain; else the service's.
    pub async fn inspect(
        domain: &str,
        dc: Option<&str>,
        client: &Client,
        wants_trust: bool,
    ) -> Result<Self, AgentError> {
        let choice = Choice::named_or(dc, Choice::Pdc);
        let mut found = Findings::default();
        let dc = match DomainController::find(domain, &choice).await {
            Ok(dc) => dc,
            Err(error) => {
                let all = preflight::all_silent_ports(error).await;
                found
                    .findings
                    .extend(all.into_iter().map(Finding::Unreachable));
                return Err(AgentError::Blocked(found));
            }
        };
        let silent = preflight::silent_ports(&dc.host, dc.address).await;
        found
            .findings
            .extend(silent.into_iter().map(Finding::Unreachable));
        let service = match wants_trust {
            true => client.clock().await?,
            false => None,
        };
        let (skewed, cannot_sign_in) = clocks(&dc, service);
        let mut stop = cannot_sign_in || !found.findings.is_empty();
        found.findings.extend(skewed);
        if wants_trust {
            let child = child_domain(&dc);
            stop |= child.is_some();
            found.findings.extend(child);
            let (finding, note) = levels(&dc.root_dse);
            found.findings.extend(finding);
            found.notes.extend(note);
        }
        if stop {
            return Err(AgentError::Blocked(found));
        }
        Ok(Self { dc, found })
    }
}

/// The clocks that are too far apart, and whether nobody can sign in for it. `service_s` is the service's time.
fn clocks(dc: &DomainController, service_s: Option<i64>) -> (Vec<Finding>, bool) {
    let now = clock::now_s();
    let service = service_s.map(|time| time.saturating_sub(now));
    let skewed = preflight::skewed_clocks(&dc.host, dc.clock_ahead_s, service);
    let cannot_sign_in = !preflight::skewed_clocks(&dc.host, dc.clock_ahead_s, None).is_empty();
    (
        skewed.into_iter().map(Finding::ClockSkew).collect(),
        cannot_sign_in,
    )
}

/// Reports a child domain, by names that its controller returns without a sign-in.
fn child_domain(dc: &DomainController) -> Option<Finding> {
    let forest = dc.root_dse.forest()?;
    (!dc.root_dse.is_forest_root()).then(|| {
        let domain = dc.domain.clone();
        TrustRefusal::NotForestRoot { domain, forest }.into()
    })
}

/// The functional levels: what blocks the trust, and what deserves a note.
fn levels(root: &RootDse) -> (Option<Finding>, Option<Finding>) {
    let is_too_low = |fits| fits == Some(false);
    (
        is_too_low(preflight::forest_knows_trusts(root)).then_some(Finding::ForestLevel),
        is_too_low(preflight::domain_is_recent(root)).then_some(Finding::DomainLevel),
    )
}

/// What blocks the object's steps.
pub(super) async fn object(
    run: &mut ObjectSetup,
    steps: &[ObjectStep],
) -> Result<Vec<Finding>, AgentError> {
    let missing = preflight::missing_rights(&mut run.ldap, steps).await?;
    Ok(missing.into_iter().map(Finding::MissingRight).collect())
}

/// What blocks the trust, and what only deserves a note.
pub(super) async fn trust(
    object: &mut ObjectSetup,
    run: &TrustSetup<'_>,
    dc: &DomainController,
) -> Result<Findings, AgentError> {
    let mut found = Findings::default();
    found.findings.extend(not_primary(object, run, dc).await?);
    for refusal in findings(&run.observed, &run.wanted) {
        if !matches!(refusal, TrustRefusal::NotPrimary { .. }) {
            found.findings.push(refusal.into());
        }
    }
    found.findings.extend(forest(object, run, dc).await?);
    found.findings.extend(trust_rights(object, run).await?);
    let names = &run.wanted.top_level_names;
    for shadow in preflight::shadowing_names(&mut object.ldap, names).await? {
        let preflight::Shadow { service, owner } = shadow;
        found.notes.push(Finding::Shadowed { service, owner });
    }
    Ok(found)
}

/// Reports another controller than the PDC emulator, with the PDC emulator's name.
async fn not_primary(
    object: &mut ObjectSetup,
    run: &TrustSetup<'_>,
    dc: &DomainController,
) -> Result<Option<Finding>, AgentError> {
    let primary = preflight::primary(&mut object.ldap).await?;
    let is_primary = primary.as_ref().map_or(run.observed.is_primary, |primary| {
        let own = &dc.root_dse.ds_service_name;
        primary.settings.eq_ignore_ascii_case(own)
    });
    if is_primary {
        return Ok(None);
    }
    Ok(Some(Finding::NotPrimary {
        host: dc.host.clone(),
        domain: dc.domain.clone(),
        primary: primary.and_then(|primary| primary.host),
    }))
}

/// Names that other domains of the forest have, and the trust's account where something else has its name.
async fn forest(
    object: &mut ObjectSetup,
    run: &TrustSetup<'_>,
    dc: &DomainController,
) -> Result<Vec<Finding>, AgentError> {
    let configuration = &dc.root_dse.configuration_naming_context;
    let wanted = &run.wanted;
    let names = top_level_names(&wanted.realm, &wanted.top_level_names).unwrap_or_default();
    let mut found = Vec::new();
    for domain in preflight::forest_domains(&mut object.ldap, configuration).await? {
        // The domain itself is checked with the trust.
        if domain.dns_name == dc.domain {
            continue;
        }
        if domain.flat_name.eq_ignore_ascii_case(&wanted.flat_name) {
            let (flat_name, other) = (domain.flat_name, domain.dns_name.clone());
            found.push(TrustRefusal::FlatNameTaken { flat_name, other }.into());
        }
        for name in names.iter().filter(|name| {
            // A child of the forest's root overlaps what the root overlaps.
            overlap(name, &domain.dns_name) && !overlap(name, &dc.domain)
        }) {
            let (name, own) = (name.clone(), domain.dns_name.clone());
            found.push(TrustRefusal::OwnName { name, own }.into());
        }
    }
    if run.observed.own.is_none()
        && let Some(account) =
            preflight::account_of_trust(&mut object.ldap, &wanted.flat_name).await?
        && !run
            .observed
            .others
            .iter()
            .any(|other| other.flat_name.eq_ignore_ascii_case(&wanted.flat_name))
    {
        found.push(Finding::AccountNameTaken {
            account,
            flat_name: wanted.flat_name.clone(),
        });
    }
    Ok(found)
}

/// The rights that the trust's steps take, as far as they can be asked for.
async fn trust_rights(
    object: &mut ObjectSetup,
    run: &TrustSetup<'_>,
) -> Result<Vec<Finding>, AgentError> {
    let base = object.ldap.base().to_owned();
    let Some(own) = &run.observed.own else {
        return creation_rights(object, &base).await;
    };
    let steps = plan(&run.observed, &run.wanted).unwrap_or_default();
    let attributes = steps.iter().filter_map(|step| match step {
        TrustStep::SetEnctypes { .. } => Some("msDS-SupportedEncryptionTypes"),
        TrustStep::SetTopLevelNames { .. } => Some("msDS-TrustForestTrustInfo"),
        TrustStep::Create { .. } | TrustStep::Delete { .. } => None,
    });
    let attributes: Vec<&str> = attributes.collect();
    let dn = format!("CN={},CN=System,{base}", own.name);
    let unwritable = preflight::unwritable(&mut object.ldap, &dn, &attributes).await?;
    let missing = unwritable
        .iter()
        .map(|name| Finding::MissingRight(format!("the account may not write `{name}` of `{dn}`")));
    Ok(missing.collect())
}

/// The rights to create a trust and its account.
async fn creation_rights(object: &mut ObjectSetup, base: &str) -> Result<Vec<Finding>, AgentError> {
    let system = format!("CN=System,{base}");
    let users = format!("CN=Users,{base}");
    let mut missing = Vec::new();
    if !preflight::may_create(&mut object.ldap, &system, "trustedDomain").await? {
        missing.push(Finding::MissingRight(format!(
            "the account may not create trusts (`trustedDomain` in `{system}`)"
        )));
    }
    // Where the service account is to be created too, the same right is reported for that.
    if object.seen.user.is_some()
        && !preflight::may_create(&mut object.ldap, &users, "user").await?
    {
        missing.push(Finding::MissingRight(format!(
            "the account may not create the account of a trust (`user` in `{users}`)"
        )));
    }
    Ok(missing)
}

/// Reports a key that is younger than a day: tickets encrypted with the one before may still be in use.
pub(super) fn too_young(key: &'static str, made_at: Option<i64>) -> Option<Finding> {
    let now = clock::now_s();
    let wait_s = made_at?
        .saturating_add(ROTATION_PAUSE_S)
        .saturating_sub(now);
    // A time in the future would make everybody wait for ever.
    (1..=ROTATION_PAUSE_S)
        .contains(&wait_s)
        .then_some(Finding::YoungKey { key, wait_s })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn controller(root_dse: RootDse, clock_ahead_s: i64) -> DomainController {
        DomainController {
            host: "dc1.na.corp.contoso.com".to_owned(),
            address: std::net::Ipv4Addr::LOCALHOST.into(),
            domain: "na.corp.contoso.com".to_owned(),
            root_dse,
            clock_ahead_s: Some(clock_ahead_s),
        }
    }

    #[test]
    fn a_child_domain_gets_the_hint_to_use_the_forest_root() {
        let child = RootDse {
            default_naming_context: "DC=na,DC=corp,DC=contoso,DC=com".to_owned(),
            root_domain_naming_context: "DC=corp,DC=contoso,DC=com".to_owned(),
            ..RootDse::default()
        };
        let found = child_domain(&controller(child.clone(), 0)).unwrap();
        assert_eq!(found.code(), "not_forest_root");
        assert!(found.to_string().contains("0x549"), "{found}");
        let root = RootDse {
            default_naming_context: child.root_domain_naming_context.clone(),
            ..child
        };
        assert!(child_domain(&controller(root, 0)).is_none());
    }

    #[test]
    fn no_sign_in_is_tried_with_a_skewed_clock() {
        let now = clock::now_s();
        let here = controller(RootDse::default(), 3600);
        let (found, cannot_sign_in) = clocks(&here, Some(now + 3600));
        assert_eq!((found.len(), cannot_sign_in), (1, true));
        let there = controller(RootDse::default(), 0);
        let (found, cannot_sign_in) = clocks(&there, Some(now + 3600));
        assert_eq!((found.len(), cannot_sign_in), (1, false));
        assert!(
            found[0]
                .to_string()
                .starts_with("the clock of the service is")
        );
        assert!(matches!(clocks(&there, None), (none, false) if none.is_empty()));
    }

    #[test]
    fn low_functional_levels_are_a_finding_or_a_note() {
        let root = |forest, domain| RootDse {
            forest_functionality: Some(forest),
            domain_functionality: Some(domain),
            ..RootDse::default()
        };
        let codes = |root| {
            let (finding, note) = levels(&root);
            (finding.map(|one| one.code()), note.map(|one| one.code()))
        };
        assert_eq!(codes(root(7, 7)), (None, None));
        assert_eq!(codes(root(2, 4)), (None, Some("domain_level")));
        assert_eq!(
            codes(root(1, 2)),
            (Some("forest_level"), Some("domain_level"))
        );
    }

    #[test]
    fn a_young_key_is_not_rotated() {
        let now = clock::now_s();
        let young = too_young("the key", Some(now - 3600)).unwrap();
        assert!(young.to_string().ends_with("again in 23 h"), "{young}");
        let is_old_enough = |made_at| too_young("the key", made_at).is_none();
        assert!(is_old_enough(Some(now - 25 * 3600)));
        assert!(is_old_enough(Some(now + 3600)));
        assert!(is_old_enough(None));
    }
}
