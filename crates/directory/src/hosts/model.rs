//! The state that an SMB host serves by, and the reports it sends.

use crate::service_keys::KeytabMaterial;
use crate::storage::model::{Grant, StorageAccount};
use crate::tenants::domains::DomainInfo;
use crate::tenants::model::TenantInfo;
use crossrealm_types::{ShareRole, Sid};
use serde::{Deserialize, Serialize};
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

/// A user whose role on a share was higher within the longest life of a ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReducedRole {
    /// The user.
    pub sid: Sid,
    /// The highest role that a ticket may still imply.
    pub had: ShareRole,
    /// The role now; `None` if there is none.
    pub has: Option<ShareRole>,
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
        self.age_s > SILENT_AFTER_S
    }
}

/// What a host reports of itself. Stored as JSON: a field is added with `default` and never renamed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostReport {
    /// The version of its program.
    pub program: String,
    /// Where it listens.
    pub listen: String,
    /// Whether users can connect.
    pub serving: bool,
    /// The [`HostState::version`] that is in effect; `None` before the first one.
    #[serde(default)]
    pub state_version: Option<String>,
    /// What keeps it from serving, or from putting the newest state into effect.
    #[serde(default)]
    pub problem: Option<String>,
    /// How many users keep a role that they lost, because no more can be refused.
    #[serde(default)]
    pub not_refused: u64,
    /// How often smbd was restarted since the host started.
    pub smbd_restarts: u32,
    /// How often winbindd was restarted since the host started.
    pub winbindd_restarts: u32,
    /// The versions of the keys in its keytab.
    #[serde(default)]
    pub kvnos: Vec<u32>,
    /// How many sessions there are.
    pub session_count: u32,
    /// The sessions that are listed; there may be more.
    #[serde(default)]
    pub sessions: Vec<HostSession>,
    /// The size of the file system of the data, in bytes.
    #[serde(default)]
    pub disk_bytes: Option<u64>,
    /// How much of it is free, in bytes.
    #[serde(default)]
    pub disk_free_bytes: Option<u64>,
    /// How many of its shares have a quota.
    #[serde(default)]
    pub quota_count: u32,
    /// The quotas that are listed, the fullest first; there may be more.
    #[serde(default)]
    pub quotas: Vec<HostQuota>,
}

/// An SMB session of a user on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostSession {
    /// The user, as the host knows it from the ticket: `CORP\\alice`.
    pub user: String,
    /// The address of the client.
    pub client: String,
    /// The shares it has open.
    #[serde(default)]
    pub shares: Vec<String>,
    /// The SMB dialect: `SMB3_11`.
    pub dialect: String,
    /// The cipher of the session: `AES-128-GCM`.
    pub encryption: String,
}

/// The quota of a share on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostQuota {
    /// The share.
    pub share: String,
    /// How much it may hold, in bytes.
    pub limit_bytes: u64,
    /// How much it held when last measured, in bytes.
    #[serde(default)]
    pub used_bytes: Option<u64>,
    /// What holds users to it.
    pub how: QuotaEnforcement,
    /// Why it is not enforced, or why the numbers may be wrong.
    #[serde(default)]
    pub reason: Option<String>,
    /// The next step, where one is known.
    #[serde(default)]
    pub hint: Option<String>,
    /// Since when it has been full, Unix seconds.
    #[serde(default)]
    pub full_since: Option<i64>,
}

/// What holds users to a quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QuotaEnforcement {
    /// The file system refuses what exceeds it.
    Enforced,
    /// Clients see it as the size of the share; nothing enforces it.
    ShownOnly,
    /// The host does not know how much the share holds.
    Unknown,
    /// A word of a newer host that this program does not know.
    #[serde(other)]
    Other,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_stored_by_version_0_1_are_read() {
        // Written by the server of commit 6c2a23d.
        let stored = r#"{"program":"0.1.0","listen":"[::]:445","serving":true,"state_version":"ab12","problem":null,
            "not_refused":3,"smbd_restarts":0,"winbindd_restarts":1,"kvnos":[2,1],"session_count":1,
            "sessions":[{"user":"CORP\\alice","client":"192.0.2.7","shares":["projects"],"dialect":"SMB3_11","encryption":"AES-128-GCM"}],
            "disk_bytes":1000,"disk_free_bytes":400,"quota_count":1,
            "quotas":[{"share":"projects","limit_bytes":1073741824,"used_bytes":5,"how":"shown-only","reason":null,"hint":null,"full_since":null}]}"#;
        let report: HostReport = serde_json::from_str(stored).unwrap();
        assert_eq!(report.kvnos, [2, 1]);
        assert_eq!(report.quotas[0].how, QuotaEnforcement::ShownOnly);
        let again: serde_json::Value = serde_json::to_value(&report).unwrap();
        assert_eq!(
            again,
            serde_json::from_str::<serde_json::Value>(stored).unwrap()
        );
    }
}
