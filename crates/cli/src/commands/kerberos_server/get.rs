//! `kerberos-server get`: the fields of the original, in its order, and in JSON the details of the trust.

use super::object::{self, ObjectRun, agrees};
use super::{open, recorded};
use crate::context::Context;
use crate::domain_credentials::DomainArgs;
use crate::failure::Failure;
use crate::output::{Column, Format, column, time_column};
use crossrealm_api::{KerberosServer, Tenant, Trust, TrustKeyState, TrustState};
use crossrealm_onprem::kerberos_server::{Object, TrustKey, plan, trust_key};
use crossrealm_onprem::lsa::ENCTYPES_AES;
use crossrealm_onprem::trust::{Observed, Tdo, Wanted, observe, plan as plan_trust};
use serde::Serialize;

/// The arguments of `kerberos-server get`.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    domain: DomainArgs,
}

/// What is printed. The fields up to `cloud_trust_display` are those of the original; the ones of the Kerberos server
/// object stay empty where there is none.
#[derive(Debug, Default, Serialize)]
struct View {
    id: Option<u32>,
    user_account: Option<String>,
    computer_account: Option<String>,
    display_name: Option<String>,
    domain_dns_name: Option<String>,
    key_version: Option<u32>,
    key_updated_on: Option<i64>,
    key_updated_from: Option<String>,
    cloud_display_name: Option<String>,
    cloud_domain_dns_name: Option<String>,
    cloud_id: Option<u32>,
    cloud_key_version: Option<u32>,
    cloud_key_updated_on: Option<i64>,
    cloud_trust_display: Option<String>,
    trusted_domain_object: Option<TdoView>,
    cloud_trust: Option<Trust>,
    tickets_last_arrived: Option<Arrived>,
    findings: Vec<String>,
}

/// The trusted domain object as AD holds it.
#[derive(Debug, Serialize)]
struct TdoView {
    name: String,
    flat_name: String,
    sid: Option<String>,
    direction: u32,
    r#type: u32,
    attributes: u32,
    encryption_types: Option<u32>,
    top_level_names: Vec<String>,
    /// AD's own count, which is not the tenant's.
    key_version: Option<u32>,
    key_updated_on: Option<i64>,
}

/// The version of the trust key, by the tenant's count, with which tickets last arrived.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Arrived {
    key_version: u32,
    at: i64,
}

const REPAIR_TRUST: &str = "run `crossrealm kerberos-server set --setup-cloud-trust`";

const COLUMNS: &[Column] = &[
    column("Id", "/id"),
    column("UserAccount", "/user_account"),
    column("ComputerAccount", "/computer_account"),
    column("DisplayName", "/display_name"),
    column("DomainDnsName", "/domain_dns_name"),
    column("KeyVersion", "/key_version"),
    time_column("KeyUpdatedOn", "/key_updated_on"),
    column("KeyUpdatedFrom", "/key_updated_from"),
    column("CloudDisplayName", "/cloud_display_name"),
    column("CloudDomainDnsName", "/cloud_domain_dns_name"),
    column("CloudId", "/cloud_id"),
    column("CloudKeyVersion", "/cloud_key_version"),
    time_column("CloudKeyUpdatedOn", "/cloud_key_updated_on"),
    column("CloudTrustDisplay", "/cloud_trust_display"),
];

/// Runs `kerberos-server get`.
pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    let tenant = client.tenant(context.tenant()?).await?;
    let (session, mut lsa) = open(&args.domain).await?;
    let mut server = ObjectRun::open(&session).await?;
    let observed = observe(&mut lsa, &tenant.realm).await?;
    let id = tenant.id.to_string();
    let domain = &session.dc().domain;
    let known = object::known(&client, &id, domain).await?;
    let trust = recorded(&client, &id, domain).await?;
    let mut view = with_object(&server.seen, domain, known.as_ref());
    // A service account that AD holds for other tenants alone needs no record here.
    let is_of_others = known.is_none() && trust.is_none() && observed.own.is_none();
    if is_of_others && observed.others.iter().any(Tdo::is_cloud_trust) {
        view.findings.clear();
    }
    let key = match &observed.own {
        Some(own) => trust_key(&mut server.ldap, &own.flat_name).await?,
        None => None,
    };
    if let Some(trust) = &trust {
        let repairs = repairs(observed.clone(), &tenant, trust);
        view.findings.extend(repairs);
    }
    add_trust(&mut view, &tenant, observed.own, key, trust);
    if context.output == Format::Table {
        for finding in &view.findings {
            eprintln!("note: {finding}");
        }
    }
    context.output.record(&view, COLUMNS)
}

