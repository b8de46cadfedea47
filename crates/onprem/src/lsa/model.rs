//! Parameters and results of the LSA calls, and their errors.

use crate::nt_status::NtStatus;
use crate::smb::SmbError;
use crossrealm_krb::ndr::NdrError;
use crossrealm_types::Sid;

/// TRUSTED_DOMAIN_INFORMATION_EX.TrustDirection: the partner trusts this domain ([MS-LSAD] 2.2.7.9).
pub const DIRECTION_INBOUND: u32 = 1;
/// TRUSTED_DOMAIN_INFORMATION_EX.TrustType: an Active Directory domain, known by DNS name ([MS-LSAD] 2.2.7.9).
pub const TYPE_UPLEVEL: u32 = 2;
/// TRUSTED_DOMAIN_INFORMATION_EX.TrustAttributes: the trust is between forests ([MS-LSAD] 2.2.7.9).
pub const ATTRIBUTE_FOREST_TRANSITIVE: u32 = 8;
/// `msDS-SupportedEncryptionTypes` bits for AES128 and AES256 with HMAC-SHA1 ([MS-KILE] 2.2.7).
pub const ENCTYPES_AES: u32 = 0x18;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum LsaError {
    /// The SMB session failed, or could not carry the call.
    #[error(transparent)]
    Smb(#[from] SmbError),
    /// The domain controller refused.
    #[error("`{call}` failed: {} ({status})", status.meaning())]
    Status {
        /// The name of the call in [MS-LSAD].
        call: &'static str,
        /// The status that it returned.
        status: NtStatus,
    },
    /// A value does not fit into the request.
    #[error("a request to the domain controller cannot be encoded: {0}")]
    Request(#[from] NdrError),
    /// The reply is not what [MS-LSAD] defines.
    #[error("the domain controller's answer to `{0}` could not be read")]
    Malformed(&'static str),
}

impl LsaError {
    /// The status that the domain controller returned, if it returned one.
    pub fn status(&self) -> Option<NtStatus> {
        match self {
            Self::Status { status, .. } => Some(*status),
            Self::Smb(_) | Self::Request(_) | Self::Malformed(_) => None,
        }
    }
}

/// The domain as its controller describes it: POLICY_DNS_DOMAIN_INFO, [MS-LSAD] 2.2.4.14.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainInfo {
    /// The flat (NetBIOS) name.
    pub flat_name: String,
    /// The DNS name.
    pub dns_name: String,
    /// The DNS name of the forest's root domain.
    pub forest_name: String,
    /// The domain's SID.
    pub sid: Sid,
}

/// A trust as AD holds it: TRUSTED_DOMAIN_INFORMATION_EX, [MS-LSAD] 2.2.7.9.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedDomain {
    /// The partner's DNS name or realm.
    pub name: String,
    /// The partner's flat name.
    pub flat_name: String,
    /// The partner's SID; a trust with an MIT realm has none.
    pub sid: Option<Sid>,
    /// TrustDirection.
    pub direction: u32,
    /// TrustType.
    pub kind: u32,
    /// TrustAttributes.
    pub attributes: u32,
}

/// A record of forest trust information: LSA_FOREST_TRUST_RECORD, [MS-LSAD] 2.2.7.21.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForestRecord {
    /// A DNS suffix whose services belong to the partner.
    TopLevelName {
        /// The suffix.
        name: String,
        /// Flags; a value other than 0 means that the name is disabled.
        flags: u32,
    },
    /// A DNS suffix below a top-level name that is excluded from it.
    Excluded(String),
    /// A domain of the partner's forest.
    Domain {
        /// Its DNS name.
        dns_name: String,
        /// Its flat name.
        flat_name: String,
        /// Its SID.
        sid: Option<Sid>,
    },
    /// A record of a type that is not decoded.
    Other(u16),
}

/// A name that collides with another trust: LSA_FOREST_TRUST_COLLISION_RECORD, [MS-LSAD] 2.2.7.28.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collision {
    /// The index of the colliding record in the request.
    pub index: u32,
    /// What it collides with: 0 a trusted domain object, 1 a cross-reference (a domain of the own forest), 2 other.
    pub kind: u16,
    /// Flags, [MS-LSAD] 2.2.7.26.
    pub flags: u32,
    /// The name of the other trust.
    pub name: String,
}

/// A trust to create; direction, type and attributes are always those of a cloud trust.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTrust<'a> {
    /// The partner's realm.
    pub realm: &'a str,
    /// The partner's flat name, at most 15 characters.
    pub flat_name: &'a str,
    /// The partner's domain SID.
    pub sid: &'a Sid,
}
