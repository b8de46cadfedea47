//! The TGS exchange, from realm to realm: RFC 4120 §3.3, RFC 6806 §8, under FAST armor where wanted (RFC 6113 §5.4).

use super::error::from_kdc;
use super::{
    ClientError, ClientStep, Request, as_error, credential, microseconds, nonce, open_part,
    principal, seconds, wire_name,
};
use crate::credential::Credential;
use crate::crypto::{Enctype, Key};
use crate::fast::{self, FastReq};
use crate::key_usage;
use crate::messages::{
    self, ApReq, Authenticator, Checksum, EncryptedData, EncryptionKey, KdcRep, KdcReq, KdcReqBody,
    KerberosFlags, KerberosTime, KrbError, MethodData, PaData, TgsRep, TgsReq, Ticket, kdc_option,
    pa_type,
};
use crate::principal::Principal;
use crate::random::Random;
use std::time::Duration;

/// The most realms on the way to a service.
const MAX_HOPS: usize = 10;

/// Gets a ticket for a service, starting from a ticket-granting ticket.
#[derive(Debug)]
pub struct TgsExchange {
    tgt: Credential,
    service: Principal,
    visited: Vec<String>,
    referrals: Vec<Credential>,
    armored: bool,
    waiting: Option<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    nonce: i64,
    subkey: Key,
    /// The armor key, where the request was armored.
    armor: Option<Key>,
}

impl TgsExchange {
    /// An exchange for `service` with `tgt`. The realm that is asked first is the one `tgt` is for; a service in
    /// another realm is found through the referrals that the KDCs give; the realm that `service` names is ignored.
    pub fn new(tgt: Credential, service: Principal) -> Self {
        Self {
            tgt,
            service,
            visited: Vec::new(),
            referrals: Vec::new(),
            armored: false,
            waiting: None,
        }
    }

    /// The same exchange under FAST armor, as MIT's clients do it: the KDC's answers and errors are then authenticated,
    /// and one without armor is refused.
    #[must_use]
    pub fn armored(mut self) -> Self {
        self.armored = true;
        self
    }

    /// The referral tickets collected on the way, in order.
    pub fn referrals(&self) -> &[Credential] {
        &self.referrals
    }

    /// The first request.
    pub fn begin(
        &mut self,
        now: Duration,
        random: &mut dyn Random,
    ) -> Result<ClientStep, ClientError> {
        let realm = self
            .tgt
            .server
            .ticket_granting_for()
            .ok_or(ClientError::UnexpectedReply(
                "the ticket to begin with grants no tickets",
            ))?
            .to_owned();
        let again = self
            .visited
            .iter()
            .any(|seen| seen.eq_ignore_ascii_case(&realm));
        if again || self.visited.len() >= MAX_HOPS {
            return Err(ClientError::ReferralLoop(self.service.clone()));
        }
        if !self.tgt.is_valid_at(seconds(now), 0) {
            return Err(ClientError::TicketExpired(self.tgt.client.clone()));
        }
        self.visited.push(realm.clone());
        let nonce = nonce(random);
        let subkey = Key::generate(self.tgt.key.enctype(), random);
        let armor = self
            .armored
            .then(|| fast::armor_key(&subkey, &self.tgt.key));
        let waiting = Waiting {
            nonce,
            subkey,
            armor,
        };
        let message = self.request(&realm, &waiting, now, random)?;
        self.waiting = Some(waiting);
        Ok(ClientStep::Send(Request { realm, message }))
    }

    /// Takes the KDC's answer.
    pub fn received(
        &mut self,
        reply: &[u8],
        now: Duration,
        random: &mut dyn Random,
    ) -> Result<ClientStep, ClientError> {
        let waiting = self.waiting.take().ok_or(ClientError::NotWaiting)?;
        if let Some(outer) = as_error(reply)? {
            let error = match &waiting.armor {
                Some(armor) => armored_error(&outer, armor)?,
                None => outer,
            };
            return Err(from_kdc(
                &error,
                &self.tgt.client,
                &self.service,
                seconds(now),
            ));
        }
        let granted = self.granted(reply, &waiting, seconds(now))?;
        if self.is_what_was_asked(&granted.server) {
            return Ok(ClientStep::Done(Box::new(granted)));
        }
        if granted.server.ticket_granting_for().is_none() {
            return Err(ClientError::UnexpectedReply("it grants another service"));
        }
        self.referrals.push(granted.clone());
        self.tgt = granted;
        self.begin(now, random)
    }

    /// Whether `server` is the service, in whichever realm it turned out to live. A ticket-granting service is only
    /// what was asked for when its realm is too: `krbtgt/B@A` may well be a step on the way to `krbtgt/B@B`.
    fn is_what_was_asked(&self, server: &Principal) -> bool {
        let names = server.components().len() == self.service.components().len()
            && server
                .components()
                .iter()
                .zip(self.service.components())
                .all(|(a, b)| a.eq_ignore_ascii_case(b));
        names
            && (self.service.ticket_granting_for().is_none()
                || server.realm().eq_ignore_ascii_case(self.service.realm()))
    }

