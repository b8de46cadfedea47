//! Establishing a context: RFC 4121 §4.1 in RFC 4178 §4.2.

use super::message::{Context, Side};
use super::spnego::{self, NegState};
use super::{GssError, framing};
use crate::credential::Credential;
use crate::crypto::Key;
use crate::key_usage;
use crate::messages::{
    self, ApRep, ApReq, Authenticator, Checksum, EncApRepPart, EncryptedData, EncryptionKey,
    KerberosFlags, KerberosTime, KrbError, PrincipalName, Ticket,
};
use crate::random::Random;
use std::time::Duration;

/// Kerberos 5's object identifier, 1.2.840.113554.1.2.2, as DER content.
const KERBEROS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02];

/// Token ids, RFC 4121 §4.1.
const TOKEN_AP_REQ: [u8; 2] = [1, 0];
const TOKEN_AP_REP: [u8; 2] = [2, 0];
const TOKEN_ERROR: [u8; 2] = [3, 0];

/// The checksum type that carries the context's flags, RFC 4121 §4.1.1.
const CHECKSUM_GSS: i32 = 0x8003;

/// Mutual authentication, replay detection, sequence detection, confidentiality and integrity: RFC 4121 §4.1.1.1.
const FLAGS: u32 = 2 | 4 | 8 | 16 | 32;

/// How the tokens are wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// Kerberos inside SPNEGO: SMB, and LDAP's `GSS-SPNEGO`.
    Spnego,
    /// Kerberos alone: LDAP's `GSSAPI`, HTTP of some servers.
    Kerberos,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContextStep {
    /// Send this token and give the answer to the next `step`.
    Continue(Vec<u8>),
    /// The context is established; where there is a token, the peer still wants it.
    Done(Option<Vec<u8>>),
}

/// Establishes a context with the service of a ticket.
#[derive(Debug)]
pub struct Initiator {
    credential: Credential,
    mechanism: Mechanism,
    state: State,
}

#[derive(Debug)]
enum State {
    Start,
    /// The AP-REQ is out.
    SentAuthenticator(SentAuthenticator),
    /// Kerberos is done; SPNEGO still awaits the acceptor's answer.
    Negotiating(Context),
    Done(Context),
    Failed,
}

#[derive(Debug)]
struct SentAuthenticator {
    time: KerberosTime,
    microseconds: i32,
    subkey: Key,
    sequence: u32,
}

impl Initiator {
    /// An initiator that will use the ticket of `credential`.
    pub fn new(credential: Credential, mechanism: Mechanism) -> Self {
        Self {
            credential,
            mechanism,
            state: State::Start,
        }
    }

    /// Takes the peer's token (empty at first) and returns what to send. `now` is the time since the Unix epoch. After an
    /// error the initiator is of no further use.
    pub fn step(
        &mut self,
        incoming: &[u8],
        now: Duration,
        random: &mut dyn Random,
    ) -> Result<ContextStep, GssError> {
        match std::mem::replace(&mut self.state, State::Failed) {
            State::Start if incoming.is_empty() => self.first(now, random),
            State::SentAuthenticator(asked) if self.mechanism == Mechanism::Kerberos => {
                let context = self.answered(&asked, incoming)?;
                self.state = State::Done(context);
                Ok(ContextStep::Done(None))
            }
            State::SentAuthenticator(asked) => {
                let response = spnego::read(incoming)?;
                match (&response.token, response.state) {
                    (Some(token), state) if state != Some(NegState::Reject) => {
                        let context = self.answered(&asked, token)?;
                        self.negotiated(context, &response)
                    }
                    (Some(token), _) => Err(self
                        .answered(&asked, token)
                        .err()
                        .unwrap_or(GssError::Rejected)),
                    (None, Some(NegState::Reject)) => Err(GssError::Rejected),
                    (None, _) => Err(GssError::NotMutual),
                }
            }
            State::Negotiating(context) => {
                let response = spnego::read(incoming)?;
                if response.token.is_some() {
                    return Err(GssError::Malformed);
                }
                self.negotiated(context, &response)
            }
            State::Done(context) => {
                self.state = State::Done(context);
                Err(GssError::Complete)
            }
            State::Start | State::Failed => Err(GssError::Malformed),
        }
    }

    /// The context, once established.
    pub fn context(&self) -> Option<&Context> {
        match &self.state {
            State::Done(context) => Some(context),
            _ => None,
        }
    }

    /// The context, once established.
    pub fn into_context(self) -> Option<Context> {
        match self.state {
            State::Done(context) => Some(context),
            _ => None,
        }
    }

    fn first(&mut self, now: Duration, random: &mut dyn Random) -> Result<ContextStep, GssError> {
        let mut sequence = [0; 4];
        random.fill(&mut sequence);
        let asked = SentAuthenticator {
            time: KerberosTime(i64::try_from(now.as_secs()).unwrap_or(i64::MAX)),
            microseconds: i32::try_from(now.subsec_micros()).unwrap_or_default(),
            subkey: Key::generate(self.credential.key.enctype(), random),
            // Below 2^30, so that no peer takes it for a negative number and none wraps soon.
            sequence: u32::from_be_bytes(sequence) >> 2,
        };
        let mut token = TOKEN_AP_REQ.to_vec();
        token.extend(self.ap_req(&asked, random)?);
        let token = framing::initial_token(KERBEROS, &token);
        self.state = State::SentAuthenticator(asked);
        Ok(ContextStep::Continue(match self.mechanism {
            Mechanism::Kerberos => token,
            Mechanism::Spnego => spnego::initial(token)?,
        }))
    }

