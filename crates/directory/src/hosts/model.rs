//! What an SMB host is told.

use crate::service_keys::KeytabMaterial;
use crate::storage::model::{Grant, ShareRole, StorageAccount};
use crate::tenants::domains::DomainInfo;
use crate::tenants::model::TenantInfo;
use crossrealm_types::Sid;
use std::collections::BTreeMap;

/// The state of a storage account for its SMB host.
#[derive(Clone, Debug)]
pub struct HostState {
    /// Changes whenever anything below changes.
    pub version: String,
    /// The tenant: realm, flat name, SID.
    pub tenant: TenantInfo,
    /// The account: host name, aliases, default role.
    pub account: StorageAccount,
    /// The AD domains of the tenant.
    pub domains: Vec<DomainInfo>,
    /// The numbers of the id ranges of the tenant's domains, by domain SID; of domains that are gone too.
    pub id_ranges: BTreeMap<String, u32>,
    /// What its keytab is made of.
    pub keytab: KeytabMaterial,
    /// Its shares.
    pub shares: Vec<HostShare>,
    /// Whom it refuses whatever ticket they bring.
    pub revoked_users: RevokedUsers,
}

/// A share of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostShare {
    /// Its name.
    pub name: String,
    /// How much it may hold, in GiB; `None` where nothing but the file system limits it.
    pub quota_gib: Option<u32>,
    /// The roles granted on it, by SID.
    pub grants: Vec<Grant>,
    /// Whose role is less than their tickets may say.
    pub reduced_roles: ReducedRoles,
}

/// The most users that a host is told to refuse, whole or in part: each takes an entry of every share's permissions, which hold 64 KiB.
pub const MAX_REVOKED_USERS: usize = 750;

/// Whom the hosts of a tenant refuse, whatever ticket they bring.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RevokedUsers {
    /// Their SIDs, sorted: of the [`MAX_REVOKED_USERS`] who were disabled, deleted or taken out of the scope last.
    pub sids: Vec<Sid>,
    /// How many there are beside these.
    pub beyond: u64,
}

/// A user's role on a share that was higher within the longest life of a ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReducedRole {
    /// The user.
    pub sid: Sid,
    /// The highest that a ticket may still say.
    pub had: ShareRole,
    /// What counts now; `None` where no role does.
    pub has: Option<ShareRole>,
}

/// The roles on one share that are less than tickets say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReducedRoles {
    /// Sorted by SID: those of the last changes, together with who is barred at most [`MAX_REVOKED_USERS`].
    pub roles: Vec<ReducedRole>,
    /// How many there are beside these, at least.
    pub beyond: u64,
}
