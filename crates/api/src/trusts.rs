//! The trust between a tenant and an AD domain, as the tenant records it.

use crate::SecretText;
use crossrealm_types::{AdObject, Sid, Timestamp, TrustKeyState};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The answer to `PrepareTrust`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PreparedTrust {
    /// The version of the secret.
    pub version: u32,
    /// [`TrustKeyState::Pending`] or [`TrustKeyState::Current`].
    pub state: TrustKeyState,
    /// The trust password: printable ASCII.
    pub secret: SecretText,
    /// The other versions that AD may still hold or encrypt with, newest first.
    #[serde(default)]
    pub held: Vec<HeldSecret>,
}

/// An earlier version of the trust password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HeldSecret {
    /// The version.
    pub version: u32,
    /// Where it is in its life; never pending.
    pub state: TrustKeyState,
    /// The trust password.
    pub secret: SecretText,
}

/// What AD holds. Registers the domain where it is not yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordKerberosServer {
    /// The domain's flat (NetBIOS) name.
    pub flat_name: String,
    /// Its domain SID, `S-1-5-21-a-b-c`.
    pub sid: Sid,
    /// The DNS name of the root of its forest.
    pub forest: String,
    /// See `KerberosServer::id`.
    pub id: u32,
    /// See `KerberosServer::display_name`.
    pub display_name: String,
    /// See `KerberosServer::key_version`.
    pub key_version: u32,
    /// See `KerberosServer::key_updated_at`.
    pub key_updated_at: Timestamp,
    /// The account.
    #[serde(default)]
    pub account: Option<AdObject>,
    /// The computer.
    #[serde(default)]
    pub computer: Option<AdObject>,
}

/// AD now holds this version. Idempotent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmTrust {
    /// The version that was prepared.
    pub version: u32,
    /// The top-level names that AD now holds.
    pub top_level_names: Vec<String>,
}

/// Versions of the trust key that may be known to somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetireTrustKeys {
    /// The oldest version that stays: the current one or the previous one.
    pub before: u32,
}

/// The answer to `RotateTrust`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrustRotation {
    /// When the rotation is or was due, Unix seconds.
    pub due_at: i64,
    /// What AD is to be given; absent where nothing is to be done. The rotation ends with
    /// [`ConfirmTrustRotation`].
    #[serde(default)]
    pub prepared: Option<PreparedTrust>,
    /// Which other agent is at it.
    #[serde(default)]
    pub held_by: Option<String>,
    /// Until when the other agent has the rotation to itself, Unix seconds.
    #[serde(default)]
    pub held_until: Option<i64>,
    /// The tenant's realm: the name of the trust in AD.
    pub realm: String,
    /// The tenant's flat name: the trust's account in AD is this and a `$`.
    pub flat_name: String,
    /// The flat (NetBIOS) name of the AD domain.
    pub domain_flat_name: String,
}

/// AD now holds this version. Idempotent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmTrustRotation {
    /// The version that was prepared.
    pub version: u32,
}
