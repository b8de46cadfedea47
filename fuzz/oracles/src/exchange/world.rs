//! The world of the exchange target: the two realms of the KDC's own tests, with more users and more keys.

use crossrealm_kdc::{
    ForestDomain, Identity, KeyState, Records, Service, ServiceKey, Tenant, TenantId, TrustKey,
    Wanted,
};
use crossrealm_krb::crypto::{Enctype, Key};
use crossrealm_testkit::two_realms::{AD_REALM, TwoRealms};
use crossrealm_types::{IdentityKind, IdentitySource, IdentityState, Sid};
use std::sync::Arc;

pub(super) const CHILD_REALM: &str = "CHILD.CORP.CONTOSO.COM";
pub(super) const OTHER_REALM: &str = "KERBEROS.OTHER.CLOUD.EXAMPLE";
/// The domain of [`AD_REALM`], its child's, one that is not registered, and the one of the other tenant's forest.
pub(super) const DOMAINS: [&str; 4] = [
    "S-1-5-21-1111-2222-3333",
    "S-1-5-21-4444-5555-6666",
    "S-1-5-21-9-9-9",
    "S-1-5-21-8-8-8",
];
/// The accounts that the directory holds in each domain, and some that it does not.
pub(super) const RIDS: [u32; 12] = [
    1104,
    1105,
    1106,
    1107,
    1110,
    1200,
    500,
    512,
    513,
    0,
    999,
    u32::MAX,
];

/// Keys that an attacker could encrypt with, and whether the tenant may decrypt a referral with them.
pub(super) const KEYS: [(u8, bool); 9] = [
    (2, true),     // The current trust key.
    (12, true),    // The previous one.
    (13, false),   // A retired one, past its time.
    (14, true),    // A retired one, within its time.
    (21, false),   // The other tenant's krbtgt.
    (22, false),   // The other tenant's trust key.
    (3, false),    // The service's own key.
    (5, false),    // AD's krbtgt.
    (0x5E, false), // The session key.
];

pub(super) struct World {
    pub(super) realms: TwoRealms,
    other: Tenant,
}

pub(super) fn key(byte: u8) -> Key {
    Key::new(Enctype::Aes256Sha1, &[byte; 32]).expect("32 bytes are a key")
}

pub(super) fn sid(text: &str) -> Sid {
    text.parse().expect("a SID")
}

impl World {
    pub(super) fn new() -> Self {
        let mut realms = TwoRealms::new();
        realms.trust.forest.domains.push(ForestDomain {
            realm: CHILD_REALM.into(),
            dns_name: CHILD_REALM.to_lowercase(),
            flat_name: "CHILD".into(),
            sid: sid(DOMAINS[1]),
        });
        let now_s = realms.now.unix_s;
        let retired = |until| KeyState::Retired { until };
        for (version, state, byte) in [
            (4, KeyState::Previous { until: now_s + 600 }, 12),
            (3, retired(now_s - 1), 13),
            (2, retired(now_s + 600), 14),
        ] {
            realms.trust.keys.push(TrustKey {
                version,
                state,
                keys: vec![key(byte)],
            });
        }
        let other = Tenant {
            id: TenantId([8; 16]),
            name: "other".into(),
            realm: OTHER_REALM.into(),
            krbtgt_keys: vec![ServiceKey {
                kvno: 1,
                key: key(21),
            }],
            policy: realms.tenant.policy.clone(),
            forests: vec![],
        };
        Self { realms, other }
    }

    /// Keys that must not decrypt a ticket for a service, but for the service's own.
    pub(super) fn foreign_keys(&self) -> impl Iterator<Item = Key> {
        [1, 2, 4, 5, 12, 13, 14, 21, 22, 0x5E].into_iter().map(key)
    }

    /// What the directory holds under this SID. Every domain has the same accounts, the unregistered ones too: a
    /// directory that holds too much must not matter.
    pub(super) fn identity(&self, wanted: &Sid) -> Option<Identity> {
        let domain = DOMAINS
            .map(sid)
            .into_iter()
            .find(|d| wanted.is_in_domain(d))?;
        let group = |rid| domain.with_rid(rid).expect("a group's SID");
        let mut identity = Identity {
            sid: wanted.clone(),
            kind: IdentityKind::User,
            source: IdentitySource::Hybrid,
            state: IdentityState::Enabled,
            account_name: "alice".into(),
            upn: "alice@corp.contoso.com".into(),
            display_name: "Alice Müller".into(),
            domain_dns_name: AD_REALM.to_lowercase(),
            domain_flat_name: "CORP".into(),
            primary_group_rid: 513,
            groups: vec![group(513), group(1201), sid("S-1-5-32-544")],
        };
        identity.groups.push(sid("S-1-5-21-4444-5555-6666-1300"));
        identity.groups.push(sid("S-1-5-21-9-9-9-1300"));
        match wanted.rid() {
            500 | 512 | 999 | 1104 => {}
            1105 => identity.state = IdentityState::Disabled,
            1106 => identity.state = IdentityState::Deleted,
            1107 => identity.source = IdentitySource::CloudOnly,
            1110 => identity.groups = (2000..3011).map(group).collect(),
            1200 => identity.kind = IdentityKind::Group,
            _ => return None,
        }
        Some(identity)
    }

    /// What a directory answers: an honest one, or one with the fault `fault`.
    pub(super) fn records(&self, wanted: &Wanted, fault: u8) -> Records {
        let honest = match wanted {
            Wanted::Parties { .. } => self.realms.records(wanted),
            Wanted::Grant { sid, service } => Records::Grant {
                identity: self.identity(sid).map(Arc::new),
                service: Some(&self.realms.service)
                    .filter(|_| *service == self.realms.service_name)
                    .map(|service| Arc::new(service.clone())),
            },
        };
        match (fault, honest) {
            (1, _) => Records::Unavailable("a fault".into()),
            (2, Records::Parties { tenant, .. }) => Records::Parties {
                tenant,
                trust: None,
            },
            (2, _) => Records::Grant {
                identity: None,
                service: None,
            },
            // The records of the other round.
            (3, Records::Parties { .. }) => Records::Grant {
                identity: None,
                service: None,
            },
            (3, _) => Records::Parties {
                tenant: Arc::new(self.realms.tenant.clone()),
                trust: None,
            },
            // Another tenant's record, another identity's.
            (4, Records::Parties { trust, .. }) => Records::Parties {
                tenant: Arc::new(self.other.clone()),
                trust,
            },
            (4, Records::Grant { service, .. }) => Records::Grant {
                identity: self
                    .identity(&sid("S-1-5-21-1111-2222-3333-1104"))
                    .map(Arc::new),
                service,
            },
            (5, Records::Grant { identity, .. }) => Records::Grant {
                identity,
                service: Some(Arc::new(Service {
                    name: "empty".into(),
                    keys: vec![],
                })),
            },
            (_, honest) => honest,
        }
    }
}
