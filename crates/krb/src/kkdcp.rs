//! The envelope of the KDC proxy: KDC-PROXY-MESSAGE, [MS-KKDCP] 2.2.2.
//!
//! A client puts a Kerberos message, with the 4-byte length of the TCP transport in front (RFC 4120 §7.2.2), and the
//! realm it is meant for into one DER value and posts it; the answer comes back in the same envelope without a realm.
//! Some clients leave out the length, and some send an empty realm.

use crate::messages::{KerberosString, MessageError, decode, encode};
use rasn::{AsnType, Decode, Decoder, Encode, Encoder};

/// The largest body of a request that is looked at, in bytes (`docs/design.md` 6.7).
pub const MAX_BODY_LEN: usize = 128 * 1024;

/// KDC-PROXY-MESSAGE, [MS-KKDCP] 2.2.2.
#[derive(AsnType, Decode, Encode, Clone, Debug, PartialEq, Eq)]
struct KdcProxyMessage {
    #[rasn(tag(explicit(0)))]
    kerb_message: rasn::types::OctetString,
    #[rasn(tag(explicit(1)))]
    target_domain: Option<KerberosString>,
    #[rasn(tag(explicit(2)))]
    dclocator_hint: Option<i64>,
}

/// What came in a proxy request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyRequest {
    /// The Kerberos message, without the length in front.
    pub message: Vec<u8>,
    /// The realm it is meant for, if the client named one.
    pub target_domain: Option<String>,
    /// Whether the client put a length in front of the message, and expects one in front of the reply.
    framed: bool,
}

/// The tags of AS-REQ and TGS-REQ (RFC 4120 §5.4.1). As the first byte of a length they would announce more than a gigabyte.
const REQUEST_TAGS: [u8; 2] = [0x6A, 0x6C];

impl ProxyRequest {
    /// Puts the reply to this request into an envelope, with a length in front if the request had one.
    pub fn wrap_reply(&self, message: &[u8]) -> Result<Vec<u8>, EnvelopeError> {
        match self.framed {
            true => wrap_reply(message),
            false => wrap(message.to_vec(), None),
        }
    }
}

/// Why an envelope was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Larger than [`MAX_BODY_LEN`].
    #[error("the body is larger than {MAX_BODY_LEN} bytes")]
    TooLarge,
    /// Not a KDC-PROXY-MESSAGE.
    #[error("not a KDC-PROXY-MESSAGE: {0}")]
    Malformed(#[from] MessageError),
    /// The length in front of the Kerberos message is not the length of what follows.
    #[error("the length in front of the Kerberos message is not its length")]
    Length,
}

/// Decodes the envelope of a request.
pub fn open_request(body: &[u8]) -> Result<ProxyRequest, EnvelopeError> {
    let envelope = open(body)?;
    let first = envelope.kerb_message.first();
    let framed = first.is_none_or(|tag| !REQUEST_TAGS.contains(tag));
    let message = match framed {
        true => unframe(&envelope.kerb_message)?,
        false => &envelope.kerb_message,
    };
    Ok(ProxyRequest {
        message: message.to_vec(),
        target_domain: envelope
            .target_domain
            .map(|domain| domain.0)
            .filter(|domain| !domain.is_empty()),
        framed,
    })
}

/// Decodes the envelope of a reply and returns the Kerberos message in it.
pub fn open_reply(body: &[u8]) -> Result<Vec<u8>, EnvelopeError> {
    unframe(&open(body)?.kerb_message).map(<[u8]>::to_vec)
}

/// Puts a Kerberos message for `target_domain` into an envelope.
pub fn wrap_request(message: &[u8], target_domain: &str) -> Result<Vec<u8>, EnvelopeError> {
    wrap(frame(message)?, Some(target_domain.into()))
}

/// Puts a Kerberos reply with its length in front into an envelope; a reply names no realm ([MS-KKDCP] 3.2.5.1).
pub fn wrap_reply(message: &[u8]) -> Result<Vec<u8>, EnvelopeError> {
    wrap(frame(message)?, None)
}

/// The message with its length in front, as on TCP (RFC 4120 §7.2.2).
pub fn frame(message: &[u8]) -> Result<Vec<u8>, EnvelopeError> {
    let len = u32::try_from(message.len()).map_err(|_| EnvelopeError::TooLarge)?;
    Ok([&len.to_be_bytes(), message].concat())
}

