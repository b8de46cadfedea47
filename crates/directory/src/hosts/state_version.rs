//! The version of a host's state: a hash of the canonical encoding of all that the state holds.
//!
//! The encoding has every field in a fixed order. A number is 8 bytes, big-endian. A text and a list have their length in
//! front, an optional value a number that says whether it is there. Two different states therefore never have the same
//! encoding, and a version is the same on every node and in every build. Structures are taken apart field by field, so that
//! a field that is added cannot be forgotten here.

use crate::hosts::model::{HostShare, HostState, ReducedRoles, RevokedUsers};
use crate::identities::identity_ref::IdentityRef;
use crate::service_keys::KeytabMaterial;
use crate::storage::model::Grant;
use crate::tenant_info::TenantInfo;
use crate::tenants::domains::DomainInfo;
use crossrealm_kdc::Policy;
use crossrealm_types::{
    IdentityKind, KerberosKey, ReducedRole, ShareRole, StorageAccount, Timestamp,
};
use sha2::{Digest, Sha256};

/// The version of a state, regardless of its `version` field: 32 hexadecimal digits.
pub(crate) fn version(state: &HostState) -> String {
    let mut encoder = Encoder(Sha256::new());
    encoder.state(state);
    hex::encode(&encoder.0.finalize()[..16])
}

/// Writes the canonical encoding into the hash.
struct Encoder(Sha256);

impl Encoder {
    fn number(&mut self, number: impl Into<i64>) {
        self.0.update(number.into().to_be_bytes());
    }

