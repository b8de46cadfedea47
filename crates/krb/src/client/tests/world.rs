//! A small KDC that misbehaves on request.

use super::super::*;
use crate::crypto::{Enctype, Key};
use crate::fast::{self, FastFinished, FastResponse};
use crate::key_usage;
use crate::messages::{
    ApReq, AsRep, AsReq, Authenticator, Checksum, EncAsRepPart, EncTgsRepPart, EncTicketPart,
    EncryptedData, EncryptionKey, EtypeInfo2Entry, KerberosFlags, PaData, TgsRep, TgsReq, Ticket,
    TransitedEncoding, error_code, flags, pa_type,
};

pub(super) const NOW: Duration = Duration::new(1_700_000_000, 123_456_000);
pub(super) const PASSWORD: &str = "P@ßword";

pub(super) fn random() -> impl FnMut(&mut [u8]) {
    let mut next = 0u8;
    move |bytes: &mut [u8]| {
        for byte in bytes {
            next = next.wrapping_mul(31).wrapping_add(17);
            *byte = next;
        }
    }
}

pub(super) fn name(text: &str) -> Principal {
    Principal::parse(text, None).unwrap()
}

/// A KDC of one realm.
pub(super) struct Kdc {
    pub(super) realm: &'static str,
    pub(super) tgs_key: Key,
    /// Ticket-granting keys of realms it refers to, by the realm.
    pub(super) partners: Vec<(&'static str, Key)>,
    pub(super) service: Option<&'static str>,
    pub(super) misbehave: Misbehave,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Misbehave {
    NoArmor,
    OtherTicket,
    Not,
    OtherNonce,
    OtherServer,
    OtherClient,
    NoRequestChecksum,
    WrongRequestChecksum,
    StartsTomorrow,
    Rc4SessionKey,
}

pub(super) fn key(byte: u8) -> Key {
    Key::new(Enctype::Aes256Sha1, &[byte; 32]).unwrap()
}

impl Kdc {
    pub(super) fn new(realm: &'static str, byte: u8) -> Self {
        Self {
            realm,
            tgs_key: key(byte),
            partners: Vec::new(),
            service: None,
            misbehave: Misbehave::Not,
        }
    }

    pub(super) fn error(&self, code: i32, e_data: Option<Vec<u8>>) -> Vec<u8> {
        messages::encode(&KrbError {
            pvno: 5,
            msg_type: KrbError::MSG_TYPE,
            ctime: None,
            cusec: None,
            stime: KerberosTime(1_700_000_900),
            susec: 0,
            error_code: code,
            crealm: None,
            cname: None,
            realm: self.realm.into(),
            sname: PrincipalName::krbtgt(self.realm),
            e_text: Some("because\u{7}".into()),
            e_data: e_data.map(Into::into),
        })
        .unwrap()
    }

    fn salt(&self) -> String {
        format!("{}salt-of-its-own", self.realm)
    }

    pub(super) fn client_key(&self) -> Key {
        Key::from_password(Enctype::Aes256Sha1, PASSWORD, &self.salt(), None).unwrap()
    }

    pub(super) fn methods(&self, etypes: &[i32]) -> Vec<u8> {
        let info: Vec<EtypeInfo2Entry> = etypes
            .iter()
            .map(|etype| EtypeInfo2Entry {
                etype: *etype,
                salt: Some(self.salt().as_str().into()),
                s2kparams: None,
            })
            .collect();
        messages::encode(&vec![
            PaData::new(pa_type::ETYPE_INFO2, messages::encode(&info).unwrap()),
            PaData::new(pa_type::ENC_TIMESTAMP, Vec::new()),
        ])
        .unwrap()
    }

    fn ticket(
        &self,
        sname: PrincipalName,
        key: &Key,
        session: &Key,
        client: (&str, &PrincipalName),
    ) -> Ticket {
        let part = EncTicketPart {
            flags: KerberosFlags(0),
            key: EncryptionKey::from(session),
            crealm: client.0.into(),
            cname: client.1.clone(),
            transited: TransitedEncoding {
                tr_type: 1,
                contents: Vec::new().into(),
            },
            authtime: KerberosTime(1_700_000_000),
            starttime: None,
            endtime: KerberosTime(1_700_036_000),
            renew_till: None,
            caddr: None,
            authorization_data: None,
        };
        Ticket {
            tkt_vno: 5,
            realm: self.realm.into(),
            sname,
            enc_part: EncryptedData::encrypt(
                key,
                Some(1),
                key_usage::TICKET,
                &messages::encode(&part).unwrap(),
                &mut random(),
            ),
        }
    }

    fn part(&self, session: &Key, nonce: i64, sname: PrincipalName) -> EncKdcRepPart {
        let tomorrow = self.misbehave == Misbehave::StartsTomorrow;
        let mut key = EncryptionKey::from(session);
        if self.misbehave == Misbehave::Rc4SessionKey {
            key.keytype = 23;
        }
        EncKdcRepPart {
            key,
            last_req: Vec::new(),
            nonce: if self.misbehave == Misbehave::OtherNonce {
                nonce ^ 1
            } else {
                nonce
            },
            key_expiration: None,
            flags: KerberosFlags(0),
            authtime: KerberosTime(1_700_000_000),
            starttime: tomorrow.then_some(KerberosTime(1_700_086_400)),
            endtime: KerberosTime(1_700_036_000),
            renew_till: None,
            srealm: self.realm.into(),
            sname: match self.misbehave {
                Misbehave::OtherServer => PrincipalName::new(2, &["host", "evil"]),
                _ => sname,
            },
            caddr: None,
            encrypted_pa_data: None,
        }
    }

    pub(super) fn answer_as(&self, bytes: &[u8]) -> Vec<u8> {
        let AsReq(request) = AsReq::decode(bytes).unwrap();
        assert_eq!(request.body.realm.as_str(), self.realm);
        let Some(stamp) = request.padata(pa_type::ENC_TIMESTAMP) else {
            return self.error(
                error_code::PREAUTH_REQUIRED,
                Some(self.methods(&[23, 18, 17])),
            );
        };
        let sealed: EncryptedData = messages::decode(stamp).unwrap();
        if sealed
            .decrypt(&self.client_key(), key_usage::PA_ENC_TIMESTAMP)
            .is_err()
        {
            return self.error(error_code::PREAUTH_FAILED, None);
        }
        self.grant_as(bytes, &request)
    }

    pub(super) fn grant_as(&self, bytes: &[u8], request: &messages::KdcReq) -> Vec<u8> {
        let session = key(0x77);
        let cname = request.body.cname.clone().unwrap();
        let sname = PrincipalName::krbtgt(self.realm);
        let mut part = self.part(&session, request.body.nonce, sname.clone());
        if request.padata(pa_type::REQ_ENC_PA_REP).is_some() {
            part.flags = KerberosFlags(flags::ENC_PA_REP | flags::INITIAL);
            let covered = if self.misbehave == Misbehave::WrongRequestChecksum {
                b"another"
            } else {
                bytes
            };
            let sum = Checksum::make(&self.client_key(), 56, covered);
            part.encrypted_pa_data = (self.misbehave != Misbehave::NoRequestChecksum).then(|| {
                vec![PaData::new(
                    pa_type::REQ_ENC_PA_REP,
                    messages::encode(&sum).unwrap(),
                )]
            });
        }
        let plain = messages::encode(&EncAsRepPart(part)).unwrap();
        let info = self.methods(&[18]);
        messages::encode(&AsRep(KdcRep {
            pvno: 5,
            msg_type: AsRep::MSG_TYPE,
            padata: Some(messages::decode(&info).unwrap()),
            crealm: self.realm.into(),
            cname: cname.clone(),
            ticket: self.ticket(sname, &self.tgs_key, &session, (self.realm, &cname)),
            enc_part: EncryptedData::encrypt(
                &self.client_key(),
                Some(1),
                key_usage::AS_REP,
                &plain,
                &mut random(),
            ),
        }))
        .unwrap()
    }

    /// An error as an armored request is answered: a generic one outside, the real one under the armor.
    fn armored_error(&self, code: i32, armor: Option<&Key>, nonce: i64) -> Vec<u8> {
        let Some(armor) = armor.filter(|_| self.misbehave != Misbehave::NoArmor) else {
            return self.error(code, None);
        };
        let inner = FastResponse {
            padata: vec![PaData::new(pa_type::FX_ERROR, self.error(code, None))],
            strengthen_key: None,
            finished: None,
            nonce,
        };
        let wrapped = fast::wrap_response(&inner, armor, &mut random()).unwrap();
        let methods = vec![PaData::new(pa_type::FX_FAST, wrapped)];
        self.error(
            error_code::GENERIC,
            Some(messages::encode(&methods).unwrap()),
        )
    }

    /// The armor of a reply with `ticket`, and the key for its encrypted part.
    fn armor_reply(
        &self,
        ticket: &Ticket,
        client: (&str, &PrincipalName),
        armor: &Key,
        subkey: &Key,
        nonce: i64,
    ) -> (PaData, Key) {
        let strengthen = key(0x44);
        let covered = match self.misbehave {
            Misbehave::OtherTicket => b"another ticket".to_vec(),
            _ => messages::encode(ticket).unwrap(),
        };
        let response = FastResponse {
            padata: Vec::new(),
            strengthen_key: Some(EncryptionKey::from(&strengthen)),
            finished: Some(FastFinished {
                timestamp: KerberosTime(1_700_000_000),
                usec: 0,
                crealm: client.0.into(),
                cname: client.1.clone(),
                ticket_checksum: Checksum::make(armor, key_usage::FAST_FINISHED, &covered),
            }),
            nonce,
        };
        let wrapped = fast::wrap_response(&response, armor, &mut random()).unwrap();
        let reply_key = fast::strengthened_reply_key(&strengthen, subkey);
        (PaData::new(pa_type::FX_FAST, wrapped), reply_key)
    }

    pub(super) fn answer_tgs(&self, bytes: &[u8]) -> Vec<u8> {
        let TgsReq(request) = TgsReq::decode(bytes).unwrap();
        assert_eq!(request.body.realm.as_str(), self.realm);
        let proof: ApReq = messages::decode(request.padata(pa_type::TGS_REQ).unwrap()).unwrap();
        let ticket = proof
            .ticket
            .enc_part
            .decrypt(&self.tgs_key, key_usage::TICKET)
            .unwrap();
        let ticket: EncTicketPart = messages::decode(&ticket).unwrap();
        let session = ticket.key.to_key().unwrap();
        let plain = proof
            .authenticator
            .decrypt(&session, key_usage::TGS_REQ_AUTHENTICATOR)
            .unwrap();
        let authenticator: Authenticator = messages::decode(&plain).unwrap();
        authenticator
            .cksum
            .unwrap()
            .verify(&session, key_usage::TGS_REQ_CHECKSUM, &request.raw_body)
            .unwrap();
        let subkey = authenticator.subkey.unwrap().to_key().unwrap();
        let armor = request.padata(pa_type::FX_FAST).map(|wrapped| {
            let armor = fast::armor_key(&subkey, &session);
            let proof = request.padata(pa_type::TGS_REQ).unwrap();
            let inner = fast::open_request(wrapped, &armor, proof).unwrap();
            assert_eq!(inner.req_body, request.body);
            armor
        });
        let nonce = request.body.nonce;
        let asked = request.body.sname.clone().unwrap();
        let (sname, sealing) = if self.service == Some(asked.to_string().as_str()) {
            (asked, key(0x55))
        } else if asked == PrincipalName::krbtgt(self.realm) {
            (asked, self.tgs_key.clone())
        } else {
            match self.partners.first() {
                Some((partner, key)) => (PrincipalName::krbtgt(partner), key.clone()),
                None => {
                    return self.armored_error(
                        error_code::S_PRINCIPAL_UNKNOWN,
                        armor.as_ref(),
                        nonce,
                    );
                }
            }
        };
        let new_session = key(0x66);
        let plain = messages::encode(&EncTgsRepPart(self.part(
            &new_session,
            nonce,
            sname.clone(),
        )))
        .unwrap();
        let client = (ticket.crealm.as_str(), &ticket.cname);
        let cname = match self.misbehave {
            Misbehave::OtherClient => PrincipalName::new(1, &["mallory"]),
            _ => ticket.cname.clone(),
        };
        let new_ticket = self.ticket(sname, &sealing, &new_session, client);
        let armor = armor.filter(|_| self.misbehave != Misbehave::NoArmor);
        let armored =
            armor.map(|armor| self.armor_reply(&new_ticket, client, &armor, &subkey, nonce));
        let (padata, reply_key) = match armored {
            Some((padata, reply_key)) => (Some(vec![padata]), reply_key),
            None => (None, subkey),
        };
        messages::encode(&TgsRep(KdcRep {
            pvno: 5,
            msg_type: TgsRep::MSG_TYPE,
            padata,
            crealm: ticket.crealm.clone(),
            cname,
            ticket: new_ticket,
            enc_part: EncryptedData::encrypt(
                &reply_key,
                None,
                key_usage::TGS_REP_SUBKEY,
                &plain,
                &mut random(),
            ),
        }))
        .unwrap()
    }
}
