//! The trust between a tenant and an AD domain, as the tenant records it.

use crate::SecretText;
use crossrealm_types::{AdStepPhase, TrustKeyState, TrustState};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The record of one trust. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Trust {
    /// The DNS name of the AD domain, lower case.
    pub domain: String,
    /// Its realm, upper case.
    pub realm: String,
    /// Its flat (NetBIOS) name.
    pub flat_name: String,
    /// Its domain SID.
    pub sid: String,
    /// Whether AD holds the trust, as far as the tenant knows.
    pub state: TrustState,
    /// The top-level names as last confirmed, or as given to `prepare`.
    pub top_level_names: Vec<String>,
    /// When it was first prepared.
    pub created_at: i64,
    /// When it was first confirmed.
    pub confirmed_at: Option<i64>,
    /// When a removal was begun that has not ended.
    #[serde(default)]
    pub removal_begun_at: Option<i64>,
    /// The versions of the trust key, newest first.
    pub keys: Vec<TrustKey>,
}

/// One version of a trust key. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrustKey {
    /// The tenant's count of versions, from 1.
    pub version: u32,
    /// Where it is in its life.
    pub state: TrustKeyState,
    /// When the secret was generated.
    pub created_at: i64,
    /// When it was reported to be in AD.
    pub confirmed_at: Option<i64>,
    /// When it stops opening tickets, once retired.
    pub retires_at: Option<i64>,
    /// When a ticket encrypted with it last arrived.
    pub last_seen_at: Option<i64>,
}

/// What is needed to make the trust in AD.
///
/// Idempotent: a pending version is handed out again, else the current one. A version is generated only where there is
/// none, or where a rotation is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PrepareTrust {
    /// The realm of the AD domain, upper case.
    pub realm: String,
    /// Its flat (NetBIOS) name.
    pub flat_name: String,
    /// Its domain SID, `S-1-5-21-a-b-c`.
    pub sid: String,
    /// The top-level names that AD shall refer to the tenant.
    pub top_level_names: Vec<String>,
    /// Whether to generate a new version where the newest is in AD already: a rotation.
    #[serde(default)]
    pub rotate: bool,
}

/// The answer to [`PrepareTrust`].
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

/// `GET` and `PUT /tenants/{tenant}/kerberos-servers/{domain}`: the record of the Kerberos server object of a domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KerberosServer {
    /// The DNS name of the AD domain, lower case.
    pub domain: String,
    /// The number AD gave the account (`msDS-SecondaryKrbTgtNumber`).
    pub id: u32,
    /// The account's name in AD: `krbtgt_` and the number.
    pub display_name: String,
    /// The version of its key (`msDS-KeyVersionNumber`).
    pub key_version: u32,
    /// When the key was generated.
    pub key_updated_at: i64,
    /// When this was recorded.
    pub recorded_at: i64,
    /// When a removal was begun that has not ended.
    #[serde(default)]
    pub removal_begun_at: Option<i64>,
}

/// What AD holds. Registers the domain where it is not yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordKerberosServer {
    /// The domain's flat (NetBIOS) name.
    pub flat_name: String,
    /// Its domain SID, `S-1-5-21-a-b-c`.
    pub sid: String,
    /// The DNS name of the root of its forest.
    pub forest: String,
    /// See [`KerberosServer::id`].
    pub id: u32,
    /// See [`KerberosServer::display_name`].
    pub display_name: String,
    /// See [`KerberosServer::key_version`].
    pub key_version: u32,
    /// See [`KerberosServer::key_updated_at`].
    pub key_updated_at: i64,
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

/// Whether the trust key is due for a rotation by age, and what AD is
/// to be given if so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateTrust {
    /// The age at which a key is replaced, in seconds: one day to ten years.
    pub every_s: i64,
    /// The agent: a name of at most 128 characters that no other one bears.
    pub holder: String,
}

/// The answer to [`RotateTrust`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrustRotation {
    /// When the rotation is or was due.
    pub due_at: i64,
    /// What AD is to be given; absent where nothing is to be done. The rotation ends with
    /// [`ConfirmTrustRotation`].
    #[serde(default)]
    pub prepared: Option<PreparedTrust>,
    /// Which other agent is at it.
    #[serde(default)]
    pub held_by: Option<String>,
    /// Until when the other agent has the rotation to itself.
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

/// A change in AD, for the audit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdStep {
    /// How far it has come.
    pub phase: AdStepPhase,
    /// The AD account that makes the change, at most 256 characters.
    pub principal: String,
    /// The domain controller that is changed, at most 256 characters.
    pub controller: String,
    /// What is changed, at most [`MAX_AD_STEP`] characters.
    pub step: String,
    /// Why it failed, at most 256 characters; empty where it did not.
    #[serde(default)]
    pub reason: String,
}

/// The longest description of a change in AD, in characters.
pub const MAX_AD_STEP: usize = 300;
/// The longest reason of a failed change in AD, in characters.
pub const MAX_AD_REASON: usize = 256;
