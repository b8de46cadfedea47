//! Records that the directory keeps and the API shows as they are, and what creates them. Their JSON is that of the API.

use crate::{AdStepPhase, KeySlot, ShareRole, Sid, Timestamp, TrustKeyState, TrustState};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What is needed to make the trust in AD.
///
/// Idempotent: a pending version is handed out again, else the current one. A version is generated only where there is
/// none, or where a rotation is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PrepareTrust {
    /// The realm of the AD domain, upper case.
    pub realm: String,
    /// Its flat (NetBIOS) name.
    pub flat_name: String,
    /// Its domain SID, `S-1-5-21-a-b-c`.
    pub sid: Sid,
    /// The top-level names that AD shall refer to the tenant.
    pub top_level_names: Vec<String>,
    /// Whether to generate a new version where the newest is in AD already: a rotation.
    #[serde(default)]
    pub rotate: bool,
}

/// The record of one trust. Holds no secret. Its times are Unix seconds, as sync agents of earlier versions read them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Trust {
    /// The DNS name of the AD domain, lower case.
    pub domain: String,
    /// Its realm, upper case.
    pub realm: String,
    /// Its flat (NetBIOS) name.
    pub flat_name: String,
    /// Its domain SID.
    pub sid: Sid,
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

/// One version of a trust key. Holds no secret. Its times are Unix seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TrustKey {
    /// The tenant's count of versions, from 1.
    pub version: u32,
    /// Where it is in its life.
    pub state: TrustKeyState,
    /// When the secret was generated.
    pub created_at: i64,
    /// When it was reported to be in AD.
    pub confirmed_at: Option<i64>,
    /// The last second in which it decrypts tickets, once a newer one is confirmed.
    pub retires_at: Option<i64>,
    /// When a ticket encrypted with it last arrived.
    pub last_seen_at: Option<i64>,
}

/// Whether the trust key is due for a rotation by age, and what AD is
/// to be given if so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RotateTrust {
    /// The age at which a key is replaced, in seconds: one day to ten years.
    pub every_s: i64,
    /// The agent: a name of at most 128 characters that no other one bears.
    pub holder: String,
}

/// The longest description of a change in AD, in characters.
pub const MAX_AD_STEP: usize = 300;

/// The longest reason of a failed change in AD, in characters.
pub const MAX_AD_REASON: usize = 256;

/// A change in AD, for the audit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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

/// `GET` and `PUT /tenants/{tenant}/kerberos-servers/{domain}`: the record of the Kerberos server object of a domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
    pub key_updated_at: Timestamp,
    /// When this was recorded.
    pub recorded_at: Timestamp,
    /// When a removal was begun that has not ended.
    #[serde(default)]
    pub removal_begun_at: Option<Timestamp>,
    /// The account; `None` where a version before 0.3 recorded it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AdObject>,
    /// The computer; `None` where a version before 0.3 recorded it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub computer: Option<AdObject>,
}

/// Which object of AD: its name may change, or pass to another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AdObject {
    /// `objectGUID`.
    pub guid: Uuid,
    /// `objectSid`.
    pub sid: Sid,
}

/// A connector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Connector {
    /// The DNS name of its AD domain.
    pub domain: String,
    /// Whether it may also rotate the trust of that domain.
    #[serde(default)]
    pub rotate_trust: bool,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When a sync of the domain last ended well.
    #[serde(default)]
    pub last_success_at: Option<Timestamp>,
}

/// A new account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct StorageAccountCreate {
    /// Its name: 3 to 24 lower-case letters and digits.
    pub name: String,
    /// Further host names it answers to.
    #[serde(default)]
    pub aliases: Vec<String>,
}

/// A storage account. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StorageAccount {
    /// Its name.
    pub name: String,
    /// Its host name, `<name>.file.<tenant domain>`.
    pub host: String,
    /// Further host names it answers to.
    pub aliases: Vec<String>,
    /// What users may do without a grant; absent where nothing.
    #[serde(default, rename = "default_permission")]
    pub default_role: Option<ShareRole>,
    /// Its keys, the one that encrypts new tickets first.
    pub keys: Vec<KerberosKey>,
    /// When it was created.
    pub created_at: Timestamp,
}

/// A Kerberos key without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KerberosKey {
    /// Which of the two.
    #[serde(rename = "name")]
    pub slot: KeySlot,
    /// Its key version number (RFC 4120 §5.2.9).
    pub kvno: u32,
    /// Whether new tickets are encrypted with it.
    #[serde(rename = "seals")]
    pub encrypts: bool,
    /// When it was generated.
    pub created_at: Timestamp,
    /// Where it was replaced: the last second in which a ticket encrypted with it is valid.
    #[serde(default)]
    pub retires_at: Option<Timestamp>,
}

/// A service principal. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServicePrincipal {
    /// Its name, `class/host`, as it was given; compared without case.
    pub spn: String,
    /// Its keys, the one that encrypts new tickets first.
    pub keys: Vec<KerberosKey>,
    /// When it was created.
    pub created_at: Timestamp,
}

/// A user's role on a share that was higher when a ticket was issued that may still be valid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReducedRole {
    /// The user's SID.
    pub sid: Sid,
    /// The highest role that a valid ticket may imply.
    pub had: ShareRole,
    /// The current role; absent where there is none.
    #[serde(default)]
    pub has: Option<ShareRole>,
}

/// A token of a host, without the token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HostToken {
    /// Its id.
    pub id: Uuid,
    /// Its owner.
    pub name: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was revoked.
    #[serde(default)]
    pub revoked_at: Option<Timestamp>,
}
