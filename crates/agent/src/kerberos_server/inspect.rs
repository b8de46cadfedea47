//! What AD and the tenant hold of each other, and where they differ.

use super::object::{ObjectSetup, agrees};
use crate::connect::{self, DomainTarget};
use crate::error::AgentError;
use crate::records;
use crossrealm_api::{Client, Tenant};
use crossrealm_onprem::kerberos_server::{
    Object, ObjectRefusal, ObjectStep, TrustKey, plan, trust_key,
};
use crossrealm_onprem::ldap::Ldap;
use crossrealm_onprem::lsa::{ENCTYPES_AES, Lsa};
use crossrealm_onprem::rpc::LsaPipe;
use crossrealm_onprem::session::Session;
use crossrealm_onprem::trust::{
    self, Observed, Tdo, TrustDifference, TrustStep, Wanted, observe, plan as plan_trust,
    record_difference,
};
use crossrealm_types::{KerberosServer, Trust, TrustState};

/// What both sides hold.
#[derive(Debug)]
pub struct Inspection {
    /// The AD domain.
    pub domain: String,
    /// The Kerberos server object in AD.
    pub object: Object,
    /// The tenant's record of it.
    pub recorded_object: Option<KerberosServer>,
    /// The trusted domain object in AD.
    pub trust: Option<Tdo>,
    /// Its key, by AD's count.
    pub trust_key: Option<TrustKey>,
    /// The tenant's record of the trust.
    pub recorded_trust: Option<Trust>,
    /// Where the two sides differ, or a change is incomplete.
    pub differences: Vec<Difference>,
}

/// Where AD and the tenant differ, or a change is incomplete. The message names no command: the caller knows its own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Difference {
    /// A removal of the object has not ended.
    #[error("the removal of the Kerberos server object is half done")]
    ObjectRemovalBegun,
    /// The tenant has recorded an account that is not in AD.
    #[error("the tenant has recorded a service account that AD does not hold")]
    ObjectMissing,
    /// Something else has the account's name.
    #[error(transparent)]
    ObjectRefused(ObjectRefusal),
    /// The object is not as it should be: what has to be done.
    #[error("to do: {0}")]
    ObjectStep(ObjectStep),
    /// The tenant has not recorded the account.
    #[error("the tenant has no record of the service account in AD")]
    ObjectNotRecorded,
    /// The key has the recorded version, but was made at another time.
    #[error("AD made the key of `{account}` at another time than the tenant has recorded")]
    ObjectKeyTime {
        /// The account's name.
        account: String,
    },
    /// Account or key version differ.
    #[error(
        "AD holds `{account}` with key version {version}, the tenant has recorded `{recorded_account}` with key version {recorded_version}"
    )]
    ObjectKeyVersion {
        /// The account's name in AD.
        account: String,
        /// The version of its key.
        version: u32,
        /// The recorded account.
        recorded_account: String,
        /// The recorded version.
        recorded_version: u32,
    },
    /// The trust or its key.
    #[error(transparent)]
    Trust(TrustDifference),
    /// The trust is not as it was recorded: what has to be done.
    #[error("to do: {0}")]
    TrustStep(TrustStep),
}

impl Inspection {
    /// Reads both sides and compares them; changes nothing.
    ///
    /// # Errors
    /// Where AD or the tenant cannot be read.
    pub async fn read(
        client: &Client,
        tenant: &Tenant,
        target: &DomainTarget<'_>,
    ) -> Result<Self, AgentError> {
        let session = target.sign_in().await?;
        let mut lsa = connect::lsa(&session).await?;
        let observed = observe(&mut lsa, &tenant.realm).await?;
        let id = tenant.id.to_string();
        let domain = session.dc().domain.clone();
        let recorded_object = records::kerberos_server(client, &id, &domain).await?;
        let mut object = ObjectSetup::open(&session, recorded_object.clone()).await?;
        let recorded_trust = records::trust(client, &id, &domain).await?;
        let trust_key = match &observed.own {
            Some(own) => trust_key(&mut object.ldap, &own.flat_name).await?,
            None => None,
        };
        let is_known =
            recorded_object.is_some() || recorded_trust.is_some() || observed.own.is_some();
        // A service account that AD holds for other tenants alone needs no record here.
        let is_of_others = !is_known && observed.others.iter().any(Tdo::is_cloud_trust);
        let mut differences = match is_of_others {
            true => Vec::new(),
            false => compare_object(&object.seen, recorded_object.as_ref()),
        };
        if let Some(trust) = &recorded_trust {
            differences.extend(trust_steps(observed.clone(), tenant, trust));
        }
        let (own, recorded) = (observed.own.as_ref(), recorded_trust.as_ref());
        differences.extend(compare_trust(tenant, own, trust_key, recorded));
        Ok(Self {
            domain,
            object: object.seen,
            recorded_object,
            trust: observed.own,
            trust_key,
            recorded_trust,
            differences,
        })
    }

