//! The state that an SMB host serves by, and the record of its last report.

use crate::service_keys::KeytabMaterial;
use crate::storage::model::Grant;
use crate::tenant_info::TenantInfo;
use crate::tenants::domains::DomainInfo;
use crossrealm_types::{HostReport, ReducedRole, Sid, StorageAccount};
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
    /// The content of its keytab.
    pub keytab: KeytabMaterial,
    /// Its shares.
    pub shares: Vec<HostShare>,
    /// Users it refuses regardless of their tickets.
    pub revoked_users: RevokedUsers,
}

/// A share of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostShare {
    /// Its name.
    pub name: String,
    /// Its quota in GiB; `None` if only the file system limits it.
    pub quota_gib: Option<u32>,
    /// The roles granted on it, by SID.
    pub grants: Vec<Grant>,
    /// Users whose role is lower than their tickets may imply.
    pub reduced_roles: ReducedRoles,
}

/// The most users that a host refuses entirely or in part: each takes an entry in the ACL of every share, which holds
/// 64 KiB.
pub const MAX_REVOKED_USERS: usize = 750;

/// Users that the hosts of a tenant refuse regardless of their tickets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RevokedUsers {
    /// Their SIDs, sorted: the last [`MAX_REVOKED_USERS`] who were disabled, deleted or removed from the scope.
    pub sids: Vec<Sid>,
    /// How many more there are.
    pub beyond: u64,
}

/// The users whose role on one share is lower than their tickets imply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReducedRoles {
    /// Sorted by SID: those of the last changes, together with the revoked users at most [`MAX_REVOKED_USERS`].
    pub roles: Vec<ReducedRole>,
    /// How many more there are, at least.
    pub beyond: u64,
}

/// Hosts report every 30 s. One that has not for three times as long counts as silent, in seconds.
const SILENT_AFTER_S: i64 = 90;

/// Whether a host is silent whose last report is so many seconds old.
pub(crate) fn is_silent_after(age_s: i64) -> bool {
    age_s > SILENT_AFTER_S
}

/// The last report of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredHostReport {
    /// The host's name.
    pub host: String,
    /// The report; `None` where another version of this program stored what this one cannot read.
    pub report: Option<HostReport>,
    /// When it arrived, Unix seconds.
    pub reported_at: i64,
    /// How long ago that is, in seconds.
    pub age_s: i64,
}

impl StoredHostReport {
    /// Whether the host has been silent for longer than one that works ever is.
    pub fn is_silent(&self) -> bool {
        is_silent_after(self.age_s)
    }
}
