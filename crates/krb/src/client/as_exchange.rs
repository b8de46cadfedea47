//! The AS exchange with encrypted-timestamp pre-authentication: RFC 4120 §3.1, §5.2.7.2, RFC 6806.

use super::error::{from_kdc, revoked};
use super::{
    ClientError, ClientStep, Request, as_error, credential, microseconds, nonce, open_part,
    principal, seconds, wanted_end, wire_name,
};
use crate::crypto::{Enctype, Key};
use crate::key_usage;
use crate::keytab::KeytabEntry;
use crate::messages::{
    self, AsRep, AsReq, Checksum, EncryptedData, EtypeInfo2Entry, KdcReq, KdcReqBody,
    KerberosFlags, KerberosTime, KrbError, MethodData, PaData, PaEncTsEnc, PrincipalName,
    error_code, flags, kdc_option, pa_type,
};
use crate::principal::Principal;
use crate::random::Random;
use std::time::Duration;
use zeroize::Zeroizing;

/// The fewest PBKDF2 iterations that a KDC may ask for, the default of RFC 3962 §4. An impostor of the KDC could
/// otherwise have the password tried against a cheap key.
const MIN_ITERATIONS: u32 = 4096;

/// The most entries of ETYPE-INFO2 that are looked at.
const MAX_ETYPE_INFO: usize = 32;

/// How often a KDC may send the client to another realm before that is a loop.
const MAX_REALMS: usize = 5;

/// The key usage of the checksum over the AS request in its reply, RFC 6806 §11.
const USAGE_AS_REQ: u32 = 56;

/// What proves who the client is.
#[derive(Clone)]
pub enum Secret {
    /// The password.
    Password(Zeroizing<String>),
    /// Long-term keys from a keytab, the preferred first.
    Keys(Vec<Key>),
}

impl Secret {
    /// The keys of these keytab entries that share the newest version.
    pub fn from_keytab(entries: &[&KeytabEntry]) -> Self {
        let newest = entries.iter().map(|entry| entry.kvno).max();
        Self::Keys(
            entries
                .iter()
                .filter(|entry| Some(entry.kvno) == newest)
                .map(|entry| entry.key.clone())
                .collect(),
        )
    }