    fn count(&mut self, count: u64) {
        self.0.update(count.to_be_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.count(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        self.0.update(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn list<T>(&mut self, items: &[T], item: impl Fn(&mut Self, &T)) {
        self.count(u64::try_from(items.len()).unwrap_or(u64::MAX));
        for one in items {
            item(self, one);
        }
    }

    fn optional<T: Copy>(&mut self, value: Option<T>, encode: impl Fn(&mut Self, T)) {
        self.number(i64::from(value.is_some()));
        if let Some(value) = value {
            encode(self, value);
        }
    }

    fn texts(&mut self, texts: &[String]) {
        self.list(texts, |encoder, text| encoder.text(text));
    }

    fn state(&mut self, state: &HostState) {
        let HostState {
            version: _,
            tenant,
            account,
            domains,
            id_ranges,
            keytab,
            shares,
            revoked_users,
        } = state;
        self.tenant(tenant);
        self.account(account);
        self.list(domains, Self::domain);
        let id_ranges: Vec<(&String, &u32)> = id_ranges.iter().collect();
        self.list(&id_ranges, |encoder, (sid, number)| {
            encoder.text(sid);
            encoder.number(**number);
        });
        self.keytab(keytab);
        self.list(shares, Self::share);
        let RevokedUsers { sids, beyond } = revoked_users;
        self.list(sids, |encoder, sid| encoder.text(&sid.to_string()));
        self.count(*beyond);
    }

    fn tenant(&mut self, tenant: &TenantInfo) {
        let TenantInfo {
            id,
            name,
            domain,
            realm,
            flat_name,
            sid,
            top_level_names,
            created_at,
            policy,
        } = tenant;
        let Policy {
            max_ticket_life_s,
            max_renewable_life_s,
            allow_low_rids,
        } = policy;
        self.bytes(id.as_bytes());
        for text in [name, domain, realm, flat_name] {
            self.text(text);
        }
        self.text(&sid.to_string());
        self.texts(top_level_names);
        self.number(*created_at);
        self.number(*max_ticket_life_s);
        self.number(*max_renewable_life_s);
        self.number(i64::from(*allow_low_rids));
    }

    fn account(&mut self, account: &StorageAccount) {
        let StorageAccount {
            name,
            host,
            aliases,
            default_role,
            created_at,
            keys,
        } = account;
        self.text(name);
        self.text(host);
        self.texts(aliases);
        self.optional(*default_role, Self::role);
        self.time(*created_at);
        self.list(keys, |encoder, key| {
            let KerberosKey {
                slot,
                kvno,
                encrypts,
                created_at,
                retires_at,
            } = key;
            encoder.text(slot.as_str());
            encoder.number(*kvno);
            encoder.number(i64::from(*encrypts));
            encoder.time(*created_at);
            encoder.optional(*retires_at, Self::time);
        });
    }

    fn domain(&mut self, domain: &DomainInfo) {
        let DomainInfo {
            dns_name,
            realm,
            flat_name,
            sid,
            forest_root,
            created_at,
        } = domain;
        for text in [dns_name, realm, flat_name, forest_root] {
            self.text(text);
        }
        self.text(&sid.to_string());
        self.number(*created_at);
    }

    /// The keys count by their hashes: the encoding of a key stays out of what is hashed with other data.
    fn keytab(&mut self, keytab: &KeytabMaterial) {
        let KeytabMaterial {
            realm,
            principals,
            keys,
        } = keytab;
        self.text(realm);
        self.texts(principals);
        self.list(keys, |encoder, key| {
            encoder.number(key.kvno);
            encoder.number(key.key.enctype().number());
            encoder.bytes(&Sha256::digest(key.key.as_bytes()));
        });
    }

    fn share(&mut self, share: &HostShare) {
        let HostShare {
            name,
            quota_gib,
            grants,
            reduced_roles: ReducedRoles { roles, beyond },
        } = share;
        self.text(name);
        self.optional(*quota_gib, Self::number);
        self.list(grants, Self::grant);
        self.list(roles, |encoder, role| {
            let ReducedRole { sid, had, has } = role;
            encoder.text(&sid.to_string());
            encoder.role(*had);
            encoder.optional(*has, Self::role);
        });
        self.count(*beyond);
    }

    fn grant(&mut self, grant: &Grant) {
        let Grant {
            identity:
                IdentityRef {
                    guid,
                    sid,
                    kind,
                    name,
                },
            role,
            created_at,
        } = grant;
        self.bytes(guid.as_bytes());
        self.text(&sid.to_string());
        self.number(match kind {
            IdentityKind::User => 1,
            IdentityKind::Group => 2,
        });
        self.text(name);
        self.role(*role);
        self.number(*created_at);
    }

    /// In seconds, as the versions of before encoded it.
    fn time(&mut self, at: Timestamp) {
        self.number(at.unix());
    }

    fn role(&mut self, role: ShareRole) {
        self.text(role.as_str());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossrealm_kdc::{ServiceKey, TenantId};
    use crossrealm_krb::crypto::{Enctype, Key};
    use crossrealm_types::KeySlot;
    use std::collections::BTreeMap;
    use uuid::Uuid;

    fn state() -> HostState {
        let sid = |rid: u32| format!("S-1-5-21-1-2-3-{rid}").parse().unwrap();
        HostState {
            version: String::new(),
            tenant: TenantInfo {
                id: TenantId([7; 16]),
                name: "contoso".into(),
                domain: "contoso.cloud.example".into(),
                realm: "KERBEROS.CONTOSO.CLOUD.EXAMPLE".into(),
                flat_name: "CONTOSO-KRB".into(),
                sid: "S-1-5-21-4-5-6".parse().unwrap(),
                top_level_names: vec!["contoso.cloud.example".into()],
                created_at: 1_000,
                policy: Policy {
                    max_ticket_life_s: 36_000,
                    max_renewable_life_s: 604_800,
                    allow_low_rids: false,
                },
            },
            account: StorageAccount {
                name: "acct1".into(),
                host: "acct1.file.contoso.cloud.example".into(),
                aliases: vec!["files.contoso.com".into()],
                default_role: Some(ShareRole::Reader),
                created_at: Timestamp::from_unix(2_000),
                keys: vec![KerberosKey {
                    slot: KeySlot::Kerb1,
                    kvno: 1,
                    encrypts: true,
                    created_at: Timestamp::from_unix(2_000),
                    retires_at: None,
                }],
            },
            domains: vec![DomainInfo {
                dns_name: "corp.contoso.com".into(),
                realm: "CORP.CONTOSO.COM".into(),
                flat_name: "CORP".into(),
                sid: "S-1-5-21-1-2-3".parse().unwrap(),
                forest_root: "corp.contoso.com".into(),
                created_at: 1_500,
            }],
            id_ranges: BTreeMap::from([("S-1-5-21-1-2-3".to_owned(), 0)]),
            keytab: KeytabMaterial {
                realm: "KERBEROS.CONTOSO.CLOUD.EXAMPLE".into(),
                principals: vec!["cifs/acct1.file.contoso.cloud.example".into()],
                keys: vec![ServiceKey {
                    kvno: 1,
                    key: Key::new(Enctype::Aes256Sha1, &[9; 32]).unwrap(),
                }],
            },
            shares: vec![HostShare {
                name: "projects".into(),
                quota_gib: Some(10),
                grants: vec![Grant {
                    identity: IdentityRef {
                        guid: Uuid::from_u128(5),
                        sid: sid(1105),
                        kind: IdentityKind::User,
                        name: "alice@corp.contoso.com".into(),
                    },
                    role: ShareRole::Contributor,
                    created_at: 3_000,
                }],
                reduced_roles: ReducedRoles {
                    roles: vec![ReducedRole {
                        sid: sid(1106),
                        had: ShareRole::Contributor,
                        has: None,
                    }],
                    beyond: 0,
                },
            }],
            revoked_users: RevokedUsers {
                sids: vec![sid(1107)],
                beyond: 1,
            },
        }
    }

    /// Hosts compare the version with the one they have: a build that computes another one makes each of them fetch its
    /// state again.
    #[test]
    fn the_version_of_a_state_is_the_same_in_every_build() {
        assert_eq!(version(&state()), "70b77bcd4ae088936fde6152b8d6bc5d");
        let named = HostState {
            version: "other".into(),
            ..state()
        };
        assert_eq!(version(&named), version(&state()));
    }

    #[test]
    fn every_part_of_the_state_changes_the_version() {
        let changes: [fn(&mut HostState); 14] = [
            |s| s.tenant.realm.push('X'),
            |s| s.tenant.policy.allow_low_rids = true,
            |s| s.account.aliases.clear(),
            |s| s.account.default_role = None,
            |s| s.account.keys[0].retires_at = Some(Timestamp::from_unix(0)),
            |s| s.domains[0].flat_name.push('X'),
            |s| s.id_ranges.values_mut().for_each(|number| *number += 1),
            |s| s.keytab.principals.push(String::new()),
            |s| s.keytab.keys[0].key = Key::new(Enctype::Aes256Sha1, &[8; 32]).unwrap(),
            |s| s.shares[0].quota_gib = None,
            |s| s.shares[0].grants[0].role = ShareRole::Reader,
            |s| s.shares[0].reduced_roles.roles[0].has = Some(ShareRole::Reader),
            |s| s.shares[0].reduced_roles.beyond = 1,
            |s| s.revoked_users.sids.clear(),
        ];
        let mut versions = vec![version(&state())];
        for change in changes {
            let mut changed = state();
            change(&mut changed);
            versions.push(version(&changed));
        }
        versions.sort();
        versions.dedup();
        assert_eq!(versions.len(), changes.len() + 1);
    }

    #[test]
    fn texts_that_move_from_one_field_to_the_next_change_the_version() {
        let mut moved = state();
        moved.account.name = "acct".into();
        moved.account.host = "1acct1.file.contoso.cloud.example".into();
        assert_ne!(version(&moved), version(&state()));
    }
}
