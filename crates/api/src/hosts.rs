//! SMB hosts of storage accounts: their tokens, and the names they may ask for.

use crate::SecretText;
use crossrealm_types::IdentityKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The most SIDs and names in one [`ResolveNames`].
pub const MAX_RESOLVED: usize = 1_000;

/// A token for one host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HostTokenCreate {
    /// Its owner, e.g. the name of the host; the actor of the host's audit events.
    pub name: String,
}

/// A token of a host, without the token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HostToken {
    /// Its id.
    pub id: Uuid,
    /// Its owner.
    pub name: String,
    /// When it was created.
    pub created_at: i64,
    /// When it was revoked.
    #[serde(default)]
    pub revoked_at: Option<i64>,
}

/// The answer to [`HostTokenCreate`]. The token is returned once and stored as a hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HostTokenCreated {
    /// Its record.
    pub host_token: HostToken,
    /// The bearer token.
    pub token: SecretText,
}

/// SIDs and names to resolve. At most [`MAX_RESOLVED`] of
/// both together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResolveNames {
    /// SIDs, in text.
    #[serde(default)]
    pub sids: Vec<String>,
    /// UPNs, `FLAT\\name`s, or account names of users and groups.
    #[serde(default)]
    pub names: Vec<String>,
}

/// The answer to [`ResolveNames`]: one entry for each text that names exactly one user or group of the tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ResolvedNames {
    /// In the order of the request, SIDs first. What the directory does not know, or a name that fits several, is left
    /// out.
    pub found: Vec<ResolvedName>,
}

/// A user or group, found by one text of a [`ResolveNames`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ResolvedName {
    /// The text it was found by, as it was sent.
    pub asked: String,
    /// Its SID.
    pub sid: String,
    /// User or group.
    pub kind: IdentityKind,
    /// Its name with the flat name of its domain: `CORP\\alice`.
    pub name: String,
    /// Its UPN; empty for a group.
    pub upn: String,
    /// Whether it was deleted; found by its SID alone.
    pub deleted: bool,
}

/// The most sessions in one [`HostReport`].
pub const MAX_REPORTED_SESSIONS: usize = 500;

/// The report of an SMB host. `{host}` is its name: 1 to 63
/// letters, digits, dots, hyphens and underscores.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HostReport {
    /// The version of its program.
    pub program: String,
    /// Where it listens.
    pub listen: String,
    /// Whether users can connect.
    pub serving: bool,
    /// The version of the account's state that is in effect; absent before the first one.
    #[serde(default)]
    pub state_version: Option<String>,
    /// What prevents it from serving, or from applying the newest state.
    #[serde(default)]
    pub problem: Option<String>,
    /// How many users keep a role until their tickets end that they should not have any more, since no more can be refused.
    #[serde(default)]
    pub not_refused: u64,
    /// How often smbd was started again since the host began.
    pub smbd_restarts: u32,
    /// How often winbindd was.
    pub winbindd_restarts: u32,
    /// The versions of the keys in its keytab.
    #[serde(default)]
    pub kvnos: Vec<u32>,
    /// How many sessions there are.
    pub session_count: u32,
    /// The sessions, at most [`MAX_REPORTED_SESSIONS`].
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
    /// The quotas, at most [`MAX_REPORTED_QUOTAS`], the fullest first.
    #[serde(default)]
    pub quotas: Vec<HostQuota>,
}

/// What a host does about the quota of a share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HostQuota {
    /// The share.
    pub share: String,
    /// How much it may hold, in bytes.
    pub limit_bytes: u64,
    /// How much it held when that was seen last; absent before the first time.
    #[serde(default)]
    pub used_bytes: Option<u64>,
    /// How it is enforced.
    pub how: QuotaHow,
    /// Why it is not enforced, or why the numbers are not to be relied on; absent where nothing is amiss.
    #[serde(default)]
    pub reason: Option<String>,
    /// What to do about that, where it is known.
    #[serde(default)]
    pub hint: Option<String>,
    /// Since when it has been full, as observed by this host; absent where it is not.
    #[serde(default)]
    pub full_since: Option<i64>,
}

/// How a quota is enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum QuotaHow {
    /// The file system refuses writes beyond it.
    Enforced,
    /// Clients see it as the size of the share; writes beyond it are not refused.
    ShownOnly,
    /// The host does not know how much the share holds; clients see only its size.
    Unknown,
    /// A value of a newer host.
    #[serde(other)]
    Other,
}

/// The most quotas in one [`HostReport`].
pub const MAX_REPORTED_QUOTAS: usize = 500;

/// An SMB session of a user on a host.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub struct HostSession {
    /// The user, as the host knows it from the ticket: `CORP\\alice`.
    pub user: String,
    /// The address of the client.
    pub client: String,
    /// The shares it has open.
    #[serde(default)]
    pub shares: Vec<String>,
    /// The dialect: `SMB3_11`.
    pub dialect: String,
    /// The cipher that encrypts it: `AES-128-GCM`.
    pub encryption: String,
}

/// An SMB host of a storage account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// When it reported last.
    pub reported_at: i64,
    /// Whether its last report is older than that of any host that runs.
    pub silent: bool,
    /// Whether the state in effect is the newest one; absent before the first one.
    #[serde(default)]
    pub up_to_date: Option<bool>,
    /// Its last report.
    #[serde(flatten)]
    pub report: HostReport,
}
