//! Trusts with AD forests and the versions of their secrets.
//!
//! A version is made *pending* before AD learns it, becomes *current* once AD is known to hold it, *previous* when a
//! newer one is confirmed, and *retired* with the one after that. Pending, current and previous versions open
//! referrals, a retired one only until [`RETIRED_LIFE_S`] later, so that no ticket fails at any moment of a rotation.

use crate::{Actor, Directory, Result};
use crossrealm_kdc::TenantId;
use crossrealm_krb::sid::Sid;
use zeroize::Zeroizing;

/// How long a retired version still opens tickets, in seconds: AD may seal with it up to the moment it is pushed out,
/// and a ticket lives ten hours by AD's default; a day leaves room for longer policies.
pub const RETIRED_LIFE_S: i64 = 24 * 3600;

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

impl Directory {
    /// The secret to put into AD. Makes the trust (and registers its domain) with a pending version where there is
    /// none; hands out the pending version again where there is one; else the current one, or with `rotate` a new
    /// pending one. A run of the trust tool that was killed can therefore be repeated at any point.
    ///
    /// Refused with `trust_sid_mismatch` where the domain is registered with another SID.
    pub async fn prepare_trust(
        &self,
        by: &Actor,
        tenant: TenantId,
        domain: &str,
        wanted: &PrepareTrust,
    ) -> Result<PreparedTrust> {
        todo!()
    }

    /// Notes that AD holds this version: pending becomes current, current previous, previous retired. Confirming the
    /// current version again only stores the names. Empty `top_level_names` leave them as they are.
    ///
    /// Refused with `trust_version_unknown` for a version that is neither pending nor current.
    pub async fn confirm_trust(
        &self,
        by: &Actor,
        tenant: TenantId,
        domain: &str,
        version: u32,
        top_level_names: &[String],
    ) -> Result<TrustInfo> {
        todo!()
    }

    /// The trust with this AD domain.
    pub async fn trust(&self, tenant: TenantId, domain: &str) -> Result<TrustInfo> {
        todo!()
    }

    /// The trusts, by domain.
    pub async fn trusts(&self, tenant: TenantId) -> Result<Vec<TrustInfo>> {
        todo!()
    }

    /// Removes the trust and its secrets. The domain stays registered, and its identities stay.
    pub async fn delete_trust(&self, by: &Actor, tenant: TenantId, domain: &str) -> Result<()> {
        todo!()
    }
}
