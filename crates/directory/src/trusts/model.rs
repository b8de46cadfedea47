//! Trusts, and the versions of their passwords and keys.

use crossrealm_types::{Sid, TrustKeyState, TrustState};
use zeroize::Zeroizing;

/// What is needed to prepare a trust with an AD domain.
#[derive(Clone, Debug)]
pub struct PrepareTrust {
    /// The AD realm; must be the domain's DNS name, compared case-insensitively.
    pub realm: String,
    /// The flat (NetBIOS) name of the AD domain.
    pub flat_name: String,
    /// The domain SID of the AD domain.
    pub sid: Sid,
    /// The DNS suffixes that AD refers to the tenant; empty for the tenant's own.
    pub top_level_names: Vec<String>,
    /// Whether to create a new version if the newest is in use.
    pub rotate: bool,
}

/// A trust password to set in AD. It has no `Debug`, so that it is not logged.
pub struct PreparedTrust {
    /// The version of the password.
    pub version: u32,
    /// `Pending` or `Current`.
    pub state: TrustKeyState,
    /// The trust password: 40 printable ASCII characters.
    pub secret: Zeroizing<String>,
    /// The other versions that AD may still hold or encrypt with, newest first: a rotation must present one of them to
    /// AD, and a referral may be encrypted with one.
    pub held: Vec<HeldSecret>,
}

/// A trust password that AD was given before. It has no `Debug`, so that it is not logged.
pub struct HeldSecret {
    /// Its version.
    pub version: u32,
    /// `Current`, `Previous`, or `Retired` and not yet expired.
    pub state: TrustKeyState,
    /// The trust password.
    pub secret: Zeroizing<String>,
}

/// A trust without its passwords.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustInfo {
    /// The DNS name of the AD forest root domain, lower case.
    pub domain: String,
    /// Its realm, upper case.
    pub realm: String,
    /// Its flat (NetBIOS) name.
    pub flat_name: String,
    /// Its domain SID.
    pub sid: Sid,
    /// `Pending` until the first version is confirmed.
    pub state: TrustState,
    /// The DNS suffixes that AD refers to the tenant, as last confirmed or prepared.
    pub top_level_names: Vec<String>,
    /// When it was first prepared, Unix seconds.
    pub created_at: i64,
    /// When a version was last confirmed, Unix seconds.
    pub confirmed_at: Option<i64>,
    /// When a removal began that is not completed, Unix seconds.
    pub removal_begun_at: Option<i64>,
    /// The versions of the key, newest first.
    pub keys: Vec<TrustKeyInfo>,
}

/// A version of a trust key, without the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustKeyInfo {
    /// The version, from 1.
    pub version: u32,
    /// Its state.
    pub state: TrustKeyState,
    /// When it was created, Unix seconds.
    pub created_at: i64,
    /// When AD was first known to hold it, Unix seconds.
    pub confirmed_at: Option<i64>,
    /// The last second in which it decrypts a ticket, if it is retired.
    pub retires_at: Option<i64>,
    /// When a referral last arrived that it decrypted, Unix seconds.
    pub last_seen_at: Option<i64>,
}
