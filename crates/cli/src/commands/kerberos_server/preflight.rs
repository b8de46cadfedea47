//! Everything that stands against `kerberos-server set`, found before the first change and told at once.
//!
//! What can be seen without signing in comes first ([`Ground`]): where the clocks, the ports or the domain itself make
//! the rest impossible, nobody signs in at all. Everything else is gathered then and told together.

use super::object::ObjectRun;
use super::trust::TrustRun;
use crate::domain_credentials::DomainArgs;
use crate::failure::Failure;
use crate::output::Format;
use crossrealm_api::Client;
use crossrealm_onprem::dc::{Choice, DomainController};
use crossrealm_onprem::error::OnpremError;
use crossrealm_onprem::kerberos_server::{ObjectStep, preflight};
use crossrealm_onprem::ldap::RootDse;
use crossrealm_onprem::os;
use crossrealm_onprem::trust::{Refusal, Step, findings, overlap, plan, top_level_names};
use serde::Serialize;

/// How long a key must be in use before it is rotated again without `--force`: a ticket's life and more.
const ROTATION_PAUSE_S: i64 = 24 * 3600;

/// What was found: what it is, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// A short name, for programs.
    pub(super) code: &'static str,
    /// The thing and the reason.
    pub(super) message: String,
    /// The next step.
    pub(super) hint: Option<String>,
}

impl Finding {
    fn new(code: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: Some(hint.into()),
        }
    }
}

impl From<Refusal> for Finding {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.code(), refusal.to_string(), refusal.hint())
    }
}

/// What the preflight found.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Findings {
    /// What stands against the change.
    pub(super) findings: Vec<Finding>,
    /// What only deserves a note.
    pub(super) notes: Vec<Finding>,
}

impl Findings {
    /// Shows the notes; refuses with all findings, if there are any.
    pub(super) fn refuse(self, format: Format) -> Result<Vec<Finding>, Failure> {
        if !self.findings.is_empty() {
            return Err(self.refusal(format));
        }
        self.show_notes();
        Ok(self.notes)
    }

    /// The refusal with everything that was found. As JSON it is data too.
    fn refusal(self, format: Format) -> Failure {
        self.show_notes();
        if format == Format::Json
            && let Err(failure) = format.record(&self, &[])
        {
            return failure;
        }
        refusal(self.findings)
    }

    fn show_notes(&self) {
        for note in &self.notes {
            eprintln!("note: {}", note.message);
        }
    }
}

/// One failure that tells of all findings.
fn refusal(findings: Vec<Finding>) -> Failure {
    let messages: Vec<String> = findings.iter().map(|one| one.message.clone()).collect();
    let mut hints: Vec<String> = Vec::new();
    for hint in findings.into_iter().filter_map(|one| one.hint) {
        if !hints.contains(&hint) {
            hints.push(hint);
        }
    }
    let hint = Some(hints.join("\nhint: ")).filter(|hint| !hint.is_empty());
    Failure::new(messages.join("\nerror: ")).maybe_hint(hint)
}

/// What can be seen without signing in: the domain controller, its forest, the clocks.
pub(super) struct Ground {
    pub(super) dc: DomainController,
    pub(super) found: Findings,
}

impl Ground {
    /// Finds the domain controller and looks at it. Refuses where nobody could sign in, or where a trust is wanted in a
    /// child domain.
    pub(super) async fn look(
        domain: &DomainArgs,
        client: &Client,
        wants_trust: bool,
        format: Format,
    ) -> Result<Self, Failure> {
        let choice = Choice::named_or(domain.dc.as_deref(), Choice::Pdc);
        let mut found = Findings::default();
        let dc = match DomainController::find(&domain.domain, &choice).await {
            Ok(dc) => dc,
            Err(error) => {
                let all = preflight::all_silent_ports(error).await;
                found.findings.extend(all.into_iter().map(unreachable));
                return Err(found.refusal(format));
            }
        };
        let silent = preflight::silent_ports(&dc.host, dc.address).await;
        found.findings.extend(silent.into_iter().map(unreachable));
        let service = match wants_trust {
            true => client.clock().await?,
            false => None,
        };
        let (skewed, cannot_sign_in) = clocks(&dc, service);
        let stop = cannot_sign_in || !found.findings.is_empty();
        found.findings.extend(skewed);
        if wants_trust {
            found.findings.extend(child_domain(&dc));
            let (findings, notes) = levels(&dc.root_dse);
            found.findings.extend(findings);
            found.notes.extend(notes);
        }
        if stop || found.findings.iter().any(|one| one.code == NOT_ROOT) {
            return Err(found.refusal(format));
        }
        Ok(Self { dc, found })
    }
}

