//! The messages to and from a KDC: RFC 4120 §5.4.

use super::base::{
    EncryptedData, EncryptionKey, HostAddress, KerberosFlags, KerberosString, KerberosTime,
    PrincipalName,
};
use super::pre_auth::PaData;
use super::ticket::Ticket;
use super::{MessageError, PVNO, decode, encode};
use rasn::types::Any;
use rasn::{AsnType, Decode, Decoder, Encode, Encoder};

/// KDC options (RFC 4120 §5.4.1) as masks of [`KerberosFlags`].
pub mod kdc_option {
    /// forwardable(1)
    pub const FORWARDABLE: u32 = 1 << 30;
    /// forwarded(2)
    pub const FORWARDED: u32 = 1 << 29;
    /// proxiable(3)
    pub const PROXIABLE: u32 = 1 << 28;
    /// proxy(4)
    pub const PROXY: u32 = 1 << 27;
    /// allow-postdate(5)
    pub const ALLOW_POSTDATE: u32 = 1 << 26;
    /// postdated(6)
    pub const POSTDATED: u32 = 1 << 25;
    /// renewable(8)
    pub const RENEWABLE: u32 = 1 << 23;
    /// cname-in-addl-tkt(14), [MS-SFU]: constrained delegation
    pub const CNAME_IN_ADDL_TKT: u32 = 1 << 17;
    /// canonicalize(15)
    pub const CANONICALIZE: u32 = 1 << 16;
    /// disable-transited-check(26)
    pub const DISABLE_TRANSITED_CHECK: u32 = 1 << 5;
    /// renewable-ok(27)
    pub const RENEWABLE_OK: u32 = 1 << 4;
    /// enc-tkt-in-skey(28): user-to-user
    pub const ENC_TKT_IN_SKEY: u32 = 1 << 3;
    /// renew(30)
    pub const RENEW: u32 = 1 << 1;
    /// validate(31)
    pub const VALIDATE: u32 = 1;
}

/// KDC-REQ-BODY, RFC 4120 §5.4.1.
#[derive(AsnType, Decode, Encode, Clone, Debug, PartialEq, Eq)]
pub struct KdcReqBody {
    /// Of [`kdc_option`].
    #[rasn(tag(explicit(0)))]
    pub kdc_options: KerberosFlags,
    /// The client; only in AS requests.
    #[rasn(tag(explicit(1)))]
    pub cname: Option<PrincipalName>,
    /// The realm of the service (and, in AS requests, of the client).
    #[rasn(tag(explicit(2)))]
    pub realm: KerberosString,
    /// The service.
    #[rasn(tag(explicit(3)))]
    pub sname: Option<PrincipalName>,
    /// Start of validity, for postdating.
    #[rasn(tag(explicit(4)))]
    pub from: Option<KerberosTime>,
    /// The wanted end time.
    #[rasn(tag(explicit(5)))]
    pub till: KerberosTime,
    /// The wanted end of renewal.
    #[rasn(tag(explicit(6)))]
    pub rtime: Option<KerberosTime>,
    /// Returned in the reply; a UInt32 that may arrive negative.
    #[rasn(tag(explicit(7)))]
    pub nonce: i64,
    /// Wanted encryption types, the preferred first.
    #[rasn(tag(explicit(8)))]
    pub etype: Vec<i32>,
    /// Wanted addresses.
    #[rasn(tag(explicit(9)))]
    pub addresses: Option<Vec<HostAddress>>,
    /// Encrypted AuthorizationData to put into the ticket.
    #[rasn(tag(explicit(10)))]
    pub enc_authorization_data: Option<EncryptedData>,
    /// Tickets for user-to-user and delegation.
    #[rasn(tag(explicit(11)))]
    pub additional_tickets: Option<Vec<Ticket>>,
}

/// The fields of KDC-REQ with the body left as the bytes that came.
#[derive(AsnType, Decode, Encode, Clone, Debug, PartialEq, Eq)]
struct WireKdcReq {
    #[rasn(tag(explicit(1)))]
    pvno: i32,
    #[rasn(tag(explicit(2)))]
    msg_type: i32,
    #[rasn(tag(explicit(3)))]
    padata: Option<Vec<PaData>>,
    #[rasn(tag(explicit(4)))]
    req_body: Any,
}

