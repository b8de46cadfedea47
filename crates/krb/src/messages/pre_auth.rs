//! Pre-authentication data, RFC 4120 §5.2.7, and the few kinds of it that matter here.

use super::base::{KerberosFlags, KerberosString, KerberosTime};
use rasn::{AsnType, Decode, Decoder, Encode, Encoder};

/// Pre-authentication types.
pub mod pa_type {
    /// PA-TGS-REQ: the AP-REQ of a TGS request.
    pub const TGS_REQ: i32 = 1;
    /// PA-ENC-TIMESTAMP.
    pub const ENC_TIMESTAMP: i32 = 2;
    /// PA-PW-SALT; AD's KDCs put an NTSTATUS into it, as KERB_ERR_TYPE_EXTENDED of [MS-KILE] 2.2.1 has the same number.
    pub const PW_SALT: i32 = 3;
    /// PA-ETYPE-INFO2.
    pub const ETYPE_INFO2: i32 = 19;
    /// PA-PAC-REQUEST, [MS-KILE] 2.2.3.
    pub const PAC_REQUEST: i32 = 128;
    /// PA-FOR-USER, [MS-SFU] 2.2.1.
    pub const FOR_USER: i32 = 129;
    /// PA-S4U-X509-USER, [MS-SFU] 2.2.2.
    pub const S4U_X509_USER: i32 = 130;
    /// PA-FX-COOKIE, RFC 6113 §5.2.
    pub const FX_COOKIE: i32 = 133;
    /// PA-FX-FAST, RFC 6113 §5.4.
    pub const FX_FAST: i32 = 136;
    /// PA-FX-ERROR, RFC 6113 §5.4.4.
    pub const FX_ERROR: i32 = 137;
    /// PA-REQ-ENC-PA-REP, RFC 6806 §11.
    pub const REQ_ENC_PA_REP: i32 = 149;
    /// PA-SUPPORTED-ENCTYPES, [MS-KILE] 2.2.8.
    pub const SUPPORTED_ENCTYPES: i32 = 165;
    /// PA-PAC-OPTIONS, [MS-KILE] 2.2.10.
    pub const PAC_OPTIONS: i32 = 167;
}

/// PA-DATA, RFC 4120 §5.2.7.
#[derive(AsnType, Decode, Encode, Clone, Debug, PartialEq, Eq)]
pub struct PaData {
    /// One of [`pa_type`], or another.
    #[rasn(tag(explicit(1)))]
    pub padata_type: i32,
    /// Its value.
    #[rasn(tag(explicit(2)))]
    pub padata_value: rasn::types::OctetString,
}

impl PaData {
    /// An element from its type and value.
    pub fn new(padata_type: i32, value: Vec<u8>) -> Self {
        Self {
            padata_type,
            padata_value: value.into(),
        }
    }

    /// The value of the first element of this type.
    pub fn find(list: &[Self], padata_type: i32) -> Option<&[u8]> {
        list.iter()
            .find(|p| p.padata_type == padata_type)
            .map(|p| p.padata_value.as_ref())
    }
}

/// METHOD-DATA, RFC 4120 §5.9.1: the e-data of KDC_ERR_PREAUTH_REQUIRED.
pub type MethodData = Vec<PaData>;

/// TYPED-DATA element, RFC 4120 §5.9.1.
#[derive(AsnType, Decode, Encode, Clone, Debug, PartialEq, Eq)]
pub struct TypedData {
    /// Its type.
    #[rasn(tag(explicit(0)))]
    pub data_type: i32,
    /// Its value.
    #[rasn(tag(explicit(1)))]
    pub data_value: Option<rasn::types::OctetString>,
}

/// ETYPE-INFO2-ENTRY, RFC 4120 §5.2.7.5.
#[derive(AsnType, Decode, Encode, Clone, Debug, PartialEq, Eq)]
pub struct EtypeInfo2Entry {
    /// An encryption type the client's key exists in.
    #[rasn(tag(explicit(0)))]
    pub etype: i32,
    /// The salt; the default of the principal where absent.
    #[rasn(tag(explicit(1)))]
    pub salt: Option<KerberosString>,
    /// Parameters of string-to-key: for AES four bytes, the iterations.
    #[rasn(tag(explicit(2)))]
    pub s2kparams: Option<rasn::types::OctetString>,
}

/// PA-ENC-TS-ENC, RFC 4120 §5.2.7.2.
#[derive(AsnType, Decode, Encode, Clone, Debug, PartialEq, Eq)]
pub struct PaEncTsEnc {
    /// The client's time.
    #[rasn(tag(explicit(0)))]
    pub patimestamp: KerberosTime,
    /// Its microseconds.
    #[rasn(tag(explicit(1)))]
    pub pausec: Option<i32>,
}

/// PA-PAC-OPTIONS, [MS-KILE] 2.2.10.
#[derive(AsnType, Decode, Encode, Clone, Debug, PartialEq, Eq)]
pub struct PaPacOptions {
    /// claims(0), branch-aware(1), forward-to-full-dc(2), resource-based-constrained-delegation(3).
    #[rasn(tag(explicit(0)))]
    pub flags: KerberosFlags,
}