/// The fields of the Kerberos server object in AD and in the tenant, and where the two differ.
fn with_object(seen: &Object, domain: &str, known: Option<&KerberosServer>) -> View {
    let user = seen.user.as_ref().filter(|user| user.number.is_some());
    View {
        id: user.and_then(|user| user.number),
        user_account: user.map(|_| seen.user_dn.clone()),
        computer_account: seen.computer.as_ref().map(|_| seen.computer_dn.clone()),
        display_name: user.map(|user| user.account_name.clone()),
        domain_dns_name: user.map(|_| domain.to_owned()),
        key_version: user.map(|user| user.key_version),
        key_updated_on: user.and_then(|user| user.key_updated_at),
        key_updated_from: user.and_then(|user| user.key_updated_from.clone()),
        cloud_display_name: known.map(|known| known.display_name.clone()),
        cloud_domain_dns_name: known.map(|known| known.domain.clone()),
        cloud_id: known.map(|known| known.id),
        cloud_key_version: known.map(|known| known.key_version),
        cloud_key_updated_on: known.map(|known| known.key_updated_at),
        findings: object_findings(seen, known),
        ..View::default()
    }
}

fn object_findings(seen: &Object, known: Option<&KerberosServer>) -> Vec<String> {
    const REPAIR: &str = "run `crossrealm kerberos-server set`";
    let mut findings = Vec::new();
    if known.is_some_and(|known| known.removal_begun_at.is_some()) {
        findings.push(
            "the removal of the Kerberos server object is half done: run `crossrealm kerberos-server remove` to finish it, or `set` to keep the object"
                .to_owned(),
        );
        return findings;
    }
    if seen.user.is_none() && seen.computer.is_none() {
        if known.is_some() {
            findings.push(format!(
                "the tenant has recorded a service account that AD does not hold: {REPAIR}, or `remove`"
            ));
        }
        return findings;
    }
    match plan(seen, false) {
        Err(refusal) => findings.push(refusal.to_string()),
        Ok(steps) => {
            findings.extend(steps.iter().map(|step| format!("to do: {step}: {REPAIR}")));
        }
    }
    match (&seen.user, known) {
        (Some(_), None) => findings.push(format!(
            "the tenant has no record of the service account in AD: {REPAIR}"
        )),
        (Some(user), Some(known))
            if !agrees(user, known) && user.key_version == known.key_version =>
        {
            findings.push(format!(
                "AD made the key of `{}` at another time than the tenant has recorded: {REPAIR}",
                user.account_name
            ));
        }
        (Some(user), Some(known)) if !agrees(user, known) => findings.push(format!(
            "AD holds `{}` with key version {}, the tenant has recorded `{}` with key version {}: {REPAIR}",
            user.account_name, user.key_version, known.display_name, known.key_version
        )),
        _ => {}
    }
    findings
}