    fn offers(&self, enctype: Enctype) -> bool {
        match self {
            Self::Password(_) => true,
            Self::Keys(keys) => keys.iter().any(|key| key.enctype() == enctype),
        }
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Gets a ticket-granting ticket.
#[derive(Debug)]
pub struct AsExchange {
    client: Principal,
    secret: Secret,
    /// The realm asked now: the client's own, until a KDC names another.
    realm: String,
    realms_asked: usize,
    waiting: Option<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    nonce: i64,
    message: Vec<u8>,
    /// The key of the pre-authentication, where it was sent.
    key: Option<Key>,
}

impl AsExchange {
    /// An exchange for `client`, whose realm is the one asked first. A client of type NT-ENTERPRISE is a user principal
    /// name, which the KDC replaces by the account's own name.
    pub fn new(client: Principal, secret: Secret) -> Self {
        Self {
            realm: client.realm().to_owned(),
            client,
            secret,
            realms_asked: 0,
            waiting: None,
        }
    }

    /// The first request: without pre-authentication, so that the KDC names the salt.
    pub fn begin(
        &mut self,
        now: Duration,
        random: &mut dyn Random,
    ) -> Result<ClientStep, ClientError> {
        self.realms_asked += 1;
        if self.realms_asked > MAX_REALMS {
            return Err(ClientError::ReferralLoop(self.client.clone()));
        }
        self.request(None, Vec::new(), now, random)
    }

    /// Takes the KDC's answer.
    pub fn received(
        &mut self,
        reply: &[u8],
        now: Duration,
        random: &mut dyn Random,
    ) -> Result<ClientStep, ClientError> {
        let waiting = self.waiting.take().ok_or(ClientError::NotWaiting)?;
        match as_error(reply)? {
            Some(error) => self.refused(&error, &waiting, now, random),
            None => self.granted(reply, waiting, now),
        }
    }

    fn refused(
        &mut self,
        error: &KrbError,
        waiting: &Waiting,
        now: Duration,
        random: &mut dyn Random,
    ) -> Result<ClientStep, ClientError> {
        match (error.error_code, &waiting.key, &self.secret) {
            (error_code::PREAUTH_REQUIRED, None, _) => {
                let data = error.e_data.as_deref().unwrap_or_default();
                let methods: MethodData = messages::decode(data)?;
                self.pre_authenticate(&methods, now, random)
            }
            (error_code::PREAUTH_FAILED | error_code::BAD_INTEGRITY, _, Secret::Password(_)) => {
                Err(ClientError::WrongPassword(self.client.clone()))
            }
            (error_code::PREAUTH_FAILED | error_code::BAD_INTEGRITY, _, Secret::Keys(_)) => {
                Err(ClientError::WrongKey(self.client.clone()))
            }
            (error_code::CLIENT_REVOKED, Some(_), _) => Err(revoked(error, &self.client, true)),
            (error_code::WRONG_REALM, ..) => {
                let realm = error.crealm.as_ref().map(|realm| realm.as_str().to_owned());
                self.realm = realm
                    .filter(|realm| !realm.is_empty() && *realm != self.realm)
                    .ok_or_else(|| ClientError::ReferralLoop(self.client.clone()))?;
                self.begin(now, random)
            }
            _ => Err(from_kdc(
                error,
                &self.client,
                &self.service()?,
                seconds(now),
            )),
        }
    }

    /// Answers KDC_ERR_PREAUTH_REQUIRED with an encrypted timestamp.
    fn pre_authenticate(
        &mut self,
        methods: &[PaData],
        now: Duration,
        random: &mut dyn Random,
    ) -> Result<ClientStep, ClientError> {
        if PaData::find(methods, pa_type::ENC_TIMESTAMP).is_none() {
            return Err(ClientError::NoPreAuthentication(self.client.clone()));
        }
        let key = self.key(methods, None)?;
        let stamp = messages::encode(&PaEncTsEnc {
            patimestamp: KerberosTime(seconds(now)),
            pausec: Some(microseconds(now)),
        })?;
        let sealed =
            EncryptedData::encrypt(&key, None, key_usage::PA_ENC_TIMESTAMP, &stamp, random);
        let mut padata = vec![PaData::new(
            pa_type::ENC_TIMESTAMP,
            messages::encode(&sealed)?,
        )];
        if let Some(cookie) = PaData::find(methods, pa_type::FX_COOKIE) {
            padata.push(PaData::new(pa_type::FX_COOKIE, cookie.to_vec()));
        }
        self.request(Some(key), padata, now, random)
    }

    /// The client's key for the first entry of the KDC's ETYPE-INFO2 that we support; or, once a reply is there, for
    /// the enctype it is encrypted with.
    fn key(&self, methods: &[PaData], sealed_with: Option<i32>) -> Result<Key, ClientError> {
        let info: Vec<EtypeInfo2Entry> = match PaData::find(methods, pa_type::ETYPE_INFO2) {
            Some(bytes) => messages::decode(bytes)?,
            None => Vec::new(),
        };
        let wanted = |number: i32| {
            Enctype::from_number(number)
                .filter(|enctype| sealed_with.is_none_or(|sealed| enctype.number() == sealed))
        };
        let mut supported = info
            .iter()
            .take(MAX_ETYPE_INFO)
            .filter_map(|entry| wanted(entry.etype).map(|enctype| (enctype, Some(entry))))
            .chain(sealed_with.and_then(wanted).map(|enctype| (enctype, None)))
            .peekable();
        if supported.peek().is_none() {
            return Err(ClientError::NoCommonEnctype(self.client.clone()));
        }
        let (enctype, entry) = supported
            .find(|(enctype, _)| self.secret.offers(*enctype))
            .ok_or_else(|| ClientError::NoKey(self.client.clone()))?;
        match &self.secret {
            Secret::Keys(keys) => keys
                .iter()
                .find(|key| key.enctype() == enctype)
                .cloned()
                .ok_or_else(|| ClientError::NoKey(self.client.clone())),
            Secret::Password(password) => self.derive(enctype, entry, password),
        }
    }

    fn derive(
        &self,
        enctype: Enctype,
        entry: Option<&EtypeInfo2Entry>,
        password: &str,
    ) -> Result<Key, ClientError> {
        // The default salt is the realm and the components without separators, RFC 4120 §4.
        let default = || [self.client.realm(), &self.client.components().concat()].concat();
        let salt = match entry.and_then(|entry| entry.salt.as_ref()) {
            Some(salt) => salt.as_str().to_owned(),
            None => default(),
        };
        let iterations = match entry.and_then(|entry| entry.s2kparams.as_ref()) {
            Some(bytes) => Some(u32::from_be_bytes(bytes.as_ref().try_into().map_err(
                |_| ClientError::UnexpectedReply("its string-to-key parameters are not four bytes"),
            )?)),
            None => None,
        };
        if iterations.is_some_and(|iterations| iterations < MIN_ITERATIONS) {
            return Err(ClientError::UnexpectedReply(
                "it asks for fewer than 4096 iterations of string-to-key",
            ));
        }
        Key::from_password(enctype, password, &salt, iterations).map_err(ClientError::StringToKey)
    }

    fn service(&self) -> Result<Principal, ClientError> {
        Principal::ticket_granting(&self.realm, &self.realm)
            .map_err(|_| ClientError::UnexpectedReply("it names an impossible realm"))
    }

    fn request(
        &mut self,
        key: Option<Key>,
        mut padata: Vec<PaData>,
        now: Duration,
        random: &mut dyn Random,
    ) -> Result<ClientStep, ClientError> {
        let nonce = nonce(random);
        let enctypes = Enctype::ALL
            .iter()
            .filter(|enctype| self.secret.offers(**enctype))
            .map(|enctype| enctype.number())
            .collect();
        padata.push(PaData::new(pa_type::REQ_ENC_PA_REP, Vec::new()));
        let body = KdcReqBody {
            kdc_options: KerberosFlags(
                kdc_option::FORWARDABLE | kdc_option::CANONICALIZE | kdc_option::RENEWABLE_OK,
            ),
            cname: Some(wire_name(&self.client)),
            realm: self.realm.as_str().into(),
            sname: Some(PrincipalName::krbtgt(&self.realm)),
            from: None,
            till: wanted_end(seconds(now)),
            rtime: None,
            nonce,
            etype: enctypes,
            addresses: None,
            enc_authorization_data: None,
            additional_tickets: None,
        };
        let message = AsReq(KdcReq::new(padata, body)?).encode()?;
        self.waiting = Some(Waiting {
            nonce,
            message: message.clone(),
            key,
        });
        Ok(ClientStep::Send(Request {
            realm: self.realm.clone(),
            message,
        }))
    }

    fn granted(
        &self,
        reply: &[u8],
        waiting: Waiting,
        now: Duration,
    ) -> Result<ClientStep, ClientError> {
        let AsRep(reply) = messages::decode(reply)?;
        if reply.pvno != messages::PVNO || reply.msg_type != AsRep::MSG_TYPE {
            return Err(ClientError::UnexpectedReply("it is not an AS reply"));
        }
        let key = match waiting.key {
            Some(key) if key.enctype().number() == reply.enc_part.etype => key,
            _ => self.key(
                reply.padata.as_deref().unwrap_or_default(),
                Some(reply.enc_part.etype),
            )?,
        };
        let plain = reply
            .enc_part
            .decrypt(&key, key_usage::AS_REP)
            .map_err(|_| match &self.secret {
                // Without pre-authentication the KDC cannot recognize a wrong password; the reply then does not decrypt.
                Secret::Password(_) => ClientError::WrongPassword(self.client.clone()),
                Secret::Keys(_) => ClientError::WrongKey(self.client.clone()),
            })?;
        let part = open_part(&plain)?;
        let server = principal(&part.sname, part.srealm.as_str())?;
        if part.nonce != waiting.nonce {
            return Err(ClientError::UnexpectedReply("it answers another request"));
        }
        if !server.matches(&self.service()?) {
            return Err(ClientError::UnexpectedReply("it grants another service"));
        }
        if part.flags.has(flags::ENC_PA_REP) {
            let data = part.encrypted_pa_data.as_deref().unwrap_or_default();
            let sum = PaData::find(data, pa_type::REQ_ENC_PA_REP).ok_or(ClientError::Forged)?;
            messages::decode::<Checksum>(sum)?
                .verify(&key, USAGE_AS_REQ, &waiting.message)
                .map_err(|_| ClientError::Forged)?;
        }
        let client = principal(&reply.cname, reply.crealm.as_str())?;
        credential(client, &reply, &part, seconds(now)).map(|done| ClientStep::Done(Box::new(done)))
    }
}