/// The length of the message behind these four bytes, on TCP (RFC 4120 §7.2.2).
///
/// # Errors
/// [`EnvelopeError::Length`] for none. [`EnvelopeError::TooLarge`] beyond [`MAX_BODY_LEN`]; so for the highest bit, which is
/// reserved for extensions (RFC 5021), of which none is known here.
pub fn message_len(prefix: [u8; 4]) -> Result<usize, EnvelopeError> {
    match usize::try_from(u32::from_be_bytes(prefix)) {
        Ok(0) => Err(EnvelopeError::Length),
        Ok(len) if len <= MAX_BODY_LEN => Ok(len),
        _ => Err(EnvelopeError::TooLarge),
    }
}

fn unframe(framed: &[u8]) -> Result<&[u8], EnvelopeError> {
    let (len, message) = framed
        .split_first_chunk::<4>()
        .ok_or(EnvelopeError::Length)?;
    if u32::try_from(message.len()).ok() != Some(u32::from_be_bytes(*len)) {
        return Err(EnvelopeError::Length);
    }
    Ok(message)
}

fn open(body: &[u8]) -> Result<KdcProxyMessage, EnvelopeError> {
    if body.len() > MAX_BODY_LEN {
        return Err(EnvelopeError::TooLarge);
    }
    Ok(decode(body)?)
}

fn wrap(
    kerb_message: Vec<u8>,
    target_domain: Option<KerberosString>,
) -> Result<Vec<u8>, EnvelopeError> {
    Ok(encode(&KdcProxyMessage {
        kerb_message: kerb_message.into(),
        target_domain,
        dclocator_hint: None,
    })?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_and_reply_round_trip() {
        let body = wrap_request(b"kerberos", "REALM.EXAMPLE").unwrap();
        let request = open_request(&body).unwrap();
        assert_eq!(request.message, b"kerberos");
        assert_eq!(request.target_domain.as_deref(), Some("REALM.EXAMPLE"));
        let reply = request.wrap_reply(b"answer").unwrap();
        assert_eq!(open_reply(&reply).unwrap(), b"answer");
    }

    /// F4: a message without a length is answered without one, and an empty realm is none.
    #[test]
    fn a_message_without_its_length_is_answered_in_kind() {
        for tag in REQUEST_TAGS {
            let body = wrap(vec![tag, 1, 0], Some("".into())).unwrap();
            let request = open_request(&body).unwrap();
            assert_eq!(request.message, [tag, 1, 0]);
            assert_eq!(request.target_domain, None);
            let reply = open(&request.wrap_reply(b"answer").unwrap()).unwrap();
            assert_eq!(reply.kerb_message.as_ref(), b"answer");
        }
    }

    #[test]
    fn a_wrong_length_field_is_refused() {
        let body = wrap_request(b"kerberos", "R").unwrap();
        let at = body.windows(4).position(|w| w == [0, 0, 0, 8]).unwrap();
        for lie in [0u8, 7, 9, 255] {
            let mut bad = body.clone();
            bad[at + 3] = lie;
            assert_eq!(open_request(&bad), Err(EnvelopeError::Length));
        }
        let short = encode(&KdcProxyMessage {
            kerb_message: vec![0, 0, 0].into(),
            target_domain: None,
            dclocator_hint: None,
        })
        .unwrap();
        assert_eq!(open_request(&short), Err(EnvelopeError::Length));
    }

    #[test]
    fn garbage_truncation_and_size_are_refused() {
        let body = wrap_request(b"kerberos", "R").unwrap();
        for cut in 0..body.len() {
            assert!(open_request(&body[..cut]).is_err());
        }
        assert!(open_request(&[&body[..], b"x"].concat()).is_err());
        assert_eq!(
            open_request(&vec![0x30; MAX_BODY_LEN + 1]),
            Err(EnvelopeError::TooLarge)
        );
    }

    #[test]
    fn a_length_on_tcp_is_bounded() {
        assert_eq!(message_len([0, 0, 1, 2]), Ok(258));
        assert_eq!(message_len([0, 2, 0, 0]), Ok(MAX_BODY_LEN));
        assert_eq!(message_len([0, 2, 0, 1]), Err(EnvelopeError::TooLarge));
        assert_eq!(message_len([0x80, 0, 0, 1]), Err(EnvelopeError::TooLarge));
        assert_eq!(message_len([0; 4]), Err(EnvelopeError::Length));
    }
}
