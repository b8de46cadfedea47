//! FAST for TGS requests, RFC 6113 §5.4 with the implicit armor of §5.4.1.1.
//!
//! The armor key comes from the ticket's session key and the authenticator's subkey, so no armor travels. What is under
//! the armor (options, padata, request body) takes the place of what is outside; what is outside is still covered by
//! the authenticator's checksum.

use crate::crypto::{CryptoError, Key, cf2};
use crate::key_usage;
use crate::messages::{
    Checksum, EncryptedData, EncryptionKey, KdcReqBody, KerberosFlags, KerberosString,
    KerberosTime, MessageError, PaData, PrincipalName, decode, encode,
};
use crate::random::Random;
use rasn::{AsnType, Decode, Decoder, Encode, Encoder};

/// FastOptions (RFC 6113 §5.4.2): bits 0 to 15 are critical; of these only hide-client-names(1) is defined.
const CRITICAL_OPTIONS: u32 = 0xFFFF_0000;
/// hide-client-names(1).
pub const HIDE_CLIENT_NAMES: u32 = 1 << 30;

#[derive(AsnType, Decode, Encode, Clone, Debug, PartialEq, Eq)]
struct FastArmor {
    #[rasn(tag(explicit(0)))]
    armor_type: i32,
    #[rasn(tag(explicit(1)))]
    armor_value: rasn::types::OctetString,
}

#[derive(AsnType, Decode, Encode, Clone, Debug, PartialEq, Eq)]
struct FastArmoredReq {
    #[rasn(tag(explicit(0)))]
    armor: Option<FastArmor>,
    #[rasn(tag(explicit(1)))]
    req_checksum: Checksum,
    #[rasn(tag(explicit(2)))]
    enc_fast_req: EncryptedData,
}

#[derive(AsnType, Decode, Encode, Clone, Debug, PartialEq, Eq)]
struct FastArmoredRep {
    #[rasn(tag(explicit(0)))]
    enc_fast_rep: EncryptedData,
}

#[derive(AsnType, Decode, Encode, Clone, Debug, PartialEq, Eq)]
#[rasn(choice)]
enum PaFxFastRequest {
    #[rasn(tag(explicit(0)))]
    Armored(FastArmoredReq),
}

#[derive(AsnType, Decode, Encode, Clone, Debug, PartialEq, Eq)]
#[rasn(choice)]
enum PaFxFastReply {
    #[rasn(tag(explicit(0)))]
    Armored(FastArmoredRep),
}

/// KrbFastReq, RFC 6113 §5.4.2: the request that counts.
#[derive(AsnType, Decode, Encode, Clone, Debug, PartialEq, Eq)]
pub struct FastReq {
    /// FastOptions.
    #[rasn(tag(explicit(0)))]
    pub fast_options: KerberosFlags,
    /// The padata that counts.
    #[rasn(tag(explicit(1)))]
    pub padata: Vec<PaData>,
    /// The request body that counts.
    #[rasn(tag(explicit(2)))]
    pub req_body: KdcReqBody,
}

/// KrbFastFinished, RFC 6113 §5.4.3: proof that the reply's ticket is the KDC's.
#[derive(AsnType, Decode, Encode, Clone, Debug, PartialEq, Eq)]
pub struct FastFinished {
    /// The KDC's time.
    #[rasn(tag(explicit(0)))]
    pub timestamp: KerberosTime,
    /// Its microseconds.
    #[rasn(tag(explicit(1)))]
    pub usec: i32,
    /// The client's realm.
    #[rasn(tag(explicit(2)))]
    pub crealm: KerberosString,
    /// The client's name.
    #[rasn(tag(explicit(3)))]
    pub cname: PrincipalName,
    /// A checksum over the ticket of the reply, under the armor key.
    #[rasn(tag(explicit(4)))]
    pub ticket_checksum: Checksum,
}

/// KrbFastResponse, RFC 6113 §5.4.3.
#[derive(AsnType, Decode, Encode, Clone, Debug, PartialEq, Eq)]
pub struct FastResponse {
    /// Protected padata; for an error, the error is among them.
    #[rasn(tag(explicit(0)))]
    pub padata: Vec<PaData>,
    /// Makes the reply key depend on the armor.
    #[rasn(tag(explicit(1)))]
    pub strengthen_key: Option<EncryptionKey>,
    /// Present in replies with a ticket.
    #[rasn(tag(explicit(2)))]
    pub finished: Option<FastFinished>,
    /// The request's nonce.
    #[rasn(tag(explicit(3)))]
    pub nonce: i64,
}

