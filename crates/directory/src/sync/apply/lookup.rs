//! The identities of a tenant that may conflict with the objects of a sync: looked up for many objects at once, and
//! updated with each pending write, so that each object is checked as if those before it were written already.

use crate::db::columns::{tenant_blob, uuid_blob};
use crate::db::statement::{placeholders, sql_list};
use crate::error::Result;
use crate::identities::rows::{IdentityInfo, SELECT_IDENTITY, identity_info};
use crate::sync::model::SyncedIdentity;
use crate::tenants::domains::DomainInfo;
use crossrealm_kdc::TenantId;
use crossrealm_types::{IdentitySource, IdentityState, Sid};
use sqlx::AnyConnection;
use std::collections::HashMap;
use uuid::Uuid;

/// How many objects are looked up, and how many are written, by one statement.
pub(super) const BATCH_SIZE: usize = 40;

/// The identities that have the GUID, SID, UPN or account name of one of a batch of objects.
pub(super) struct TenantLookup<'a> {
    domain: &'a DomainInfo,
    identities: HashMap<Uuid, IdentityInfo>,
    by_sid: HashMap<Sid, Uuid>,
    by_account: HashMap<String, Uuid>,
    by_upn: HashMap<String, Uuid>,
}

impl<'a> TenantLookup<'a> {
    /// Looks up the identities for these objects of a domain.
    pub(super) async fn of(
        conn: &mut AnyConnection,
        tenant: TenantId,
        domain: &'a DomainInfo,
        objects: &[&SyncedIdentity],
    ) -> Result<Self> {
        let mut lookup = Self {
            domain,
            identities: HashMap::new(),
            by_sid: HashMap::new(),
            by_account: HashMap::new(),
            by_upn: HashMap::new(),
        };
        if objects.is_empty() {
            return Ok(lookup);
        }
        let list = |n| placeholders(3 + n * objects.len(), objects.len());
        let mut statement = sql_list(format!(
            "{SELECT_IDENTITY} WHERE i.tenant_id = $1 AND i.guid IN (
               SELECT guid FROM identities WHERE tenant_id = $1 AND guid IN ({})
               UNION SELECT guid FROM identities WHERE tenant_id = $1 AND sid IN ({})
               UNION SELECT guid FROM identities WHERE tenant_id = $1 AND domain = $2 AND taken_account IN ({})
               UNION SELECT guid FROM identities WHERE tenant_id = $1 AND taken_upn IN ({}))",
            list(0),
            list(1),
            list(2),
            list(3),
        ))
        .persistent(objects.len() == BATCH_SIZE)
        .bind(tenant_blob(tenant))
        .bind(domain.dns_name.as_str());
        for new in objects {
            statement = statement.bind(uuid_blob(new.object_guid));
        }
        for new in objects {
            statement = statement.bind(new.sid.to_string());
        }
        for new in objects {
            statement = statement.bind(new.account_name.to_lowercase());
        }
        for new in objects {
            statement = statement.bind(taken_upn(new));
        }
        for row in &statement.fetch_all(conn).await? {
            lookup.put(identity_info(row)?);
        }
        Ok(lookup)
    }

    /// The identity with this GUID.
    pub(super) fn get(&self, guid: Uuid) -> Option<&IdentityInfo> {
        self.identities.get(&guid)
    }

    /// Another identity that has the SID, otherwise the account name, otherwise the UPN of this object.
    pub(super) fn other(&self, new: &SyncedIdentity) -> Option<&IdentityInfo> {
        let found = [
            self.by_sid.get(&new.sid),
            self.by_account.get(&new.account_name.to_lowercase()),
            taken_upn(new).and_then(|upn| self.by_upn.get(&upn)),
        ];
        let mut found = found.into_iter().flatten();
        let other = found.find(|guid| **guid != new.object_guid)?;
        self.identities.get(other)
    }

    /// Inserts or replaces an identity.
    pub(super) fn put(&mut self, identity: IdentityInfo) {
        let guid = identity.guid;
        if let Some(before) = self.identities.remove(&guid) {
            for (names, name) in [
                (&mut self.by_account, account_of(self.domain, &before)),
                (&mut self.by_upn, upn_of(&before)),
            ] {
                if let Some(name) = name {
                    names.remove(&name);
                }
            }
        }
        self.by_sid.insert(identity.sid.clone(), guid);
        let account = account_of(self.domain, &identity);
        self.by_account.extend(account.map(|name| (name, guid)));
        let upn = upn_of(&identity);
        self.by_upn.extend(upn.map(|name| (name, guid)));
        self.identities.insert(guid, identity);
    }
}

/// The UPN that an object reserves, for comparison.
fn taken_upn(new: &SyncedIdentity) -> Option<String> {
    (!new.upn.is_empty()).then(|| new.upn.to_lowercase())
}

/// The account name that an identity reserves in this domain. A deleted one reserves none.
fn account_of(domain: &DomainInfo, identity: &IdentityInfo) -> Option<String> {
    let here = identity.source == IdentitySource::Hybrid
        && identity.domain_dns_name == domain.dns_name
        && identity.state != IdentityState::Deleted;
    here.then(|| identity.account_name.to_lowercase())
}

/// The UPN that an identity reserves.
pub(super) fn upn_of(identity: &IdentityInfo) -> Option<String> {
    let holds = !identity.upn.is_empty() && identity.state != IdentityState::Deleted;
    holds.then(|| identity.upn.to_lowercase())
}
