//! Trusts and the versions of their keys.

use crossrealm_types::Sid;
use zeroize::Zeroizing;

/// What a trust with an AD domain is prepared with.
#[derive(Clone, Debug)]
pub struct PrepareTrust {
    /// The AD realm; must be the domain's DNS name without regard to case.
    pub realm: String,
    /// The flat (NetBIOS) name of the AD domain.
    pub flat_name: String,
    /// The domain SID of the AD domain.
    pub sid: Sid,
    /// The names AD is to refer to the tenant; empty takes the tenant's own.
    pub top_level_names: Vec<String>,
    /// Whether to make a new version when the newest is in use already.
    pub rotate: bool,
}

/// A secret for AD. Not `Debug`, on purpose.
pub struct PreparedTrust {
    /// The version of the secret.
    pub version: u32,
    /// `Pending` or `Current`.
    pub state: TrustKeyState,
    /// The trust password: 40 printable ASCII characters.
    pub secret: Zeroizing<String>,
    /// The other versions that AD may still hold or seal with, newest first: for a rotation AD must be shown one of
    /// them, and a referral may be sealed with one.
    pub held: Vec<HeldSecret>,
}

/// A secret that AD was given before. Not `Debug`, on purpose.
pub struct HeldSecret {
    /// Its version.
    pub version: u32,
    /// `Current`, `Previous`, or `Retired` and not yet over.
    pub state: TrustKeyState,
    /// The trust password.
    pub secret: Zeroizing<String>,
}

/// A trust without its secrets.
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
    /// The names AD refers to the tenant, as last confirmed or prepared.
    pub top_level_names: Vec<String>,
    /// When it was first prepared, Unix seconds.
    pub created_at: i64,
    /// When a version was last confirmed, Unix seconds.
    pub confirmed_at: Option<i64>,
    /// When a removal was begun that has not ended, Unix seconds.
    pub removal_begun_at: Option<i64>,
    /// The versions of the secret, newest first.
    pub keys: Vec<TrustKeyInfo>,
}

/// Whether AD is known to hold the trust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustState {
    /// Prepared, never confirmed.
    Pending,
    /// Confirmed at least once.
    Active,
}

/// A version of a trust's secret, without the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustKeyInfo {
    /// The version, from 1.
    pub version: u32,
    /// Where it is in its life.
    pub state: TrustKeyState,
    /// When it was made, Unix seconds.
    pub created_at: i64,
    /// When AD was first known to hold it, Unix seconds.
    pub confirmed_at: Option<i64>,
    /// The last second in which it opens a ticket, where it is retired.
    pub retires_at: Option<i64>,
    /// When a referral last arrived that it opened, Unix seconds.
    pub last_seen_at: Option<i64>,
}

/// The life of a version of a trust's secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustKeyState {
    /// Made; AD may or may not hold it yet.
    Pending,
    /// In AD, as far as is known.
    Current,
    /// Replaced in AD, but AD may still seal with it.
    Previous,
    /// Out of use; opens old tickets until its end.
    Retired,
}

impl TrustKeyState {
    /// `pending`, `current`, `previous` or `retired`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Current => "current",
            Self::Previous => "previous",
            Self::Retired => "retired",
        }
    }

    pub(crate) fn from_word(text: &str) -> Option<Self> {
        [Self::Pending, Self::Current, Self::Previous, Self::Retired]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}
