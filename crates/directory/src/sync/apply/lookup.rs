//! The identities of a tenant that the objects of a request are about or may conflict with: looked up for many objects at
//! once, and updated with each pending write.

use crate::db::columns::{col, col_uuid, tenant_blob, uuid_blob};
use crate::db::statement::{placeholders, sql_list};
use crate::error::Result;
use crate::identities::rows::{IdentityInfo, SELECT_IDENTITY, identity_info};
use crate::tenants::domains::DomainInfo;
use crossrealm_kdc::TenantId;
use crossrealm_types::{IdentitySource, IdentityState, SyncedIdentity};
use sqlx::AnyConnection;
use std::collections::HashMap;
use uuid::Uuid;

/// How many objects are looked up, and how many are written, by one statement.
pub(super) const BATCH_SIZE: usize = 40;

/// The identities that have the GUID, SID, UPN or account name of one of the objects of a request.
pub(super) struct TenantLookup<'a> {
    domain: &'a DomainInfo,
    identities: HashMap<Uuid, IdentityInfo>,
    /// Objects that are not synced yet and are members of groups, as objects of another domain: the SID of that domain.
    expected: HashMap<Uuid, String>,
}

impl<'a> TenantLookup<'a> {
    /// A lookup that has found nothing.
    pub(super) fn empty(domain: &'a DomainInfo) -> Self {
        Self {
            domain,
            identities: HashMap::new(),
            expected: HashMap::new(),
        }
    }

    /// Looks up the identities for these objects of a domain, at most [`BATCH_SIZE`]. An object that is malformed is looked up
    /// by its GUID and SID alone: PostgreSQL does not accept every text.
    pub(super) async fn add(
        &mut self,
        conn: &mut AnyConnection,
        tenant: TenantId,
        objects: &[(&SyncedIdentity, bool)],
    ) -> Result<()> {
        if objects.is_empty() {
            return Ok(());
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
        .bind(self.domain.dns_name.as_str());
        for (new, _) in objects {
            statement = statement.bind(uuid_blob(new.object_guid));
        }
        for (new, _) in objects {
            statement = statement.bind(new.sid.to_string());
        }
        for (new, well_formed) in objects {
            statement = statement.bind(well_formed.then(|| new.account_name.to_lowercase()));
        }
        for (new, well_formed) in objects {
            statement = statement.bind(taken_upn(new).filter(|_| *well_formed));
        }
        for row in &statement.fetch_all(&mut *conn).await? {
            self.put(identity_info(row)?);
        }
        self.read_expected(conn, tenant, objects).await
    }

    async fn read_expected(
        &mut self,
        conn: &mut AnyConnection,
        tenant: TenantId,
        objects: &[(&SyncedIdentity, bool)],
    ) -> Result<()> {
        let new: Vec<Uuid> = objects
            .iter()
            .map(|(new, _)| new.object_guid)
            .filter(|guid| !self.identities.contains_key(guid))
            .collect();
        if new.is_empty() {
            return Ok(());
        }
        let mut statement = sql_list(format!(
            "SELECT member_guid, member_domain FROM memberships
             WHERE tenant_id = $1 AND member_domain <> $2 AND member_guid IN ({})",
            placeholders(3, new.len())
        ))
        .persistent(new.len() == BATCH_SIZE)
        .bind(tenant_blob(tenant))
        .bind(self.domain.sid.to_string());
        for guid in new {
            statement = statement.bind(uuid_blob(guid));
        }
        for row in &statement.fetch_all(conn).await? {
            let (guid, domain) = (col_uuid(row, "member_guid")?, col(row, "member_domain")?);
            self.expected.insert(guid, domain);
        }
        Ok(())
    }

    /// The SID of the other domain that this new object is expected from.
    pub(super) fn expected(&self, guid: Uuid) -> Option<&str> {
        self.expected.get(&guid).map(String::as_str)
    }

    /// The identity with this GUID.
    pub(super) fn get(&self, guid: Uuid) -> Option<&IdentityInfo> {
        self.identities.get(&guid)
    }

    /// All identities that were found.
    pub(super) fn all(&self) -> impl Iterator<Item = &IdentityInfo> {
        self.identities.values()
    }

    /// Inserts or replaces an identity.
    pub(super) fn put(&mut self, identity: IdentityInfo) {
        self.identities.insert(identity.guid, identity);
    }

    /// Notes what was written of an identity that was found.
    pub(super) fn change(&mut self, guid: Uuid, how: impl FnOnce(&mut IdentityInfo)) {
        if let Some(identity) = self.identities.get_mut(&guid) {
            how(identity);
        }
    }
}

/// The UPN that an object reserves, for comparison.
pub(super) fn taken_upn(new: &SyncedIdentity) -> Option<String> {
    (!new.upn.is_empty()).then(|| new.upn.to_lowercase())
}

/// The account name that an identity reserves in this domain. A deleted one reserves none.
pub(super) fn account_of(domain: &DomainInfo, identity: &IdentityInfo) -> Option<String> {
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