fn add_trust(
    view: &mut View,
    tenant: &Tenant,
    own: Option<Tdo>,
    key: Option<TrustKey>,
    trust: Option<Trust>,
) {
    view.findings
        .extend(findings(tenant, own.as_ref(), trust.as_ref()));
    let is_ours = own.as_ref().is_some_and(|own| {
        own.sid
            .as_ref()
            .is_some_and(|s| s.to_string() == tenant.sid)
    });
    let is_active = trust
        .as_ref()
        .is_some_and(|trust| trust.state == TrustState::Active);
    view.cloud_trust_display = own.as_ref().filter(|_| is_ours && is_active).map(|own| {
        format!(
            "Crossrealm.Kdc.TrustDisplay: {} ({})",
            own.name,
            own.top_level_names.join(", ")
        )
    });
    view.trusted_domain_object = own.map(|own| TdoView {
        name: own.name,
        flat_name: own.flat_name,
        sid: own.sid.map(|sid| sid.to_string()),
        direction: own.direction,
        r#type: own.kind,
        attributes: own.attributes,
        encryption_types: own.enctypes,
        top_level_names: own.top_level_names,
        key_version: key.and_then(|key| key.version),
        key_updated_on: key.and_then(|key| key.updated_at),
    });
    view.tickets_last_arrived = trust.as_ref().and_then(last_arrived);
    view.cloud_trust = trust;
}

fn last_arrived(trust: &Trust) -> Option<Arrived> {
    let seen = trust.keys.iter().filter_map(|key| {
        Some(Arrived {
            key_version: key.version,
            at: key.last_seen_at?,
        })
    });
    // Of two in the same second the newer version is meant.
    seen.max_by_key(|seen| (seen.at, seen.key_version))
}

/// Where AD and the tenant differ, and what to do about it.
fn findings(tenant: &Tenant, own: Option<&Tdo>, trust: Option<&Trust>) -> Vec<String> {
    const REPAIR: &str = REPAIR_TRUST;
    let mut findings = Vec::new();
    let realm = &tenant.realm;
    if let Some(own) = own
        && own.sid.as_ref().map(ToString::to_string).as_ref() != Some(&tenant.sid)
    {
        findings.push(format!(
            "AD holds a trust with `{realm}` that is not this tenant's: its SID is another"
        ));
        return findings;
    }
    if trust.is_some_and(|trust| trust.removal_begun_at.is_some()) {
        findings.push(format!(
            "the removal of the trust is half done: run `crossrealm trusted-domain-object remove` to finish it, or to keep it {REPAIR}"
        ));
        return findings;
    }
    match (own, trust) {
        (None, None) => {}
        (None, Some(_)) => findings.push(format!(
            "the tenant holds a trust key, but AD holds no trust with `{realm}`: {REPAIR}"
        )),
        (Some(_), None) => findings.push(format!(
            "AD holds a trust with `{realm}`, but the tenant has no key for it: {REPAIR}"
        )),
        (Some(_), Some(trust)) => {
            if trust.state == TrustState::Pending {
                findings.push(format!("the trust is half set up: {REPAIR} to finish"));
            } else if trust
                .keys
                .iter()
                .any(|key| key.state == TrustKeyState::Pending)
            {
                findings.push(format!(
                    "the rotation of the trust key is half done: {REPAIR} to finish"
                ));
            }
        }
    }
    findings
}

