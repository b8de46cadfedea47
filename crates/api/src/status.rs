//! The state of a tenant on one page: what an administrator looks at first.

use crossrealm_types::{Timestamp, TrustState};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most storage accounts in one [`TenantStatus`].
pub const MAX_STATUS_ACCOUNTS: usize = 100;

/// The state of a tenant and of the service that serves it. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TenantStatus {
    /// When this was read.
    pub at: Timestamp,
    /// The name of the tenant.
    pub tenant: String,
    /// Its realm.
    pub realm: String,
    /// The service.
    pub service: ServiceStatus,
    /// The trusts with AD domains, by domain.
    pub trusts: Vec<TrustStatus>,
    /// The sync of each registered AD domain, by domain.
    pub domains: Vec<DomainStatus>,
    /// The storage accounts with their SMB hosts, by name; at most [`MAX_STATUS_ACCOUNTS`].
    pub storage_accounts: Vec<AccountStatus>,
    /// Whether there are more storage accounts than are listed.
    #[serde(default)]
    pub more_storage_accounts: bool,
    /// What needs a person, failures first; empty where nothing does.
    pub attention: Vec<Attention>,
}

/// The service, as the node that answered sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceStatus {
    /// Its version.
    pub version: String,
    /// When its certificate ends; absent where that cannot be read.
    #[serde(default)]
    pub certificate_ends_at: Option<Timestamp>,
    /// Whether its certificate is from a private authority, which the service renews by itself where it has the authority's
    /// key.
    pub private_authority: bool,
}

/// The trust with an AD domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrustStatus {
    /// The DNS name of the AD domain.
    pub domain: String,
    /// Whether AD holds the trust, as far as the tenant knows.
    pub state: TrustState,
    /// The version of the current key; absent before the first one is confirmed.
    #[serde(default)]
    pub key_version: Option<u32>,
    /// When the current key was confirmed to be in AD.
    #[serde(default)]
    pub key_confirmed_at: Option<Timestamp>,
    /// When a newer key was generated that is not confirmed yet.
    #[serde(default)]
    pub pending_since: Option<Timestamp>,
    /// When a ticket last arrived through the trust.
    #[serde(default)]
    pub ticket_arrived_at: Option<Timestamp>,
    /// When a removal was begun that has not ended.
    #[serde(default)]
    pub removal_begun_at: Option<Timestamp>,
}

/// The sync of an AD domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DomainStatus {
    /// The DNS name of the AD domain.
    pub domain: String,
    /// When a sync last ended well.
    #[serde(default)]
    pub synced_at: Option<Timestamp>,
    /// Users that are not deleted.
    pub users: u64,
    /// Groups that are not deleted.
    pub groups: u64,
    /// Objects that were refused or could not be read in the last run.
    pub failed: u64,
    /// Those of them who may have more rights in the tenant than in AD.
    pub exceeding: u64,
    /// Whether users of the domain get no tickets until a full sync.
    pub awaits_full_sync: bool,
    /// The agent that works on it now.
    #[serde(default)]
    pub agent: Option<String>,
    /// Why the last agent gave up; absent where a run has succeeded since.
    #[serde(default)]
    pub problem: Option<String>,
}

/// A storage account with its SMB hosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AccountStatus {
    /// Its name.
    pub name: String,
    /// Its host name.
    pub host: String,
    /// How many shares it has.
    pub shares: u64,
    /// Its SMB hosts, by name.
    pub hosts: Vec<HostStatus>,
}

/// An SMB host of a storage account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HostStatus {
    /// Its name.
    pub name: String,
    /// Where it listens.
    pub listen: String,
    /// Whether users can connect, as it reported.
    pub serving: bool,
    /// Whether its last report is older than that of any host that runs.
    pub silent: bool,
    /// Whether the state in effect is the newest one; absent before the first one.
    #[serde(default)]
    pub up_to_date: Option<bool>,
    /// When it reported last.
    pub reported_at: Timestamp,
    /// How many sessions there are.
    pub sessions: u32,
    /// The size of the file system of the data, in bytes.
    #[serde(default)]
    pub disk_bytes: Option<u64>,
    /// How much of it is free, in bytes.
    #[serde(default)]
    pub disk_free_bytes: Option<u64>,
    /// What prevents it from serving, or from applying the newest state.
    #[serde(default)]
    pub problem: Option<String>,
}

/// Something that a person should look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Attention {
    /// How bad it is.
    pub severity: Severity,
    /// What it is, for programs.
    pub code: AttentionCode,
    /// The AD domain, storage account or host that it is about; empty for the service.
    pub object: String,
    /// What it is, for people.
    pub message: String,
}

/// How bad it is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Users are refused, or may do more than they should.
    Failure,
    /// It will be a failure if nobody does anything.
    Warning,
}

/// What needs a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttentionCode {
    /// The tenant has no trust with any AD domain.
    TrustMissing,
    /// The trust is half set up.
    TrustPending,
    /// A rotation of the trust key did not end.
    TrustRotationPending,
    /// A removal of the trust did not end.
    TrustRemovalPending,
    /// The domain was never synchronized.
    SyncMissing,
    /// No sync of the domain has ended well for a day.
    SyncStale,
    /// The last sync agent gave up.
    SyncFailing,
    /// Users of the domain get no tickets until a full sync.
    SyncAwaited,
    /// Users may have more rights in the tenant than in AD.
    SyncExceeding,
    /// Objects were refused or could not be read.
    SyncIncomplete,
    /// No SMB host serves a storage account that has shares.
    HostMissing,
    /// An SMB host has not reported for longer than any host that runs.
    HostSilent,
    /// An SMB host reports that users cannot connect.
    HostNotServing,
    /// An SMB host serves by an older state.
    HostOutdated,
    /// An SMB host reports a problem.
    HostProblem,
    /// The file system of an SMB host is nearly full.
    HostDiskFull,
    /// The service's certificate ends soon, or has ended.
    CertificateEnds,
    /// A kind of a newer server.
    #[serde(other)]
    Other,
}

impl AttentionCode {
    /// Every code but [`AttentionCode::Other`].
    pub const ALL: &[Self] = &[
        Self::TrustMissing,
        Self::TrustPending,
        Self::TrustRotationPending,
        Self::TrustRemovalPending,
        Self::SyncMissing,
        Self::SyncStale,
        Self::SyncFailing,
        Self::SyncAwaited,
        Self::SyncExceeding,
        Self::SyncIncomplete,
        Self::HostMissing,
        Self::HostSilent,
        Self::HostNotServing,
        Self::HostOutdated,
        Self::HostProblem,
        Self::HostDiskFull,
        Self::CertificateEnds,
    ];
}
