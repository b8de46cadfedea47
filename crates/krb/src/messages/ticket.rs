//! Tickets and the authentication of their holder: RFC 4120 §5.3 and §5.5.

use super::base::{
    AuthorizationData, Checksum, EncryptedData, EncryptionKey, HostAddress, KerberosFlags,
    KerberosString, KerberosTime, PrincipalName, TransitedEncoding,
};
use rasn::{AsnType, Decode, Decoder, Encode, Encoder};

/// Ticket, RFC 4120 §5.3.
#[derive(AsnType, Decode, Encode, Clone, Debug, PartialEq, Eq)]
#[rasn(tag(explicit(application, 1)))]
pub struct Ticket {
    /// 5.
    #[rasn(tag(explicit(0)))]
    pub tkt_vno: i32,
    /// The realm that issued it.
    #[rasn(tag(explicit(1)))]
    pub realm: KerberosString,
    /// The service it is for.
    #[rasn(tag(explicit(2)))]
    pub sname: PrincipalName,
    /// An [`EncTicketPart`] under the service's key.
    #[rasn(tag(explicit(3)))]
    pub enc_part: EncryptedData,
}

/// EncTicketPart, RFC 4120 §5.3.
#[derive(AsnType, Decode, Encode, Clone, Debug, PartialEq, Eq)]
#[rasn(tag(explicit(application, 3)))]
pub struct EncTicketPart {
    /// Ticket flags.
    #[rasn(tag(explicit(0)))]
    pub flags: KerberosFlags,
    /// The session key.
    #[rasn(tag(explicit(1)))]
    pub key: EncryptionKey,
    /// The client's realm.
    #[rasn(tag(explicit(2)))]
    pub crealm: KerberosString,
    /// The client's name.
    #[rasn(tag(explicit(3)))]
    pub cname: PrincipalName,
    /// The realms between the client's and the issuer's.
    #[rasn(tag(explicit(4)))]
    pub transited: TransitedEncoding,
    /// When the client signed in.
    #[rasn(tag(explicit(5)))]
    pub authtime: KerberosTime,
    /// When the ticket becomes valid; `authtime` where absent.
    #[rasn(tag(explicit(6)))]
    pub starttime: Option<KerberosTime>,
    /// When it ends.
    #[rasn(tag(explicit(7)))]
    pub endtime: KerberosTime,
    /// Until when it may be renewed.
    #[rasn(tag(explicit(8)))]
    pub renew_till: Option<KerberosTime>,
    /// The addresses it may be used from.
    #[rasn(tag(explicit(9)))]
    pub caddr: Option<Vec<HostAddress>>,
    /// Authorization data, the PAC in it.
    #[rasn(tag(explicit(10)))]
    pub authorization_data: Option<AuthorizationData>,
}

/// AP-REQ, RFC 4120 §5.5.1.
#[derive(AsnType, Decode, Encode, Clone, Debug, PartialEq, Eq)]
#[rasn(tag(explicit(application, 14)))]
pub struct ApReq {
    /// 5.
    #[rasn(tag(explicit(0)))]
    pub pvno: i32,
    /// 14.
    #[rasn(tag(explicit(1)))]
    pub msg_type: i32,
    /// use-session-key(1), mutual-required(2).
    #[rasn(tag(explicit(2)))]
    pub ap_options: KerberosFlags,
    /// The ticket.
    #[rasn(tag(explicit(3)))]
    pub ticket: Ticket,
    /// An [`Authenticator`] under the session key.
    #[rasn(tag(explicit(4)))]
    pub authenticator: EncryptedData,
}

impl ApReq {
    /// The value of `msg_type`.
    pub const MSG_TYPE: i32 = 14;
    /// use-session-key(1): user-to-user.
    pub const USE_SESSION_KEY: u32 = 1 << 30;
    /// mutual-required(2).
    pub const MUTUAL_REQUIRED: u32 = 1 << 29;
}

/// Authenticator, RFC 4120 §5.5.1.
#[derive(AsnType, Decode, Encode, Clone, Debug, PartialEq, Eq)]
#[rasn(tag(explicit(application, 2)))]
pub struct Authenticator {
    /// 5.
    #[rasn(tag(explicit(0)))]
    pub authenticator_vno: i32,
    /// The client's realm.
    #[rasn(tag(explicit(1)))]
    pub crealm: KerberosString,
    /// The client's name.
    #[rasn(tag(explicit(2)))]
    pub cname: PrincipalName,
    /// A checksum over what the request is about.
    #[rasn(tag(explicit(3)))]
    pub cksum: Option<Checksum>,
    /// Microseconds of the client's time.
    #[rasn(tag(explicit(4)))]
    pub cusec: i32,
    /// The client's time.
    #[rasn(tag(explicit(5)))]
    pub ctime: KerberosTime,
    /// A key for this exchange alone.
    #[rasn(tag(explicit(6)))]
    pub subkey: Option<EncryptionKey>,
    /// The initial sequence number; a UInt32 that may arrive negative.
    #[rasn(tag(explicit(7)))]
    pub seq_number: Option<i64>,
    /// Authorization data added by the client.
    #[rasn(tag(explicit(8)))]
    pub authorization_data: Option<AuthorizationData>,
}

/// AP-REP, RFC 4120 §5.5.2.
#[derive(AsnType, Decode, Encode, Clone, Debug, PartialEq, Eq)]
#[rasn(tag(explicit(application, 15)))]
pub struct ApRep {
    /// 5.
    #[rasn(tag(explicit(0)))]
    pub pvno: i32,
    /// 15.
    #[rasn(tag(explicit(1)))]
    pub msg_type: i32,
    /// An [`EncApRepPart`] under the session key.
    #[rasn(tag(explicit(2)))]
    pub enc_part: EncryptedData,
}

impl ApRep {
    /// The value of `msg_type`.
    pub const MSG_TYPE: i32 = 15;
}

/// EncAPRepPart, RFC 4120 §5.5.2.
#[derive(AsnType, Decode, Encode, Clone, Debug, PartialEq, Eq)]
#[rasn(tag(explicit(application, 27)))]
pub struct EncApRepPart {
    /// The time from the authenticator.
    #[rasn(tag(explicit(0)))]
    pub ctime: KerberosTime,
    /// The microseconds from the authenticator.
    #[rasn(tag(explicit(1)))]
    pub cusec: i32,
    /// The acceptor's key for this exchange.
    #[rasn(tag(explicit(2)))]
    pub subkey: Option<EncryptionKey>,
    /// The acceptor's initial sequence number.
    #[rasn(tag(explicit(3)))]
    pub seq_number: Option<i64>,
}