#[derive(AsnType, Decode, Encode)]
#[rasn(tag(explicit(application, 10)), delegate)]
struct WireAsReq(WireKdcReq);

#[derive(AsnType, Decode, Encode)]
#[rasn(tag(explicit(application, 12)), delegate)]
struct WireTgsReq(WireKdcReq);

/// KDC-REQ, RFC 4120 §5.4.1, without its outer tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KdcReq {
    /// Pre-authentication data; empty where absent.
    pub padata: Vec<PaData>,
    /// The decoded body.
    pub body: KdcReqBody,
    /// The body's bytes as they came (or will go): what checksums cover. Never re-encoded.
    pub raw_body: Vec<u8>,
}

impl KdcReq {
    /// A request to be sent.
    pub fn new(padata: Vec<PaData>, body: KdcReqBody) -> Result<Self, MessageError> {
        let raw_body = encode(&body)?;
        Ok(Self {
            padata,
            body,
            raw_body,
        })
    }

    fn from_wire(wire: WireKdcReq, msg_type: i32) -> Result<Self, MessageError> {
        if wire.pvno != PVNO || wire.msg_type != msg_type {
            return Err(MessageError(
                "wrong protocol version or message type".to_owned(),
            ));
        }
        Ok(Self {
            padata: wire.padata.unwrap_or_default(),
            body: decode(wire.req_body.as_bytes())?,
            raw_body: wire.req_body.into_bytes(),
        })
    }

    fn to_wire(&self, msg_type: i32) -> WireKdcReq {
        WireKdcReq {
            pvno: PVNO,
            msg_type,
            padata: Some(self.padata.clone()).filter(|p| !p.is_empty()),
            req_body: Any::new(self.raw_body.clone()),
        }
    }

    /// The value of the first pre-authentication element of this type.
    pub fn padata(&self, padata_type: i32) -> Option<&[u8]> {
        PaData::find(&self.padata, padata_type)
    }
}

/// AS-REQ, RFC 4120 §5.4.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AsReq(pub KdcReq);

impl AsReq {
    /// The value of `msg-type`.
    pub const MSG_TYPE: i32 = 10;

    /// Decodes a whole message.
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        let WireAsReq(wire) = decode(bytes)?;
        KdcReq::from_wire(wire, Self::MSG_TYPE).map(Self)
    }

    /// Encodes the message, the body as it is in `raw_body`.
    pub fn encode(&self) -> Result<Vec<u8>, MessageError> {
        encode(&WireAsReq(self.0.to_wire(Self::MSG_TYPE)))
    }
}

/// TGS-REQ, RFC 4120 §5.4.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TgsReq(pub KdcReq);

impl TgsReq {
    /// The value of `msg-type`.
    pub const MSG_TYPE: i32 = 12;

    /// Decodes a whole message.
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        let WireTgsReq(wire) = decode(bytes)?;
        KdcReq::from_wire(wire, Self::MSG_TYPE).map(Self)
    }

    /// Encodes the message, the body as it is in `raw_body`.
    pub fn encode(&self) -> Result<Vec<u8>, MessageError> {
        encode(&WireTgsReq(self.0.to_wire(Self::MSG_TYPE)))
    }
}

/// KDC-REP, RFC 4120 §5.4.2, without its outer tag.
#[derive(AsnType, Decode, Encode, Clone, Debug, PartialEq, Eq)]
pub struct KdcRep {
    /// 5.
    #[rasn(tag(explicit(0)))]
    pub pvno: i32,
    /// 11 or 13.
    #[rasn(tag(explicit(1)))]
    pub msg_type: i32,
    /// Pre-authentication data, the FAST response among them.
    #[rasn(tag(explicit(2)))]
    pub padata: Option<Vec<PaData>>,
    /// The client's realm.
    #[rasn(tag(explicit(3)))]
    pub crealm: KerberosString,
    /// The client's name.
    #[rasn(tag(explicit(4)))]
    pub cname: PrincipalName,
    /// The ticket.
    #[rasn(tag(explicit(5)))]
    pub ticket: Ticket,
    /// An [`EncKdcRepPart`] under the reply key.
    #[rasn(tag(explicit(6)))]
    pub enc_part: EncryptedData,
}

