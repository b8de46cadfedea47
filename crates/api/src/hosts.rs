//! SMB hosts of storage accounts: their tokens, and the names they may ask for.

use crate::SecretText;
use crossrealm_types::{HostReport, HostToken, IdentityKind, Sid, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most SIDs and names in one [`ResolveNames`].
pub const MAX_RESOLVED: usize = 1_000;

/// A token for one host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HostTokenCreate {
    /// Its owner, e.g. the name of the host; the actor of the host's audit events.
    pub name: String,
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
    /// SIDs, in text. One that is malformed is not found.
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
    pub sid: Sid,
    /// User or group.
    pub kind: IdentityKind,
    /// Its name with the flat name of its domain: `CORP\\alice`.
    pub name: String,
    /// Its UPN; empty for a group.
    pub upn: String,
    /// Whether it was deleted; found by its SID alone.
    pub deleted: bool,
}

/// An SMB host of a storage account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// When it reported last.
    pub reported_at: Timestamp,
    /// Whether its last report is older than that of any host that runs.
    pub silent: bool,
    /// Whether the state in effect is the newest one; absent before the first one.
    #[serde(default)]
    pub up_to_date: Option<bool>,
    /// Its last report.
    #[serde(flatten)]
    pub report: HostReport,
}