    fn ap_req(
        &self,
        asked: &SentAuthenticator,
        random: &mut dyn Random,
    ) -> Result<Vec<u8>, GssError> {
        // No channel bindings: sixteen zero bytes, RFC 4121 §4.1.1.2.
        let mut binding_and_flags = 16u32.to_le_bytes().to_vec();
        binding_and_flags.extend([0; 16]);
        binding_and_flags.extend(FLAGS.to_le_bytes());
        let client = &self.credential.client;
        let components: Vec<&str> = client.components().iter().map(String::as_str).collect();
        let authenticator = messages::encode(&Authenticator {
            authenticator_vno: messages::PVNO,
            crealm: client.realm().into(),
            cname: PrincipalName::new(client.name_type(), &components),
            cksum: Some(Checksum {
                cksumtype: CHECKSUM_GSS,
                checksum: binding_and_flags.into(),
            }),
            cusec: asked.microseconds,
            ctime: asked.time,
            subkey: Some(EncryptionKey::from(&asked.subkey)),
            seq_number: Some(i64::from(asked.sequence)),
            authorization_data: None,
        })?;
        Ok(messages::encode(&ApReq {
            pvno: messages::PVNO,
            msg_type: ApReq::MSG_TYPE,
            ap_options: KerberosFlags(ApReq::MUTUAL_REQUIRED),
            ticket: messages::decode::<Ticket>(&self.credential.ticket)?,
            authenticator: EncryptedData::encrypt(
                &self.credential.key,
                None,
                key_usage::AP_REQ_AUTHENTICATOR,
                &authenticator,
                random,
            ),
        })?)
    }

    /// Takes the service's AP-REP: the proof that it could decrypt the ticket.
    fn answered(&self, asked: &SentAuthenticator, token: &[u8]) -> Result<Context, GssError> {
        let inner = framing::read_initial_token(KERBEROS, token).ok_or(GssError::Malformed)?;
        let (id, message) = inner.split_first_chunk::<2>().ok_or(GssError::Malformed)?;
        if *id == TOKEN_ERROR {
            let error: KrbError = messages::decode(message)?;
            return Err(GssError::Kerberos(error.error_code));
        }
        if *id != TOKEN_AP_REP {
            return Err(GssError::Malformed);
        }
        let reply: ApRep = messages::decode(message)?;
        if reply.pvno != messages::PVNO || reply.msg_type != ApRep::MSG_TYPE {
            return Err(GssError::Malformed);
        }
        let plain = reply
            .enc_part
            .decrypt(&self.credential.key, key_usage::AP_REP)
            .map_err(|_| GssError::NotMutual)?;
        let part: EncApRepPart = messages::decode(&plain)?;
        if part.ctime != asked.time || part.cusec != asked.microseconds {
            return Err(GssError::NotMutual);
        }
        let acceptor_subkey = match &part.subkey {
            Some(subkey) => Some(subkey.to_key().ok_or(GssError::Malformed)?),
            None => None,
        };
        let asserted = acceptor_subkey.is_some();
        Ok(Context::new(
            Side::Initiator,
            acceptor_subkey.unwrap_or_else(|| asked.subkey.clone()),
            asserted,
            u64::from(asked.sequence),
            sequence(part.seq_number.unwrap_or_default())?,
        ))
    }

    /// Ends or continues the negotiation around an established Kerberos context. The mechanism list is protected by
    /// a MIC where the acceptor sends or wants one; with a single mechanism offered and accepted it may do without
    /// (RFC 4178 §5).
    fn negotiated(
        &mut self,
        mut context: Context,
        response: &spnego::Response,
    ) -> Result<ContextStep, GssError> {
        if response.state == Some(NegState::Reject) {
            return Err(GssError::Rejected);
        }
        let list = spnego::mech_list()?;
        if let Some(mic) = &response.mic {
            context.verify_mic(&list, mic)?;
        }
        let completed = response.state == Some(NegState::AcceptCompleted);
        match (completed, response.mic.is_some()) {
            (true, _) => {
                self.state = State::Done(context);
                Ok(ContextStep::Done(None))
            }
            (false, true) => {
                let token = spnego::with_mic(context.mic(&list))?;
                self.state = State::Done(context);
                Ok(ContextStep::Done(Some(token)))
            }
            (false, false) => {
                let token = spnego::with_mic(context.mic(&list))?;
                self.state = State::Negotiating(context);
                Ok(ContextStep::Continue(token))
            }
        }
    }
}

/// A sequence number as the unsigned 32-bit value it stands for: some peers encode it as a negative integer.
fn sequence(raw: i64) -> Result<u64, GssError> {
    match i32::try_from(raw) {
        Ok(signed) => Ok(u64::from(u32::from_ne_bytes(signed.to_ne_bytes()))),
        Err(_) => u32::try_from(raw)
            .map(u64::from)
            .map_err(|_| GssError::Malformed),
    }
}
