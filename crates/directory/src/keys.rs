//! The Kerberos keys of services: storage accounts and service principals.
//!
//! A service has two slots, kerb1 and kerb2. One seals new tickets. Rotating a slot makes the *other* one seal (every
//! host holds it already) and keeps the replaced key until the last ticket it sealed has ended, so no ticket fails.

use crossrealm_kdc::ServiceKey;

/// One of the two keys of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeySlot {
    /// `kerb1`.
    Kerb1,
    /// `kerb2`.
    Kerb2,
}

/// A service key without the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInfo {
    /// Its slot.
    pub slot: KeySlot,
    /// Its version number.
    pub kvno: u32,
    /// Whether it seals new tickets.
    pub sealing: bool,
    /// When it was made, Unix seconds.
    pub created_at: i64,
    /// The last second in which a ticket sealed with it may live, where it was replaced.
    pub retires_at: Option<i64>,
}

/// What a keytab of a service is made of. Keys print as redacted.
#[derive(Clone, Debug)]
pub struct KeytabMaterial {
    /// The tenant's realm.
    pub realm: String,
    /// The principals without realm: `cifs/acct1.file.contoso.cloud.example`, `host/…`, aliases included.
    pub principals: Vec<String>,
    /// The keys, the sealing one first; replaced ones that may still be needed included.
    pub keys: Vec<ServiceKey>,
}

impl KeySlot {
    /// `kerb1` or `kerb2`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kerb1 => "kerb1",
            Self::Kerb2 => "kerb2",
        }
    }
}
