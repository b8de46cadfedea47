//! KRB-ERROR, RFC 4120 §5.9.1.

use super::base::{KerberosString, KerberosTime, PrincipalName};
use rasn::{AsnType, Decode, Decoder, Encode, Encoder};

/// Error codes, RFC 4120 §7.5.9.
pub mod error_code {
    /// KDC_ERR_C_PRINCIPAL_UNKNOWN: client not found
    pub const C_PRINCIPAL_UNKNOWN: i32 = 6;
    /// KDC_ERR_S_PRINCIPAL_UNKNOWN: server not found
    pub const S_PRINCIPAL_UNKNOWN: i32 = 7;
    /// KDC_ERR_CANNOT_POSTDATE
    pub const CANNOT_POSTDATE: i32 = 10;
    /// KDC_ERR_NEVER_VALID: requested start time is later than end time
    pub const NEVER_VALID: i32 = 11;
    /// KDC_ERR_POLICY
    pub const POLICY: i32 = 12;
    /// KDC_ERR_BADOPTION
    pub const BAD_OPTION: i32 = 13;
    /// KDC_ERR_ETYPE_NOSUPP
    pub const ETYPE_NOSUPP: i32 = 14;
    /// KDC_ERR_PADATA_TYPE_NOSUPP
    pub const PADATA_TYPE_NOSUPP: i32 = 16;
    /// KDC_ERR_CLIENT_REVOKED
    pub const CLIENT_REVOKED: i32 = 18;
    /// KDC_ERR_TGT_REVOKED
    pub const TGT_REVOKED: i32 = 20;
    /// KDC_ERR_KEY_EXPIRED
    pub const KEY_EXPIRED: i32 = 23;
    /// KDC_ERR_PREAUTH_FAILED
    pub const PREAUTH_FAILED: i32 = 24;
    /// KDC_ERR_PREAUTH_REQUIRED
    pub const PREAUTH_REQUIRED: i32 = 25;
    /// KDC_ERR_PATH_NOT_ACCEPTED
    pub const PATH_NOT_ACCEPTED: i32 = 28;
    /// KDC_ERR_SVC_UNAVAILABLE
    pub const SVC_UNAVAILABLE: i32 = 29;
    /// KRB_AP_ERR_BAD_INTEGRITY
    pub const BAD_INTEGRITY: i32 = 31;
    /// KRB_AP_ERR_TKT_EXPIRED
    pub const TKT_EXPIRED: i32 = 32;
    /// KRB_AP_ERR_TKT_NYV
    pub const TKT_NYV: i32 = 33;
    /// KRB_AP_ERR_NOT_US
    pub const NOT_US: i32 = 35;
    /// KRB_AP_ERR_BADMATCH
    pub const BADMATCH: i32 = 36;
    /// KRB_AP_ERR_SKEW
    pub const SKEW: i32 = 37;
    /// KRB_AP_ERR_BADVERSION
    pub const BADVERSION: i32 = 39;
    /// KRB_AP_ERR_MSG_TYPE
    pub const MSG_TYPE: i32 = 40;
    /// KRB_AP_ERR_MODIFIED
    pub const MODIFIED: i32 = 41;
    /// KRB_AP_ERR_BADKEYVER
    pub const BADKEYVER: i32 = 44;
    /// KRB_AP_ERR_INAPP_CKSUM
    pub const INAPP_CKSUM: i32 = 50;
    /// KRB_ERR_RESPONSE_TOO_BIG
    pub const RESPONSE_TOO_BIG: i32 = 52;
    /// KRB_ERR_GENERIC
    pub const GENERIC: i32 = 60;
    /// KRB_ERR_FIELD_TOOLONG
    pub const FIELD_TOOLONG: i32 = 61;
    /// KDC_ERR_WRONG_REALM
    pub const WRONG_REALM: i32 = 68;
}

/// KRB-ERROR, RFC 4120 §5.9.1.
#[derive(AsnType, Decode, Encode, Clone, Debug, PartialEq, Eq)]
#[rasn(tag(explicit(application, 30)))]
pub struct KrbError {
    /// 5.
    #[rasn(tag(explicit(0)))]
    pub pvno: i32,
    /// 30.
    #[rasn(tag(explicit(1)))]
    pub msg_type: i32,
    /// The client's time.
    #[rasn(tag(explicit(2)))]
    pub ctime: Option<KerberosTime>,
    /// Its microseconds.
    #[rasn(tag(explicit(3)))]
    pub cusec: Option<i32>,
    /// The KDC's time.
    #[rasn(tag(explicit(4)))]
    pub stime: KerberosTime,
    /// Its microseconds.
    #[rasn(tag(explicit(5)))]
    pub susec: i32,
    /// One of [`error_code`].
    #[rasn(tag(explicit(6)))]
    pub error_code: i32,
    /// The client's realm.
    #[rasn(tag(explicit(7)))]
    pub crealm: Option<KerberosString>,
    /// The client's name.
    #[rasn(tag(explicit(8)))]
    pub cname: Option<PrincipalName>,
    /// The service's realm.
    #[rasn(tag(explicit(9)))]
    pub realm: KerberosString,
    /// The service.
    #[rasn(tag(explicit(10)))]
    pub sname: PrincipalName,
    /// The reason, for display.
    #[rasn(tag(explicit(11)))]
    pub e_text: Option<KerberosString>,
    /// More, for programs.
    #[rasn(tag(explicit(12)))]
    pub e_data: Option<rasn::types::OctetString>,
}

impl KrbError {
    /// The value of `msg_type`.
    pub const MSG_TYPE: i32 = 30;
}