/// What AD holds of a finished trust otherwise than the tenant recorded it.
fn repairs(mut observed: Observed, tenant: &Tenant, trust: &Trust) -> Vec<String> {
    let is_finished = trust.state == TrustState::Active
        && trust
            .keys
            .iter()
            .all(|key| key.state != TrustKeyState::Pending);
    let Ok(sid) = tenant.sid.parse() else {
        return Vec::new();
    };
    if !is_finished || observed.own.is_none() {
        return Vec::new();
    }
    let wanted = Wanted {
        realm: tenant.realm.clone(),
        flat_name: tenant.flat_name.clone(),
        sid,
        top_level_names: trust.top_level_names.clone(),
        enctypes: ENCTYPES_AES,
    };
    // Reading is as good at any controller.
    observed.is_primary = true;
    // A trust that is not the tenant's is called out already.
    let steps = plan_trust(&observed, &wanted).unwrap_or_default();
    let line = |step| format!("to do: {step}: {REPAIR_TRUST}");
    steps.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossrealm_api::TrustKey;
    use crossrealm_onprem::kerberos_server::{Computer, RevealGroups, User};
    use crossrealm_onprem::lsa::DomainInfo;
    use crossrealm_onprem::trust::KeyMatch;
    use serde_json::json;

    fn tenant() -> Tenant {
        serde_json::from_value(json!({
            "id": "0f8fad5b-d9cb-469f-a165-70867728950e", "name": "contoso",
            "domain": "contoso.cloud.example", "realm": "KERBEROS.CONTOSO.CLOUD.EXAMPLE",
            "flat_name": "CONTOSO-KRB", "sid": "S-1-5-21-1-2-3",
            "top_level_names": ["contoso.cloud.example"],
            "kdc_proxy_url": "https://login.cloud.example:443/x/kerberos", "created_at": 1,
        }))
        .unwrap()
    }

    fn tdo() -> Tdo {
        Tdo {
            name: "KERBEROS.CONTOSO.CLOUD.EXAMPLE".to_owned(),
            flat_name: "CONTOSO-KRB".to_owned(),
            sid: Some("S-1-5-21-1-2-3".parse().unwrap()),
            direction: 1,
            kind: 2,
            attributes: 8,
            enctypes: Some(0x18),
            top_level_names: vec!["contoso.cloud.example".to_owned()],
            only_names: true,
        }
    }

    fn trust(state: TrustState) -> Trust {
        Trust {
            domain: "corp.contoso.com".to_owned(),
            realm: "CORP.CONTOSO.COM".to_owned(),
            flat_name: "CORP".to_owned(),
            sid: "S-1-5-21-9-9-9".to_owned(),
            state,
            top_level_names: vec!["Contoso.cloud.example".to_owned()],
            created_at: 1,
            confirmed_at: None,
            removal_begun_at: None,
            keys: Vec::new(),
        }
    }

    fn view(tenant: &Tenant, own: Option<Tdo>, trust: Option<Trust>) -> View {
        let mut view = View::default();
        add_trust(&mut view, tenant, own, None, trust);
        view
    }

    fn object() -> Object {
        let user_dn = "CN=krbtgt_AzureAD,CN=Users,DC=corp".to_owned();
        Object {
            user: Some(User {
                account_name: "krbtgt_56754".to_owned(),
                number: Some(56754),
                flags: 0x202,
                key_version: 2,
                key_updated_at: Some(1_700_000_000),
                key_updated_from: Some("dc1.corp.contoso.com".to_owned()),
            }),
            computer_dn: "CN=AzureADKerberos,OU=Domain Controllers,DC=corp".to_owned(),
            computer: Some(Computer {
                flags: 0x0500_1000,
                link: Some(user_dn.clone()),
                reveal: Vec::new(),
                never: Vec::new(),
            }),
            user_dn,
            groups: RevealGroups::default(),
        }
    }

    fn known() -> KerberosServer {
        KerberosServer {
            domain: "corp.contoso.com".to_owned(),
            id: 56754,
            display_name: "krbtgt_56754".to_owned(),
            key_version: 2,
            key_updated_at: 1_700_000_000,
            recorded_at: 1,
            removal_begun_at: None,
        }
    }

    #[test]
    fn the_object_is_shown_from_both_sides_and_differences_are_called_out() {
        let view = with_object(&object(), "corp.contoso.com", Some(&known()));
        assert_eq!((view.id, view.cloud_id), (Some(56754), Some(56754)));
        assert_eq!(
            view.key_updated_from.as_deref(),
            Some("dc1.corp.contoso.com")
        );
        assert_eq!(view.findings, Vec::<String>::new());
        assert_eq!(with_object(&object(), "x", None).findings.len(), 1);
        let mut older = known();
        older.key_version = 1;
        let findings = with_object(&object(), "x", Some(&older)).findings;
        assert!(findings[0].contains("key version 1"), "{findings:?}");
        let mut nothing = object();
        (nothing.user, nothing.computer) = (None, None);
        let view = with_object(&nothing, "x", None);
        assert_eq!((view.domain_dns_name, view.findings.len()), (None, 0));
        assert_eq!(with_object(&nothing, "x", Some(&known())).findings.len(), 1);
        let mut half = object();
        half.computer = None;
        assert_eq!(with_object(&half, "x", Some(&known())).findings.len(), 1);
    }

    #[test]
    fn a_half_done_rotation_is_said() {
        let key = |version, state| TrustKey {
            version,
            state,
            created_at: 1,
            confirmed_at: None,
            retires_at: None,
            last_seen_at: None,
        };
        let mut trust = trust(TrustState::Active);
        trust.keys = vec![
            key(2, TrustKeyState::Pending),
            key(1, TrustKeyState::Current),
        ];
        let view = view(&tenant(), Some(tdo()), Some(trust));
        assert!(view.findings[0].contains("half done"));
        assert!(
            view.cloud_trust_display.is_some(),
            "tickets work all the while"
        );
    }

    #[test]
    fn the_version_that_tickets_last_arrived_with_is_named() {
        let key = |version, last_seen_at| TrustKey {
            version,
            state: TrustKeyState::Retired,
            created_at: 1,
            confirmed_at: None,
            retires_at: None,
            last_seen_at,
        };
        let mut trust = trust(TrustState::Active);
        trust.keys = vec![key(3, None), key(2, Some(20)), key(1, Some(10))];
        let (key_version, at) = (2, 20);
        assert_eq!(last_arrived(&trust), Some(Arrived { key_version, at }));
        trust.keys[2].last_seen_at = Some(30);
        assert_eq!(last_arrived(&trust).unwrap().key_version, 1);
        trust.keys.truncate(1);
        assert_eq!(last_arrived(&trust), None);
    }

    #[test]
    fn what_ad_holds_otherwise_is_to_do() {
        let observed = |tdo| Observed {
            domain: DomainInfo {
                flat_name: "CORP".to_owned(),
                dns_name: "corp.contoso.com".to_owned(),
                forest_name: "corp.contoso.com".to_owned(),
                sid: "S-1-5-21-9-9-9".parse().unwrap(),
            },
            is_primary: false,
            own: tdo,
            others: Vec::new(),
            key: KeyMatch::Untried,
        };
        let mut bent = tdo();
        bent.top_level_names.push("windows.net".to_owned());
        bent.enctypes = Some(4);
        let active = trust(TrustState::Active);
        let to_do = repairs(observed(Some(bent.clone())), &tenant(), &active);
        assert!(to_do[0].starts_with("to do: set the encryption types"));
        assert!(to_do[1].starts_with("to do: set the top-level names"));
        let half = trust(TrustState::Pending);
        assert!(repairs(observed(Some(bent)), &tenant(), &half).is_empty());
        for own in [Some(tdo()), None] {
            assert!(repairs(observed(own), &tenant(), &active).is_empty());
        }
    }

    #[test]
    fn nothing_set_up_is_empty_and_no_finding() {
        let view = view(&tenant(), None, None);
        assert_eq!(view.cloud_trust_display, None);
        assert!(view.findings.is_empty());
    }

    #[test]
    fn a_complete_trust_is_displayed() {
        let view = view(&tenant(), Some(tdo()), Some(trust(TrustState::Active)));
        assert_eq!(
            view.cloud_trust_display.unwrap(),
            "Crossrealm.Kdc.TrustDisplay: KERBEROS.CONTOSO.CLOUD.EXAMPLE (contoso.cloud.example)"
        );
        assert!(view.findings.is_empty());
    }

    #[test]
    fn what_is_half_done_is_said_and_not_displayed() {
        let mut foreign = tdo();
        foreign.sid = Some("S-1-5-21-4-4-4".parse().unwrap());
        for (own, trust) in [
            (None, Some(trust(TrustState::Active))),
            (Some(tdo()), None),
            (Some(tdo()), Some(trust(TrustState::Pending))),
            (Some(foreign), Some(trust(TrustState::Active))),
        ] {
            let view = view(&tenant(), own, trust);
            assert_eq!(view.cloud_trust_display, None);
            assert_eq!(view.findings.len(), 1);
        }
    }
}