    fn request(
        &self,
        realm: &str,
        waiting: &Waiting,
        now: Duration,
        random: &mut dyn Random,
    ) -> Result<Vec<u8>, ClientError> {
        let forwardable = self.tgt.flags & kdc_option::FORWARDABLE;
        let body = KdcReqBody {
            kdc_options: KerberosFlags(kdc_option::CANONICALIZE | forwardable),
            cname: None,
            realm: realm.into(),
            sname: Some(wire_name(&self.service)),
            from: None,
            till: KerberosTime(self.tgt.end_time),
            rtime: None,
            nonce: waiting.nonce,
            etype: Enctype::ALL
                .iter()
                .map(|enctype| enctype.number())
                .collect(),
            addresses: None,
            enc_authorization_data: None,
            additional_tickets: None,
        };
        let mut request = KdcReq::new(Vec::new(), body)?;
        let sum = Checksum::make(
            &self.tgt.key,
            key_usage::TGS_REQ_CHECKSUM,
            &request.raw_body,
        );
        let authenticator = messages::encode(&Authenticator {
            authenticator_vno: messages::PVNO,
            crealm: self.tgt.client.realm().into(),
            cname: wire_name(&self.tgt.client),
            cksum: Some(sum),
            cusec: microseconds(now),
            ctime: KerberosTime(seconds(now)),
            subkey: Some(EncryptionKey::from(&waiting.subkey)),
            seq_number: None,
            authorization_data: None,
        })?;
        let proof = ApReq {
            pvno: messages::PVNO,
            msg_type: ApReq::MSG_TYPE,
            ap_options: KerberosFlags(0),
            ticket: messages::decode::<Ticket>(&self.tgt.ticket)?,
            authenticator: EncryptedData::encrypt(
                &self.tgt.key,
                None,
                key_usage::TGS_REQ_AUTHENTICATOR,
                &authenticator,
                random,
            ),
        };
        let proof = messages::encode(&proof)?;
        if let Some(armor) = &waiting.armor {
            let inner = FastReq {
                fast_options: KerberosFlags(0),
                padata: Vec::new(),
                req_body: request.body.clone(),
            };
            let wrapped = fast::wrap_request(&inner, armor, &proof, random)?;
            request.padata.push(PaData::new(pa_type::FX_FAST, wrapped));
        }
        request.padata.push(PaData::new(pa_type::TGS_REQ, proof));
        Ok(TgsReq(request).encode()?)
    }

    fn granted(
        &self,
        reply: &[u8],
        waiting: &Waiting,
        now: i64,
    ) -> Result<Credential, ClientError> {
        let TgsRep(reply) = messages::decode(reply)?;
        if reply.pvno != messages::PVNO || reply.msg_type != TgsRep::MSG_TYPE {
            return Err(ClientError::UnexpectedReply("it is not a TGS reply"));
        }
        let reply_key = match &waiting.armor {
            Some(armor) => reply_key(&reply, waiting, armor)?,
            None => waiting.subkey.clone(),
        };
        let plain = reply
            .enc_part
            .decrypt(&reply_key, key_usage::TGS_REP_SUBKEY)
            .map_err(|_| ClientError::Forged)?;
        let part = open_part(&plain)?;
        if part.nonce != waiting.nonce {
            return Err(ClientError::UnexpectedReply("it answers another request"));
        }
        let client = principal(&reply.cname, reply.crealm.as_str())?;
        if !client.matches(&self.tgt.client) {
            return Err(ClientError::UnexpectedReply("it names another client"));
        }
        credential(client, &reply, &part, now)
    }
}

/// Checks the armor of a reply and returns the key that its encrypted part is under.
fn reply_key(reply: &KdcRep, waiting: &Waiting, armor: &Key) -> Result<Key, ClientError> {
    let padata = reply.padata.as_deref().unwrap_or_default();
    let wrapped = PaData::find(padata, pa_type::FX_FAST)
        .ok_or(ClientError::UnexpectedReply("it is not armored"))?;
    let response = fast::open_response(wrapped, armor)?;
    if response.nonce != waiting.nonce {
        return Err(ClientError::UnexpectedReply("it answers another request"));
    }
    let finished = response
        .finished
        .ok_or(ClientError::UnexpectedReply("its armor is not finished"))?;
    finished
        .ticket_checksum
        .verify(
            armor,
            key_usage::FAST_FINISHED,
            &messages::encode(&reply.ticket)?,
        )
        .map_err(|_| ClientError::Forged)?;
    match &response.strengthen_key {
        None => Ok(waiting.subkey.clone()),
        Some(key) => {
            let key = key.to_key().ok_or(ClientError::UnexpectedReply(
                "its strengthening key is not of an AES type",
            ))?;
            Ok(fast::strengthened_reply_key(&key, &waiting.subkey))
        }
    }
}

/// The error under the armor. What is outside is anybody's.
fn armored_error(outer: &KrbError, armor: &Key) -> Result<KrbError, ClientError> {
    let methods: MethodData = messages::decode(outer.e_data.as_deref().unwrap_or_default())
        .map_err(|_| ClientError::UnexpectedReply("its error is not armored"))?;
    let wrapped = PaData::find(&methods, pa_type::FX_FAST)
        .ok_or(ClientError::UnexpectedReply("its error is not armored"))?;
    let response = fast::open_response(wrapped, armor)?;
    let error = PaData::find(&response.padata, pa_type::FX_ERROR)
        .ok_or(ClientError::UnexpectedReply("its armor holds no error"))?;
    Ok(messages::decode(error)?)
}
