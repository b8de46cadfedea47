//! The trusted domain object of a tenant: from what AD holds to what it should hold.
//!
//! [`observe`] reads, [`mod@plan`] is a pure decision, [`mod@apply`] carries it out, and [`decrypts`] verifies it: the proof
//! is a fresh referral of the domain controller that the trust key decrypts. A run works with one domain controller. If it is
//! killed, the next run completes it. [`trust_difference`] compares what AD holds with what the tenant recorded.
//!
//! The trusts of other realms are read, for collisions, and never changed. The trust password comes from the caller, and is
//! neither stored nor shown.

mod apply;
mod judgement;
mod mapping;
mod names;
mod plan;
mod verify;

use crate::lsa::{ATTRIBUTE_FOREST_TRANSITIVE, DIRECTION_INBOUND, DomainInfo, TYPE_UPLEVEL};
use crossrealm_types::Sid;

pub use apply::{ApplyError, apply, observe};
pub use judgement::{TrustDifference, key_difference, record_difference, trust_difference};
pub use mapping::{AdNames, MappingRefusal};
pub use names::{NameError, is_at_or_below, overlap, top_level_names};
pub use plan::{TrustRefusal, findings, plan, plan_removal};
pub use verify::{TrustRealms, VerifyError, decrypts};

/// The view of one domain controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// The domain.
    pub domain: DomainInfo,
    /// Whether the domain controller is the PDC emulator.
    pub is_primary: bool,
    /// The trust whose name is the tenant's realm.
    pub own: Option<Tdo>,
    /// Every other trust.
    pub others: Vec<Tdo>,
    /// Whether AD has the trust key of the tenant.
    pub key: KeyMatch,
}

/// A trusted domain object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tdo {
    /// The partner's DNS name or realm.
    pub name: String,
    /// The partner's flat name.
    pub flat_name: String,
    /// The partner's domain SID.
    pub sid: Option<Sid>,
    /// Direction bits, [MS-LSAD] 2.2.7.9.
    pub direction: u32,
    /// Type, [MS-LSAD] 2.2.7.9.
    pub kind: u32,
    /// Attribute bits, [MS-LSAD] 2.2.7.9.
    pub attributes: u32,
    /// `msDS-SupportedEncryptionTypes`; read for the tenant's own trust only.
    pub enctypes: Option<u32>,
    /// The enabled top-level names, in AD's order.
    pub top_level_names: Vec<String>,
    /// Whether the forest trust information holds nothing but these names.
    pub only_names: bool,
}

impl Tdo {
    /// Whether direction, type and attributes are those of a cloud trust, of any tenant.
    pub fn is_cloud_trust(&self) -> bool {
        (self.direction, self.kind, self.attributes)
            == (DIRECTION_INBOUND, TYPE_UPLEVEL, ATTRIBUTE_FOREST_TRANSITIVE)
    }
}

/// Whether AD has the trust key of the tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyMatch {
    /// A fresh referral decrypts.
    Decrypts,
    /// A fresh referral does not decrypt.
    DoesNotDecrypt,
    /// The tenant holds no trust password for this domain, so AD cannot have it.
    NoSecret,
    /// There is no trust to try, or it was not tried.
    Untried,
}

/// What AD should hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The tenant's realm, upper case.
    pub realm: String,
    /// The tenant's flat name.
    pub flat_name: String,
    /// The tenant's own domain SID.
    pub sid: Sid,
    /// The DNS suffixes whose services AD should refer to the tenant, in any order.
    pub top_level_names: Vec<String>,
    /// `msDS-SupportedEncryptionTypes`.
    pub enctypes: u32,
}

/// One change in AD, complete in itself and idempotent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrustStep {
    /// Delete the tenant's trust.
    Delete {
        /// Its name.
        realm: String,
        /// Why.
        reason: Deletion,
    },
    /// Create the trust with the tenant's current trust password.
    Create {
        /// The tenant's realm.
        realm: String,
        /// Its flat name.
        flat_name: String,
        /// Its domain SID.
        sid: Sid,
    },
    /// Set the encryption types of tickets for the realm.
    SetEnctypes {
        /// The trust's name.
        realm: String,
        /// `msDS-SupportedEncryptionTypes`.
        bits: u32,
    },
    /// Replace the top-level names.
    SetTopLevelNames {
        /// The trust's name.
        realm: String,
        /// The names, none of them below another.
        names: Vec<String>,
    },
}

/// Why the tenant's own trust is deleted; it is created again, except after the last reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// Direction, type or attributes are not those of a cloud trust.
    Kind,
    /// It has another flat name.
    FlatName,
    /// Its key is not the tenant's.
    Key,
    /// It is removed.
    Unwanted,
}

impl std::fmt::Display for TrustStep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Delete { realm, reason } => {
                write!(f, "delete the trusted domain object `{realm}`{reason}")
            }
            Self::Create {
                realm,
                flat_name,
                sid,
            } => write!(
                f,
                "create the trusted domain object `{realm}` (flat name `{flat_name}`, SID {sid}; inbound, forest-transitive)"
            ),
            Self::SetEnctypes { realm, bits } => {
                write!(
                    f,
                    "set the encryption types of `{realm}` to 0x{bits:x} (AES)"
                )
            }
            Self::SetTopLevelNames { realm, names } => write!(
                f,
                "set the top-level names of `{realm}` to `{}`",
                names.join("`, `")
            ),
        }
    }
}

impl std::fmt::Display for Deletion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Kind => {
                ", to make it anew: its direction, type or attributes are not those of a cloud trust"
            }
            Self::FlatName => ", to make it anew: it bears another flat name",
            Self::Key => ", to make it anew: its key is not the one that the tenant holds",
            Self::Unwanted => "",
        })
    }
}
