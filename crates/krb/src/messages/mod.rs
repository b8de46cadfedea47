//! The messages of Kerberos V5 (RFC 4120 §5) and their extensions, as plain Rust values.
//!
//! Encoding and decoding is DER by `rasn`; the types are our own because the world's Kerberos is wider than the RFC:
//! names are UTF-8, a nonce or a key version number may arrive as a negative integer, and a KDC-REQ-BODY must be kept as
//! the very bytes that came, since a checksum covers them. Trailing bytes, wrong tags, other protocol versions and
//! nesting beyond `rasn`'s bound are errors. Nothing here checks a signature or decides anything.

mod base;
mod error;
mod kdc;
mod pre_auth;
mod ticket;

pub use base::{
    AuthorizationData, AuthorizationDataElement, Checksum, EncryptedData, EncryptionKey,
    HostAddress, KerberosFlags, KerberosString, KerberosTime, PrincipalName, SecretBytes,
    TransitedEncoding, ad_type, flags, name_type,
};
pub use error::{KrbError, error_code};
pub use kdc::{
    AsRep, AsReq, EncAsRepPart, EncKdcRepPart, EncTgsRepPart, KdcRep, KdcReq, KdcReqBody, LastReq,
    TgsRep, TgsReq, kdc_option,
};
pub use pre_auth::{
    EtypeInfo2Entry, MethodData, PaData, PaEncTsEnc, PaPacOptions, TypedData, pa_type,
};
pub use ticket::{ApRep, ApReq, Authenticator, EncApRepPart, EncTicketPart, Ticket};

/// The protocol version number of every message: 5.
pub const PVNO: i32 = 5;

/// A message that could not be decoded or encoded. The text names the place in the structure, never its content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed Kerberos message: {0}")]
pub struct MessageError(pub(crate) String);

/// Decodes one DER value; all of `bytes` must belong to it.
pub fn decode<T: rasn::Decode>(bytes: &[u8]) -> Result<T, MessageError> {
    rasn::der::decode(bytes).map_err(|e| MessageError(e.kind.to_string()))
}

/// Encodes a value as DER.
pub fn encode<T: rasn::Encode>(value: &T) -> Result<Vec<u8>, MessageError> {
    rasn::der::encode(value).map_err(|e| MessageError(e.to_string()))
}

#[cfg(test)]
mod tests;