/// AS-REP, RFC 4120 §5.4.2.
#[derive(AsnType, Decode, Encode, Clone, Debug, PartialEq, Eq)]
#[rasn(tag(explicit(application, 11)), delegate)]
pub struct AsRep(pub KdcRep);

impl AsRep {
    /// The value of `msg_type`.
    pub const MSG_TYPE: i32 = 11;
}

/// TGS-REP, RFC 4120 §5.4.2.
#[derive(AsnType, Decode, Encode, Clone, Debug, PartialEq, Eq)]
#[rasn(tag(explicit(application, 13)), delegate)]
pub struct TgsRep(pub KdcRep);

impl TgsRep {
    /// The value of `msg_type`.
    pub const MSG_TYPE: i32 = 13;
}

/// One element of LastReq, RFC 4120 §5.4.2.
#[derive(AsnType, Decode, Encode, Clone, Debug, PartialEq, Eq)]
pub struct LastReq {
    /// 0: no information.
    #[rasn(tag(explicit(0)))]
    pub lr_type: i32,
    /// The time in question.
    #[rasn(tag(explicit(1)))]
    pub lr_value: KerberosTime,
}

/// EncKDCRepPart, RFC 4120 §5.4.2 with RFC 6806 §11.
#[derive(AsnType, Decode, Encode, Clone, Debug, PartialEq, Eq)]
pub struct EncKdcRepPart {
    /// The session key of the ticket.
    #[rasn(tag(explicit(0)))]
    pub key: EncryptionKey,
    /// Unused in practice.
    #[rasn(tag(explicit(1)))]
    pub last_req: Vec<LastReq>,
    /// The request's nonce.
    #[rasn(tag(explicit(2)))]
    pub nonce: i64,
    /// When the client's key expires.
    #[rasn(tag(explicit(3)))]
    pub key_expiration: Option<KerberosTime>,
    /// The ticket's flags.
    #[rasn(tag(explicit(4)))]
    pub flags: KerberosFlags,
    /// The ticket's authtime.
    #[rasn(tag(explicit(5)))]
    pub authtime: KerberosTime,
    /// The ticket's start time.
    #[rasn(tag(explicit(6)))]
    pub starttime: Option<KerberosTime>,
    /// The ticket's end time.
    #[rasn(tag(explicit(7)))]
    pub endtime: KerberosTime,
    /// Until when the ticket may be renewed.
    #[rasn(tag(explicit(8)))]
    pub renew_till: Option<KerberosTime>,
    /// The service's realm.
    #[rasn(tag(explicit(9)))]
    pub srealm: KerberosString,
    /// The service.
    #[rasn(tag(explicit(10)))]
    pub sname: PrincipalName,
    /// The ticket's addresses.
    #[rasn(tag(explicit(11)))]
    pub caddr: Option<Vec<HostAddress>>,
    /// Protected pre-authentication data.
    #[rasn(tag(explicit(12)))]
    pub encrypted_pa_data: Option<Vec<PaData>>,
}

/// EncASRepPart. Some KDCs tag an AS reply as [`EncTgsRepPart`]; clients accept both (RFC 4120 §5.4.2).
#[derive(AsnType, Decode, Encode, Clone, Debug, PartialEq, Eq)]
#[rasn(tag(explicit(application, 25)), delegate)]
pub struct EncAsRepPart(pub EncKdcRepPart);

/// EncTGSRepPart.
#[derive(AsnType, Decode, Encode, Clone, Debug, PartialEq, Eq)]
#[rasn(tag(explicit(application, 26)), delegate)]
pub struct EncTgsRepPart(pub EncKdcRepPart);
