//! SMB hosts of storage accounts: their tokens, and the names they may ask for.

use crate::{IdentityKind, SecretText};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The most SIDs and names in one [`ResolveNames`].
pub const MAX_RESOLVED: usize = 1_000;

/// `POST /tenants/{tenant}/storage-accounts/{name}/host-tokens`: a token for one host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostTokenCreate {
    /// Whose it will be, e.g. the host's name; the actor of the host's audit events.
    pub name: String,
}

/// A token of a host, without the token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostTokenCreated {
    /// What there is to know of it.
    pub host_token: HostToken,
    /// The bearer token.
    pub token: SecretText,
}

/// `POST /tenants/{tenant}/storage-accounts/{name}/names`: who is meant by SIDs and names. At most [`MAX_RESOLVED`] of
/// both together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolvedNames {
    /// In the order of the request, SIDs first. What the directory does not know, or a name that fits several, is left
    /// out.
    pub found: Vec<ResolvedName>,
}

/// A user or group, found by one text of a [`ResolveNames`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
