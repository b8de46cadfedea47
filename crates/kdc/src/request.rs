//! Reading a request before any key is known: what it is, what it presents and what it asks for.

use crate::event::{Reason, TicketRefusal};
use crossrealm_krb::messages::{
    ApReq, AsReq, KdcReq, KdcReqBody, KrbError, PVNO, PaData, TgsReq, decode, pa_type,
};

/// A message, recognized by its first byte: the application tag of RFC 4120 §5.10.
pub(crate) enum Message {
    /// A ticket request.
    Tgs(Box<TicketRequest>),
    /// Kerberos, but refused without a look at any key; with the request's body where it is one.
    Refused(TicketRefusal, Option<Box<KdcReqBody>>),
    /// A request to change a password, RFC 3244 §2.
    PasswordChange,
    /// Not Kerberos.
    Garbage,
}

/// A decoded TGS-REQ with the AP-REQ it presents.
pub(crate) struct TicketRequest {
    pub(crate) request: KdcReq,
    pub(crate) ap_req: ApReq,
    /// The bytes of the AP-REQ, which the FAST checksum covers.
    pub(crate) raw_ap_req: Vec<u8>,
    /// The bytes of the whole message, which a protected reply can prove.
    pub(crate) raw: Vec<u8>,
}

const AS_REQ_TAG: u8 = 0x6A;
const TGS_REQ_TAG: u8 = 0x6C;
const AP_REQ_TAG: u8 = 0x6E;
/// Other Kerberos messages, from Ticket (1) to KRB-ERROR (30), as constructed application tags.
const KERBEROS_TAGS: std::ops::RangeInclusive<u8> = 0x61..=0x7E;

impl Message {
    pub(crate) fn read(bytes: &[u8]) -> Self {
        match bytes.first() {
            Some(&TGS_REQ_TAG) => match TgsReq::decode(bytes) {
                Ok(TgsReq(request)) => ticket_request(request, bytes),
                Err(_) => Self::Garbage,
            },
            Some(&AS_REQ_TAG) => match AsReq::decode(bytes) {
                Ok(AsReq(request)) => Self::Refused(
                    Reason::SignInIsOnPremises.because("an AS-REQ came"),
                    Some(Box::new(request.body)),
                ),
                Err(_) => Self::Garbage,
            },
            // Answering an error with an error would let two services talk to each other for ever.
            Some(tag)
                if KERBEROS_TAGS.contains(tag)
                    && is_one_element(bytes)
                    && decode::<KrbError>(bytes).is_err() =>
            {
                let detail = format!("a message with tag {tag:#04x} came");
                Self::Refused(Reason::UnsupportedMessage.because(detail), None)
            }
            _ if is_password_change(bytes) => Self::PasswordChange,
            _ => Self::Garbage,
        }
    }
}

/// Whether these bytes are a change-password request, RFC 3244 §2: the length of the whole, version 1 or 0xFF80, the length
/// of the AP-REQ, the AP-REQ, and a KRB-PRIV. Clients send it through the KDC proxy like any other message.
fn is_password_change(bytes: &[u8]) -> bool {
    let [len_high, len_low, version @ ..] = bytes.get(..4).unwrap_or_default() else {
        return false;
    };
    let len = usize::from(u16::from_be_bytes([*len_high, *len_low]));
    len == bytes.len()
        && matches!(version, [0, 1] | [0xFF, 0x80])
        && bytes.get(6) == Some(&AP_REQ_TAG)
}

/// Whether these bytes are one DER element from end to end (X.690 §8.1): lower-case text begins like an application tag too.
fn is_one_element(bytes: &[u8]) -> bool {
    let [_, first, rest @ ..] = bytes else {
        return false;
    };
    if *first < 0x80 {
        return rest.len() == usize::from(*first);
    }
    match rest.split_at_checked(usize::from(*first & 0x7F)) {
        Some((length @ [_, ..], content)) if length.len() <= 4 => {
            let length = length
                .iter()
                .fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
            u64::try_from(content.len()) == Ok(length)
        }
        _ => false,
    }
}

fn ticket_request(request: KdcReq, raw: &[u8]) -> Message {
    match presented(&request) {
        Ok((ap_req, raw_ap_req)) => Message::Tgs(Box::new(TicketRequest {
            request,
            ap_req,
            raw_ap_req,
            raw: raw.to_vec(),
        })),
        Err(refusal) => Message::Refused(refusal, Some(Box::new(request.body))),
    }
}

/// The AP-REQ of the one PA-TGS-REQ, RFC 4120 §5.4.1. Two of them would leave open which one takes effect.
fn presented(request: &KdcReq) -> Result<(ApReq, Vec<u8>), TicketRefusal> {
    let mut found = request
        .padata
        .iter()
        .filter(|p| p.padata_type == pa_type::TGS_REQ);
    let (Some(PaData { padata_value, .. }), None) = (found.next(), found.next()) else {
        return Err(Reason::NoTicket.because("not exactly one PA-TGS-REQ came"));
    };
    let ap_req: ApReq = decode(padata_value)
        .map_err(|e| Reason::MalformedTicket.because(format!("the AP-REQ: {e}")))?;
    if ap_req.pvno != PVNO || ap_req.msg_type != ApReq::MSG_TYPE || ap_req.ticket.tkt_vno != PVNO {
        return Err(Reason::MalformedTicket.because("the AP-REQ has another protocol version"));
    }
    if ap_req.ap_options.has(ApReq::USE_SESSION_KEY) {
        return Err(Reason::OptionNotSupported.because("the AP-REQ asks for user-to-user"));
    }
    Ok((ap_req, padata_value.to_vec()))
}
