//! SPNEGO as far as an initiator with one mechanism needs it, RFC 4178 §4.2.

use super::GssError;
use super::framing;
use rasn::prelude::*;

/// SPNEGO's object identifier, 1.3.6.1.5.5.2, as DER content.
const SPNEGO: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x02];

/// The tags of the NegotiationToken choice.
const TAG_INIT: u8 = 0xa0;
const TAG_RESPONSE: u8 = 0xa1;

/// Kerberos 5, RFC 4121 §4.1: 1.2.840.113554.1.2.2.
const KERBEROS_ARCS: &[u32] = &[1, 2, 840, 113_554, 1, 2, 2];
/// The same mechanism under the number that Windows 2000 gave it: 1.2.840.48018.1.2.2 ([MS-SPNG] 3.1.5.2).
const MS_KERBEROS_ARCS: &[u32] = &[1, 2, 840, 48_018, 1, 2, 2];

#[derive(AsnType, Encode, Decode, Debug, Clone)]
struct NegTokenInit {
    #[rasn(tag(explicit(context, 0)))]
    mech_types: SequenceOf<ObjectIdentifier>,
    #[rasn(tag(explicit(context, 2)))]
    mech_token: Option<OctetString>,
}

#[derive(AsnType, Encode, Decode, Debug, Clone)]
struct NegTokenResp {
    #[rasn(tag(explicit(context, 0)))]
    neg_state: Option<NegState>,
    #[rasn(tag(explicit(context, 1)))]
    supported_mech: Option<ObjectIdentifier>,
    #[rasn(tag(explicit(context, 2)))]
    response_token: Option<OctetString>,
    #[rasn(tag(explicit(context, 3)))]
    mech_list_mic: Option<OctetString>,
}

/// How the acceptor judges the negotiation, RFC 4178 §4.2.2.
#[derive(AsnType, Encode, Decode, Debug, Clone, Copy, PartialEq, Eq)]
#[rasn(enumerated)]
pub(super) enum NegState {
    AcceptCompleted = 0,
    AcceptIncomplete = 1,
    Reject = 2,
    RequestMic = 3,
}

/// An acceptor's answer.
pub(super) struct Response {
    pub(super) state: Option<NegState>,
    pub(super) token: Option<Vec<u8>>,
    pub(super) mic: Option<Vec<u8>>,
}

/// The one mechanism offered.
fn offered() -> Result<Vec<ObjectIdentifier>, GssError> {
    ObjectIdentifier::new(KERBEROS_ARCS)
        .map(|oid| vec![oid])
        .ok_or(GssError::Malformed)
}

/// The DER of the offered MechTypeList: what a mechListMIC covers.
pub(super) fn mech_list() -> Result<Vec<u8>, GssError> {
    rasn::der::encode(&offered()?).map_err(|_| GssError::Malformed)
}

/// The first token: Kerberos alone, with its own first token.
pub(super) fn initial(mech_token: Vec<u8>) -> Result<Vec<u8>, GssError> {
    let init = rasn::der::encode(&NegTokenInit {
        mech_types: offered()?,
        mech_token: Some(mech_token.into()),
    })
    .map_err(|_| GssError::Malformed)?;
    Ok(framing::initial_token(
        SPNEGO,
        &framing::tlv(TAG_INIT, &init),
    ))
}

/// A later token that carries the mechListMIC.
pub(super) fn with_mic(mic: Vec<u8>) -> Result<Vec<u8>, GssError> {
    let response = rasn::der::encode(&NegTokenResp {
        neg_state: Some(NegState::AcceptCompleted),
        supported_mech: None,
        response_token: None,
        mech_list_mic: Some(mic.into()),
    })
    .map_err(|_| GssError::Malformed)?;
    Ok(framing::tlv(TAG_RESPONSE, &response))
}

/// Reads the acceptor's token. A mechanism other than the offered one is refused.
pub(super) fn read(token: &[u8]) -> Result<Response, GssError> {
    let (body, rest) = framing::read_tlv(TAG_RESPONSE, token).ok_or(GssError::Malformed)?;
    if !rest.is_empty() {
        return Err(GssError::Malformed);
    }
    let response: NegTokenResp = rasn::der::decode(body).map_err(|_| GssError::Malformed)?;
    if let Some(mech) = &response.supported_mech {
        let arcs: &[u32] = mech;
        if arcs != KERBEROS_ARCS && arcs != MS_KERBEROS_ARCS {
            return Err(GssError::OtherMechanism);
        }
    }
    Ok(Response {
        state: response.neg_state,
        token: response.response_token.map(|token| token.to_vec()),
        mic: response.mech_list_mic.map(|mic| mic.to_vec()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_initial_token_is_encoded_as_in_rfc_4178() {
        let token = initial(vec![0x60, 0x01, 0x00]).unwrap();
        let expected = [
            0x60, 0x22, 0x06, 0x06, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x02, 0xa0, 0x18, 0x30, 0x16,
            0xa0, 0x0d, 0x30, 0x0b, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02,
            0x02, 0xa2, 0x05, 0x04, 0x03, 0x60, 0x01, 0x00,
        ];
        assert_eq!(token, expected);
    }

    #[test]
    fn a_response_is_decoded() {
        let mut body = vec![0xa0, 0x03, 0x0a, 0x01, 0x00, 0xa1, 0x0b, 0x06, 0x09];
        body.extend([0x2a, 0x86, 0x48, 0x82, 0xf7, 0x12, 0x01, 0x02, 0x02]);
        body.extend([0xa2, 0x04, 0x04, 0x02, 1, 2]);
        let token = framing::tlv(TAG_RESPONSE, &framing::tlv(0x30, &body));
        let response = read(&token).unwrap();
        assert_eq!(response.state, Some(NegState::AcceptCompleted));
        assert_eq!(response.token.as_deref(), Some(&[1, 2][..]));
        assert!(response.mic.is_none());
        for cut in 0..token.len() {
            assert!(read(&token[..cut]).is_err(), "{cut}");
        }
        let mut trailing = token.clone();
        trailing.push(0);
        assert!(read(&trailing).is_err());
    }

    #[test]
    fn another_mechanism_is_refused() {
        // NTLM, 1.3.6.1.4.1.311.2.2.10
        let mut body = vec![0xa1, 0x0c, 0x06, 0x0a];
        body.extend([0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x02, 0x02, 0x0a]);
        let token = framing::tlv(TAG_RESPONSE, &framing::tlv(0x30, &body));
        assert_eq!(read(&token).err(), Some(GssError::OtherMechanism));
    }
}