    /// `CloudTrustDisplay` of Microsoft Entra Kerberos: the trust in AD, once it is confirmed and this tenant's own.
    pub fn trust_display(&self, tenant: &Tenant) -> Option<String> {
        let is_active = |trust: &Trust| trust.state == TrustState::Active;
        let own = self.trust.as_ref().filter(|own| is_of_tenant(own, tenant));
        let own = own.filter(|_| self.recorded_trust.as_ref().is_some_and(is_active))?;
        Some(format!(
            "Crossrealm.Kdc.TrustDisplay: {} ({})",
            own.name,
            own.top_level_names.join(", ")
        ))
    }
}

/// Where the trust and the tenant's record of it differ, for a run that does not change it.
pub(crate) async fn trust_difference(
    client: &Client,
    tenant: &Tenant,
    session: &Session,
    lsa: &mut Lsa<LsaPipe>,
    ldap: &mut Ldap,
) -> Result<Option<Difference>, AgentError> {
    let own = observe(lsa, &tenant.realm).await?.own;
    let recorded = records::trust(client, &tenant.id.to_string(), &session.dc().domain).await?;
    let key = trust_key(ldap, &tenant.flat_name).await?;
    Ok(compare_trust(tenant, own.as_ref(), key, recorded.as_ref()))
}

fn compare_trust(
    tenant: &Tenant,
    own: Option<&Tdo>,
    key: Option<TrustKey>,
    recorded: Option<&Trust>,
) -> Option<Difference> {
    let set_at = key.and_then(|key| key.updated_at);
    let found = trust::trust_difference(&tenant.realm, &tenant.sid, own, set_at, recorded);
    found.map(Difference::Trust)
}

/// Where the Kerberos server object and the tenant's record of it differ.
fn compare_object(seen: &Object, recorded: Option<&KerberosServer>) -> Vec<Difference> {
    if recorded.is_some_and(|recorded| recorded.removal_begun_at.is_some()) {
        return vec![Difference::ObjectRemovalBegun];
    }
    if seen.user.is_none() && seen.computer.is_none() {
        let missing = recorded.map(|_| Difference::ObjectMissing);
        return missing.into_iter().collect();
    }
    let mut found = match plan(seen, false) {
        Err(refusal) => vec![Difference::ObjectRefused(refusal)],
        Ok(steps) => steps.into_iter().map(Difference::ObjectStep).collect(),
    };
    match (&seen.user, recorded) {
        (Some(_), None) => found.push(Difference::ObjectNotRecorded),
        (Some(user), Some(recorded)) if !agrees(user, recorded) => {
            let account = user.account_name.clone();
            found.push(match user.key_version == recorded.key_version {
                true => Difference::ObjectKeyTime { account },
                false => Difference::ObjectKeyVersion {
                    account,
                    version: user.key_version,
                    recorded_account: recorded.display_name.clone(),
                    recorded_version: recorded.key_version,
                },
            });
        }
        _ => {}
    }
    found
}

/// Whether the trust in AD has this tenant's SID.
fn is_of_tenant(own: &Tdo, tenant: &Tenant) -> bool {
    own.sid.as_ref() == Some(&tenant.sid)
}