/// [`Refusal::code`] of a child domain.
const NOT_ROOT: &str = "not_forest_root";

fn unreachable(error: OnpremError) -> Finding {
    Finding {
        code: "unreachable",
        message: error.to_string(),
        hint: error.hint(),
    }
}

/// The clocks that are too far apart, and whether nobody can sign in for it. `service_s` is the service's time.
fn clocks(dc: &DomainController, service_s: Option<i64>) -> (Vec<Finding>, bool) {
    let now = i64::try_from(os::now().as_secs()).unwrap_or(i64::MAX);
    let service = service_s.map(|time| time.saturating_sub(now));
    let skewed = preflight::skewed_clocks(&dc.host, dc.clock_ahead_s, service);
    let cannot_sign_in = !preflight::skewed_clocks(&dc.host, dc.clock_ahead_s, None).is_empty();
    let hint = "set the clocks by NTP: of this computer, of the domain controllers, of the service";
    let found = skewed
        .into_iter()
        .map(|skew| Finding::new("clock_skew", skew.to_string(), hint));
    (found.collect(), cannot_sign_in)
}

/// A child domain, told by names that its controller gives to everybody.
fn child_domain(dc: &DomainController) -> Option<Finding> {
    let forest = dc.root_dse.forest()?;
    (!dc.root_dse.is_forest_root()).then(|| {
        let domain = dc.domain.clone();
        Refusal::NotForestRoot { domain, forest }.into()
    })
}

fn levels(root: &RootDse) -> (Option<Finding>, Option<Finding>) {
    let forest = (preflight::forest_knows_trusts(root) == Some(false)).then(|| {
        Finding::new(
            "forest_level",
            "the forest functional level is below Windows Server 2003: it knows no forest trusts",
            "raise the forest functional level",
        )
    });
    let domain = (preflight::domain_is_recent(root) == Some(false)).then(|| {
        Finding::new(
            "domain_level",
            "the domain functional level is below Windows Server 2012; raise it when you can",
            "raise the domain functional level",
        )
    });
    (forest, domain)
}

/// What stands against the object's steps.
pub(super) async fn object(
    run: &mut ObjectRun,
    steps: &[ObjectStep],
) -> Result<Vec<Finding>, Failure> {
    let missing = preflight::missing_rights(&mut run.ldap, steps).await?;
    Ok(missing.into_iter().map(missing_right).collect())
}

/// What stands against the trust, and what only deserves a note.
pub(super) async fn trust(
    object: &mut ObjectRun,
    run: &TrustRun<'_>,
    dc: &DomainController,
) -> Result<Findings, Failure> {
    let mut found = Findings::default();
    found.findings.extend(not_primary(object, run, dc).await?);
    for refusal in findings(&run.observed, &run.wanted) {
        if !matches!(refusal, Refusal::NotPrimary { .. }) {
            found.findings.push(refusal.into());
        }
    }
    found.findings.extend(forest(object, run, dc).await?);
    found.findings.extend(trust_rights(object, run).await?);
    let names = &run.wanted.top_level_names;
    for shadow in preflight::shadowing_names(&mut object.ldap, names).await? {
        let preflight::Shadow { service, owner } = shadow;
        let message = format!(
            "AD answers for `{service}` itself and refers nobody to the tenant for it: the name belongs to `{owner}`"
        );
        let hint = "take the name away where the tenant is meant: `setspn -D`";
        found.notes.push(Finding::new("shadowed", message, hint));
    }
    Ok(found)
}

/// Another controller than the PDC emulator, with the PDC emulator's name.
async fn not_primary(
    object: &mut ObjectRun,
    run: &TrustRun<'_>,
    dc: &DomainController,
) -> Result<Option<Finding>, Failure> {
    let primary = preflight::primary(&mut object.ldap).await?;
    let is_primary = primary.as_ref().map_or(run.observed.is_primary, |primary| {
        let own = &dc.root_dse.ds_service_name;
        primary.settings.eq_ignore_ascii_case(own)
    });
    if is_primary {
        return Ok(None);
    }
    let (host, domain) = (&dc.host, &dc.domain);
    let code = "not_primary";
    Ok(Some(match primary.and_then(|primary| primary.host) {
        Some(primary) => Finding::new(
            code,
            format!("`{host}` is not the PDC emulator of `{domain}`; that is `{primary}`"),
            format!("name it with `--dc {primary}`, or leave `--dc` away"),
        ),
        None => Finding::new(
            code,
            format!("`{host}` is not the PDC emulator of `{domain}`"),
            "name the PDC emulator with `--dc HOST`",
        ),
    }))
}

