//! The client's side of the Kerberos exchanges, as state machines; the caller carries the messages.
//!
//! [`AsExchange`] turns a password or a long-term key into a ticket-granting ticket, [`TgsExchange`] turns that into a
//! ticket for a service and follows referrals from realm to realm. A machine yields [`ClientStep::Send`]: the realm to ask
//! and the bytes for it, without the length that TCP puts in front; it is given the answer, the time and randomness,
//! and yields the next step. It never waits, never resolves a name, never picks a KDC. Answers are believed only when
//! they decrypt with the right key and carry the request's nonce; error messages are not authenticated (RFC 4120 §5.9.1)
//! and so can end an exchange but never weaken it.

mod as_exchange;
mod error;
mod tgs_exchange;

pub use as_exchange::{AsExchange, Secret};
pub use error::ClientError;
pub use tgs_exchange::TgsExchange;

use crate::credential::Credential;
use crate::messages::{
    self, EncKdcRepPart, KdcRep, KerberosTime, KrbError, MessageError, PrincipalName,
};
use crate::principal::Principal;
use crate::random::Random;
use std::time::Duration;

/// The largest answer of a KDC that is looked at, in bytes. A PAC with 1,010 groups is below 64 KiB.
pub const MAX_REPLY_LEN: usize = 1 << 20;

/// How far a ticket's life is asked to reach, in seconds: the KDC's policy caps it.
const WANTED_LIFETIME_S: i64 = 10 * 3600;

/// What an exchange wants next.
#[derive(Debug)]
pub enum ClientStep {
    /// Send this to a KDC and give the answer to `received`.
    Send(Request),
    /// The exchange is over.
    Done(Box<Credential>),
}

/// A message for a KDC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The realm whose KDC is meant.
    pub realm: String,
    /// The message, without a length in front.
    pub message: Vec<u8>,
}

/// Whole seconds of a time since the Unix epoch.
fn seconds(now: Duration) -> i64 {
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}

/// The microseconds within the second, below 1,000,000.
fn microseconds(now: Duration) -> i32 {
    i32::try_from(now.subsec_micros()).unwrap_or_default()
}

/// A nonce that fits both the RFC's UInt32 and the Int32 that some peers make of it.
fn nonce(random: &mut dyn Random) -> i64 {
    let mut bytes = [0; 4];
    random.fill(&mut bytes);
    i64::from(u32::from_be_bytes(bytes) >> 1)
}

/// The name on the wire.
fn wire_name(principal: &Principal) -> PrincipalName {
    let components: Vec<&str> = principal.components().iter().map(String::as_str).collect();
    PrincipalName::new(principal.name_type(), &components)
}

/// The principal of a name on the wire.
fn principal(name: &PrincipalName, realm: &str) -> Result<Principal, ClientError> {
    let components = name.components.iter().map(|part| part.as_str());
    Principal::new(name.name_type, components, realm)
        .map_err(|_| ClientError::UnexpectedReply("a name in it is not a principal"))
}

/// The KRB-ERROR in `bytes`, if that is what they are (tag `[APPLICATION 30]`).
fn as_error(bytes: &[u8]) -> Result<Option<KrbError>, ClientError> {
    if bytes.len() > MAX_REPLY_LEN {
        return Err(ClientError::UnexpectedReply("it is too large"));
    }
    if bytes.first() != Some(&0x7e) {
        return Ok(None);
    }
    Ok(Some(messages::decode::<KrbError>(bytes)?))
}

/// The decrypted part of a reply, under either of its tags: some KDCs use the TGS's for both (RFC 4120 §5.4.2).
fn open_part(plain: &[u8]) -> Result<EncKdcRepPart, MessageError> {
    match plain.first() {
        Some(0x79) => messages::decode::<messages::EncAsRepPart>(plain).map(|part| part.0),
        _ => messages::decode::<messages::EncTgsRepPart>(plain).map(|part| part.0),
    }
}

/// The credential that a verified reply grants.
fn credential(
    client: Principal,
    reply: &KdcRep,
    part: &EncKdcRepPart,
    now: i64,
) -> Result<Credential, ClientError> {
    let key = part.key.to_key().ok_or(ClientError::UnexpectedReply(
        "its session key is not of an AES type",
    ))?;
    let credential = Credential {
        client,
        server: principal(&part.sname, part.srealm.as_str())?,
        key,
        auth_time: part.authtime.0,
        start_time: part.starttime.unwrap_or(part.authtime).0,
        end_time: part.endtime.0,
        renew_until: part.renew_till.map(|time| time.0),
        flags: part.flags.0,
        ticket: messages::encode(&reply.ticket)?,
    };
    if credential.start_time > now.saturating_add(crate::credential::MAX_SKEW_S) {
        return Err(ClientError::Skew {
            ahead_s: Some(credential.start_time.saturating_sub(now)),
        });
    }
    Ok(credential)
}

/// The end time to ask for.
fn wanted_end(now: i64) -> KerberosTime {
    KerberosTime(now.saturating_add(WANTED_LIFETIME_S))
}

#[cfg(test)]
mod tests;
