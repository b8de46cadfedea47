//! SMB hosts of storage accounts: their tokens, and the names they may ask for.

use crate::SecretText;
use crossrealm_types::IdentityKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The most SIDs and names in one [`ResolveNames`].
pub const MAX_RESOLVED: usize = 1_000;

/// `POST /tenants/{tenant}/storage-accounts/{name}/host-tokens`: a token for one host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HostTokenCreate {
    /// Whose it will be, e.g. the host's name; the actor of the host's audit events.
    pub name: String,
}

/// A token of a host, without the token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HostToken {
    /// Its id.
    pub id: Uuid,
    /// Whose it is.
    pub name: String,
    /// When it was made.
    pub created_at: i64,
    /// When it was revoked.
    #[serde(default)]
    pub revoked_at: Option<i64>,
}

/// The answer to [`HostTokenCreate`]. The token is shown once and stored as a hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HostTokenCreated {
    /// What there is to know of it.
    pub host_token: HostToken,
    /// The bearer token.
    pub token: SecretText,
}

/// `POST /tenants/{tenant}/storage-accounts/{name}/names`: who is meant by SIDs and names. At most [`MAX_RESOLVED`] of
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

/// `PUT /tenants/{tenant}/storage-accounts/{name}/hosts/{host}`: what a host says of itself. `{host}` is its name: 1 to 63
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
    /// What keeps it from serving, or from putting the newest state into effect.
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
    /// What became of the quotas, at most [`MAX_REPORTED_QUOTAS`], the fullest first.
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
    /// What holds the users to it.
    pub how: QuotaHow,
    /// Why it is not enforced, or why the numbers are not to be relied on; absent where nothing is amiss.
    #[serde(default)]
    pub reason: Option<String>,
    /// What to do about that, where it is known.
    #[serde(default)]
    pub hint: Option<String>,
    /// Since when it has been full, as far as this host saw; absent where it is not.
    #[serde(default)]
    pub full_since: Option<i64>,
}

/// What holds users to a quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum QuotaHow {
    /// The file system refuses what goes beyond it.
    Enforced,
    /// Clients are shown it as the size of the share, and nothing stops one that does not look.
    ShownOnly,
    /// The host does not know how much the share holds, so that clients are shown its size alone.
    Unknown,
    /// What a newer host says and this program does not know.
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

/// `GET /tenants/{tenant}/storage-accounts/{name}/hosts`: the hosts of an account, one item for each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// When it reported last.
    pub reported_at: i64,
    /// Whether it has been silent for longer than a host that lives ever is.
    pub silent: bool,
    /// Whether the state in effect is the newest one; absent before the first one.
    #[serde(default)]
    pub up_to_date: Option<bool>,
    /// What it said.
    #[serde(flatten)]
    pub report: HostReport,
}