/// Names that other domains of the forest have, and the trust's account where something else has its name.
async fn forest(
    object: &mut ObjectRun,
    run: &TrustRun<'_>,
    dc: &DomainController,
) -> Result<Vec<Finding>, Failure> {
    let configuration = &dc.root_dse.configuration_naming_context;
    let wanted = &run.wanted;
    let names = top_level_names(&wanted.realm, &wanted.top_level_names).unwrap_or_default();
    let mut found = Vec::new();
    for domain in preflight::forest_domains(&mut object.ldap, configuration).await? {
        // The domain that is asked is looked at already.
        if domain.dns_name == dc.domain {
            continue;
        }
        if domain.flat_name.eq_ignore_ascii_case(&wanted.flat_name) {
            let (flat_name, other) = (domain.flat_name, domain.dns_name.clone());
            found.push(Refusal::FlatNameTaken { flat_name, other }.into());
        }
        for name in names.iter().filter(|name| {
            // A child of the forest's root overlaps what the root overlaps.
            overlap(name, &domain.dns_name) && !overlap(name, &dc.domain)
        }) {
            let (name, own) = (name.clone(), domain.dns_name.clone());
            found.push(Refusal::OwnName { name, own }.into());
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
        found.push(Finding::new(
            "flat_name_taken",
            format!(
                "the account `{account}` has the name `{}$`, which the account of the trust gets",
                wanted.flat_name
            ),
            "rename or delete the account if nothing uses it, else create the tenant with another flat name",
        ));
    }
    Ok(found)
}

/// The rights that the trust's steps take, as far as they can be asked for.
async fn trust_rights(object: &mut ObjectRun, run: &TrustRun<'_>) -> Result<Vec<Finding>, Failure> {
    let base = object.ldap.base().to_owned();
    let Some(own) = &run.observed.own else {
        return creation_rights(object, &base).await;
    };
    let steps = plan(&run.observed, &run.wanted).unwrap_or_default();
    let attributes = steps.iter().filter_map(|step| match step {
        Step::SetEnctypes { .. } => Some("msDS-SupportedEncryptionTypes"),
        Step::SetTopLevelNames { .. } => Some("msDS-TrustForestTrustInfo"),
        Step::Create { .. } | Step::Delete { .. } => None,
    });
    let attributes: Vec<&str> = attributes.collect();
    let dn = format!("CN={},CN=System,{base}", own.name);
    let unwritable = preflight::unwritable(&mut object.ldap, &dn, &attributes).await?;
    let lines = unwritable
        .iter()
        .map(|name| missing_right(format!("the account may not write `{name}` of `{dn}`")));
    Ok(lines.collect())
}

/// A trust and its account are made.
async fn creation_rights(object: &mut ObjectRun, base: &str) -> Result<Vec<Finding>, Failure> {
    let system = format!("CN=System,{base}");
    let users = format!("CN=Users,{base}");
    let mut missing = Vec::new();
    if !preflight::may_create(&mut object.ldap, &system, "trustedDomain").await? {
        missing.push(missing_right(format!(
            "the account may not create trusts (`trustedDomain` in `{system}`)"
        )));
    }
    // Where the service account is to be made too, it is told of that already.
    if object.seen.user.is_some()
        && !preflight::may_create(&mut object.ldap, &users, "user").await?
    {
        missing.push(missing_right(format!(
            "the account may not create the account of a trust (`user` in `{users}`)"
        )));
    }
    Ok(missing)
}

/// What stands against a rotation: a key that has just been made. Tickets sealed with the one before may still be on
/// their way.
pub(super) fn too_young(what: &str, made_at: Option<i64>) -> Option<Finding> {
    let now = i64::try_from(os::now().as_secs()).unwrap_or(i64::MAX);
    let left = made_at?
        .saturating_add(ROTATION_PAUSE_S)
        .saturating_sub(now);
    // A time in the future is no reason to wait for ever.
    (1..=ROTATION_PAUSE_S).contains(&left).then(|| {
        Finding::new(
            "young_key",
            format!(
                "{what} was made less than 24 hours ago; it may be rotated again in {}",
                span(left)
            ),
            "`--force` rotates it now",
        )
    })
}

fn span(seconds: i64) -> String {
    let minutes = seconds.div_euclid(60) + i64::from(seconds % 60 != 0);
    match (minutes / 60, minutes % 60) {
        (0, minutes) => format!("{minutes} min"),
        (hours, 0) => format!("{hours} h"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

fn missing_right(message: String) -> Finding {
    Finding::new(
        "missing_right",
        message,
        "use a member of Domain Admins or Enterprise Admins of the forest's root domain, or delegate the right as `docs/guide/trust.md` says",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_findings_are_in_one_refusal_and_each_hint_is_told_once() {
        let all = |findings| Findings {
            findings,
            notes: Vec::new(),
        };
        assert!(all(Vec::new()).refuse(Format::Table).is_ok());
        let refused = all(vec![
            Finding::new("a", "one", "do this"),
            Finding::new("b", "two", "do that"),
            Finding::new("c", "three", "do this"),
        ]);
        assert_eq!(
            refused.refuse(Format::Table).unwrap_err().to_string(),
            "error: one\nerror: two\nerror: three\n\nhint: do this\nhint: do that"
        );
    }

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
    fn a_child_domain_is_told_the_way_that_works() {
        let child = RootDse {
            default_naming_context: "DC=na,DC=corp,DC=contoso,DC=com".to_owned(),
            root_domain_naming_context: "DC=corp,DC=contoso,DC=com".to_owned(),
            ..RootDse::default()
        };
        let found = child_domain(&controller(child.clone(), 0)).unwrap();
        assert_eq!(found.code, NOT_ROOT);
        assert!(found.message.contains("0x549"), "{}", found.message);
        let hint = found.hint.unwrap();
        assert!(hint.contains("--domain corp.contoso.com --setup-cloud-trust"));
        assert!(hint.contains("in the child domain `set` without `--setup-cloud-trust`"));
        let root = RootDse {
            default_naming_context: child.root_domain_naming_context.clone(),
            ..child
        };
        assert_eq!(child_domain(&controller(root, 0)), None);
    }

    #[test]
    fn nobody_signs_in_with_a_clock_that_is_off() {
        let now = i64::try_from(os::now().as_secs()).unwrap();
        let here = controller(RootDse::default(), 3600);
        let (found, cannot_sign_in) = clocks(&here, Some(now + 3600));
        assert_eq!((found.len(), cannot_sign_in), (1, true));
        let there = controller(RootDse::default(), 0);
        let (found, cannot_sign_in) = clocks(&there, Some(now + 3600));
        assert_eq!((found.len(), cannot_sign_in), (1, false));
        assert!(found[0].message.starts_with("the clock of the service is"));
        assert_eq!(clocks(&there, None), (Vec::new(), false));
    }

    #[test]
    fn levels_below_what_is_needed_or_recommended() {
        let root = |forest, domain| RootDse {
            forest_functionality: Some(forest),
            domain_functionality: Some(domain),
            ..RootDse::default()
        };
        let codes = |root| {
            let (finding, note) = levels(&root);
            (finding.map(|one| one.code), note.map(|one| one.code))
        };
        assert_eq!(codes(root(7, 7)), (None, None));
        assert_eq!(codes(root(2, 4)), (None, Some("domain_level")));
        assert_eq!(
            codes(root(1, 2)),
            (Some("forest_level"), Some("domain_level"))
        );
    }

    #[test]
    fn a_young_key_waits_and_the_time_left_is_told() {
        let now = i64::try_from(os::now().as_secs()).unwrap();
        let young = too_young("the key", Some(now - 3600)).unwrap();
        assert!(young.message.ends_with("again in 23 h"), "{young:?}");
        assert!(young.hint.unwrap().contains("--force"));
        assert_eq!(too_young("the key", Some(now - 25 * 3600)), None);
        assert_eq!(too_young("the key", Some(now + 3600)), None);
        assert_eq!(too_young("the key", None), None);
        assert_eq!(span(61), "2 min");
        assert_eq!(span(3660), "1 h 1 min");
    }
}