/// What AD holds of a finished trust otherwise than the tenant recorded it.
fn trust_steps(mut observed: Observed, tenant: &Tenant, trust: &Trust) -> Vec<Difference> {
    // An incomplete change is reported itself.
    if record_difference(trust).is_some() || observed.own.is_none() {
        return Vec::new();
    }
    let wanted = Wanted {
        realm: tenant.realm.clone(),
        flat_name: tenant.flat_name.clone(),
        sid: tenant.sid.clone(),
        top_level_names: trust.top_level_names.clone(),
        enctypes: ENCTYPES_AES,
    };
    // Reading is as good at any controller.
    observed.is_primary = true;
    // A trust that is not the tenant's is reported already.
    let steps = plan_trust(&observed, &wanted).unwrap_or_default();
    steps.into_iter().map(Difference::TrustStep).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossrealm_onprem::kerberos_server::{Computer, RevealGroups, User};
    use crossrealm_onprem::lsa::DomainInfo;
    use crossrealm_onprem::trust::KeyMatch;
    use crossrealm_types::{AdObject, Timestamp};
    use serde_json::json;
    use uuid::Uuid;

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
            sid: "S-1-5-21-9-9-9".parse().unwrap(),
            state,
            top_level_names: vec!["Contoso.cloud.example".to_owned()],
            created_at: 1,
            confirmed_at: None,
            removal_begun_at: None,
            keys: Vec::new(),
        }
    }

    fn object() -> Object {
        let user_dn = "CN=krbtgt_Crossrealm,CN=Users,DC=corp".to_owned();
        Object {
            user: Some(User {
                object: ad_object(),
                is_ours: true,
                account_name: "krbtgt_56754".to_owned(),
                number: Some(56754),
                flags: 0x202,
                key_version: 2,
                key_updated_at: Some(1_700_000_000),
                key_updated_from: Some("dc1.corp.contoso.com".to_owned()),
            }),
            computer_dn: "CN=CrossrealmKerberos,OU=Domain Controllers,DC=corp".to_owned(),
            computer: Some(Computer {
                object: ad_object(),
                is_ours: true,
                flags: 0x0500_1000,
                link: Some(user_dn.clone()),
                reveal: Vec::new(),
                never: Vec::new(),
            }),
            user_dn,
            groups: RevealGroups::default(),
            microsoft: Vec::new(),
        }
    }

    fn ad_object() -> AdObject {
        AdObject {
            guid: Uuid::nil(),
            sid: "S-1-5-21-9-9-9-1000".parse().unwrap(),
        }
    }

    fn recorded() -> KerberosServer {
        KerberosServer {
            domain: "corp.contoso.com".to_owned(),
            id: 56754,
            display_name: "krbtgt_56754".to_owned(),
            key_version: 2,
            key_updated_at: Timestamp::from_unix(1_700_000_000),
            recorded_at: Timestamp::from_unix(1),
            removal_begun_at: None,
            account: Some(ad_object()),
            computer: Some(ad_object()),
        }
    }

    #[test]
    fn an_object_that_is_recorded_as_it_is_does_not_differ() {
        assert_eq!(compare_object(&object(), Some(&recorded())), []);
        let mut nothing = object();
        (nothing.user, nothing.computer) = (None, None);
        assert_eq!(compare_object(&nothing, None), []);
    }

    #[test]
    fn an_object_that_is_recorded_otherwise_differs() {
        assert_eq!(
            compare_object(&object(), None),
            [Difference::ObjectNotRecorded]
        );
        let mut older = recorded();
        older.key_version = 1;
        let found = compare_object(&object(), Some(&older));
        assert!(found[0].to_string().contains("key version 1"), "{found:?}");
        let mut nothing = object();
        (nothing.user, nothing.computer) = (None, None);
        assert_eq!(
            compare_object(&nothing, Some(&recorded())),
            [Difference::ObjectMissing]
        );
        let mut half = object();
        half.computer = None;
        assert_eq!(compare_object(&half, Some(&recorded())).len(), 1);
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
        let mut altered = tdo();
        altered.top_level_names.push("windows.net".to_owned());
        altered.enctypes = Some(4);
        let active = trust(TrustState::Active);
        let to_do = trust_steps(observed(Some(altered.clone())), &tenant(), &active);
        let to_do: Vec<String> = to_do.iter().map(ToString::to_string).collect();
        assert!(to_do[0].starts_with("to do: set the encryption types"));
        assert!(to_do[1].starts_with("to do: set the top-level names"));
        let half = trust(TrustState::Pending);
        assert_eq!(trust_steps(observed(Some(altered)), &tenant(), &half), []);
        for own in [Some(tdo()), None] {
            assert_eq!(trust_steps(observed(own), &tenant(), &active), []);
        }
    }

    #[test]
    fn a_trust_is_displayed_once_it_is_confirmed_and_the_tenants_own() {
        let mut foreign = tdo();
        foreign.sid = Some("S-1-5-21-4-4-4".parse().unwrap());
        let display = |trust, recorded_trust| {
            let inspection = Inspection {
                domain: "corp.contoso.com".to_owned(),
                object: object(),
                recorded_object: None,
                trust,
                trust_key: None,
                recorded_trust,
                differences: Vec::new(),
            };
            inspection.trust_display(&tenant())
        };
        let (active, pending) = (trust(TrustState::Active), trust(TrustState::Pending));
        assert_eq!(
            display(Some(tdo()), Some(active.clone())).unwrap(),
            "Crossrealm.Kdc.TrustDisplay: KERBEROS.CONTOSO.CLOUD.EXAMPLE (contoso.cloud.example)"
        );
        assert_eq!(display(Some(tdo()), Some(pending)), None);
        assert_eq!(display(Some(foreign), Some(active.clone())), None);
        assert_eq!(display(None, Some(active)), None);
        assert_eq!(display(Some(tdo()), None), None);
    }
}
