//! Trusts, and the versions of their passwords and keys.

use crossrealm_types::TrustKeyState;
use zeroize::Zeroizing;

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