/// Why FAST data was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FastError {
    /// Not decodable, outside or under the armor.
    #[error(transparent)]
    Malformed(#[from] MessageError),
    /// The armor does not decrypt, or the checksum does not verify.
    #[error("the FAST armor does not verify")]
    Integrity(#[from] CryptoError),
    /// A TGS request with explicit armor, which implicit armor excludes.
    #[error("a TGS request with a subkey must not carry FAST armor of its own")]
    ExplicitArmor,
    /// A critical option that is not known.
    #[error("unknown critical FAST option")]
    UnknownOption,
}

/// The armor key of a TGS request: from the authenticator's subkey and the ticket's session key, RFC 6113 §5.4.1.1.
pub fn armor_key(subkey: &Key, session_key: &Key) -> Key {
    cf2(subkey, session_key, b"subkeyarmor", b"ticketarmor")
}

/// The reply key made dependent on the armor, RFC 6113 §5.4.3.
pub fn strengthened_reply_key(strengthen_key: &Key, reply_key: &Key) -> Key {
    cf2(strengthen_key, reply_key, b"strengthenkey", b"replykey")
}

/// Unwraps the PA-FX-FAST of a TGS request. `ap_req` are the bytes of its PA-TGS-REQ, which the checksum covers.
pub fn open_request(padata: &[u8], armor: &Key, ap_req: &[u8]) -> Result<FastReq, FastError> {
    let PaFxFastRequest::Armored(request) = decode(padata)?;
    if request.armor.is_some() {
        return Err(FastError::ExplicitArmor);
    }
    request
        .req_checksum
        .verify(armor, key_usage::FAST_REQ_CHECKSUM, ap_req)?;
    let plain = request.enc_fast_req.decrypt(armor, key_usage::FAST_ENC)?;
    let inner: FastReq = decode(&plain)?;
    if inner.fast_options.0 & CRITICAL_OPTIONS & !HIDE_CLIENT_NAMES != 0 {
        return Err(FastError::UnknownOption);
    }
    Ok(inner)
}

/// The PA-FX-FAST of a TGS request.
pub fn wrap_request(
    request: &FastReq,
    armor: &Key,
    ap_req: &[u8],
    random: &mut dyn Random,
) -> Result<Vec<u8>, FastError> {
    let plain = encode(request)?;
    Ok(encode(&PaFxFastRequest::Armored(FastArmoredReq {
        armor: None,
        req_checksum: Checksum::make(armor, key_usage::FAST_REQ_CHECKSUM, ap_req),
        enc_fast_req: EncryptedData::encrypt(armor, None, key_usage::FAST_ENC, &plain, random),
    }))?)
}

/// Unwraps the PA-FX-FAST of a reply or an error.
pub fn open_response(padata: &[u8], armor: &Key) -> Result<FastResponse, FastError> {
    let PaFxFastReply::Armored(reply) = decode(padata)?;
    let plain = reply.enc_fast_rep.decrypt(armor, key_usage::FAST_REP)?;
    Ok(decode(&plain)?)
}

/// The PA-FX-FAST of a reply or an error.
pub fn wrap_response(
    response: &FastResponse,
    armor: &Key,
    random: &mut dyn Random,
) -> Result<Vec<u8>, FastError> {
    let plain = encode(response)?;
    Ok(encode(&PaFxFastReply::Armored(FastArmoredRep {
        enc_fast_rep: EncryptedData::encrypt(armor, None, key_usage::FAST_REP, &plain, random),
    }))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Enctype;

    fn key(byte: u8) -> Key {
        Key::new(Enctype::Aes256Sha1, &[byte; 32]).unwrap()
    }

    fn request() -> FastReq {
        FastReq {
            fast_options: KerberosFlags(0),
            padata: vec![],
            req_body: KdcReqBody {
                kdc_options: KerberosFlags(0),
                cname: None,
                realm: "R".into(),
                sname: None,
                from: None,
                till: KerberosTime(0),
                rtime: None,
                nonce: 7,
                etype: vec![18],
                addresses: None,
                enc_authorization_data: None,
                additional_tickets: None,
            },
        }
    }

    #[test]
    fn only_the_right_armor_and_ap_req_decrypt_a_request() {
        let armor = armor_key(&key(1), &key(2));
        let padata =
            wrap_request(&request(), &armor, b"ap-req", &mut |b: &mut [u8]| b.fill(3)).unwrap();
        assert_eq!(open_request(&padata, &armor, b"ap-req").unwrap(), request());
        assert!(open_request(&padata, &armor, b"other").is_err());
        assert!(open_request(&padata, &armor_key(&key(1), &key(3)), b"ap-req").is_err());
    }

    #[test]
    fn unknown_critical_options_are_refused() {
        let armor = key(4);
        let mut odd = request();
        odd.fast_options = KerberosFlags(1 << 29);
        let padata = wrap_request(&odd, &armor, b"a", &mut |b: &mut [u8]| b.fill(3)).unwrap();
        assert_eq!(
            open_request(&padata, &armor, b"a"),
            Err(FastError::UnknownOption)
        );
    }
}
