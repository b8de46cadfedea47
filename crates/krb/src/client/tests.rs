//! Both exchanges against a small KDC that can be told to misbehave.

use super::*;
use crate::crypto::{Enctype, Key};
use crate::messages::{
    ApReq, AsRep, AsReq, Authenticator, Checksum, EncAsRepPart, EncTgsRepPart, EncTicketPart,
    EncryptedData, EncryptionKey, EtypeInfo2Entry, KerberosFlags, PaData, TgsRep, TgsReq, Ticket,
    TransitedEncoding, error_code, flags, key_usage, pa_type,
};

const NOW: Duration = Duration::new(1_700_000_000, 123_456_000);
const PASSWORD: &str = "P@ßword";

fn random() -> impl FnMut(&mut [u8]) {
    let mut next = 0u8;
    move |bytes: &mut [u8]| {
        for byte in bytes {
            next = next.wrapping_mul(31).wrapping_add(17);
            *byte = next;
        }
    }
}

fn name(text: &str) -> Principal {
    Principal::parse(text, None).unwrap()
}

/// A KDC of one realm.
struct Kdc {
    realm: &'static str,
    tgs_key: Key,
    /// Ticket-granting keys of realms it refers to, by the realm.
    partners: Vec<(&'static str, Key)>,
    service: Option<&'static str>,
    misbehave: Misbehave,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Misbehave {
    Not,
    OtherNonce,
    OtherServer,
    OtherClient,
    NoRequestChecksum,
    WrongRequestChecksum,
    StartsTomorrow,
    Rc4SessionKey,
}

fn key(byte: u8) -> Key {
    Key::new(Enctype::Aes256Sha1, &[byte; 32]).unwrap()
}

impl Kdc {
    fn new(realm: &'static str, byte: u8) -> Self {
        Self {
            realm,
            tgs_key: key(byte),
            partners: Vec::new(),
            service: None,
            misbehave: Misbehave::Not,
        }
    }

    fn error(&self, code: i32, e_data: Option<Vec<u8>>) -> Vec<u8> {
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

    fn client_key(&self) -> Key {
        Key::from_password(Enctype::Aes256Sha1, PASSWORD, &self.salt(), None).unwrap()
    }

    fn methods(&self, etypes: &[i32]) -> Vec<u8> {
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
            enc_part: EncryptedData::seal(
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

    fn answer_as(&self, bytes: &[u8]) -> Vec<u8> {
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
            .open(&self.client_key(), key_usage::PA_ENC_TIMESTAMP)
            .is_err()
        {
            return self.error(error_code::PREAUTH_FAILED, None);
        }
        self.grant_as(bytes, &request)
    }

    fn grant_as(&self, bytes: &[u8], request: &messages::KdcReq) -> Vec<u8> {
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
            enc_part: EncryptedData::seal(
                &self.client_key(),
                Some(1),
                key_usage::AS_REP,
                &plain,
                &mut random(),
            ),
        }))
        .unwrap()
    }

    fn answer_tgs(&self, bytes: &[u8]) -> Vec<u8> {
        let TgsReq(request) = TgsReq::decode(bytes).unwrap();
        assert_eq!(request.body.realm.as_str(), self.realm);
        let proof: ApReq = messages::decode(request.padata(pa_type::TGS_REQ).unwrap()).unwrap();
        let ticket = proof
            .ticket
            .enc_part
            .open(&self.tgs_key, key_usage::TICKET)
            .unwrap();
        let ticket: EncTicketPart = messages::decode(&ticket).unwrap();
        let session = ticket.key.to_key().unwrap();
        let plain = proof
            .authenticator
            .open(&session, key_usage::TGS_REQ_AUTHENTICATOR)
            .unwrap();
        let authenticator: Authenticator = messages::decode(&plain).unwrap();
        authenticator
            .cksum
            .unwrap()
            .verify(&session, key_usage::TGS_REQ_CHECKSUM, &request.raw_body)
            .unwrap();
        let asked = request.body.sname.clone().unwrap();
        let (sname, sealing) = if self.service == Some(asked.to_string().as_str()) {
            (asked, key(0x55))
        } else if asked == PrincipalName::krbtgt(self.realm) {
            (asked, self.tgs_key.clone())
        } else {
            match self.partners.first() {
                Some((partner, key)) => (PrincipalName::krbtgt(partner), key.clone()),
                None => return self.error(error_code::S_PRINCIPAL_UNKNOWN, None),
            }
        };
        let new_session = key(0x66);
        let plain = messages::encode(&EncTgsRepPart(self.part(
            &new_session,
            request.body.nonce,
            sname.clone(),
        )))
        .unwrap();
        let client = (ticket.crealm.as_str(), &ticket.cname);
        let cname = match self.misbehave {
            Misbehave::OtherClient => PrincipalName::new(1, &["mallory"]),
            _ => ticket.cname.clone(),
        };
        messages::encode(&TgsRep(KdcRep {
            pvno: 5,
            msg_type: TgsRep::MSG_TYPE,
            padata: None,
            crealm: ticket.crealm.clone(),
            cname,
            ticket: self.ticket(sname, &sealing, &new_session, client),
            enc_part: EncryptedData::seal(
                &authenticator.subkey.unwrap().to_key().unwrap(),
                None,
                key_usage::TGS_REP_SUBKEY,
                &plain,
                &mut random(),
            ),
        }))
        .unwrap()
    }
}

fn password(text: &str) -> Secret {
    Secret::Password(text.to_owned().into())
}

/// Drives an AS exchange; `answer` stands for the KDC.
fn sign_in(
    secret: Secret,
    mut answer: impl FnMut(&Request) -> Vec<u8>,
) -> Result<Credential, ClientError> {
    let mut exchange = AsExchange::new(name("müller@CORP"), secret);
    let mut step = exchange.begin(NOW, &mut random())?;
    for _ in 0..20 {
        match step {
            Step::Done(credential) => return Ok(*credential),
            Step::Send(request) => {
                step = exchange.received(&answer(&request), NOW, &mut random())?
            }
        }
    }
    panic!("the exchange does not end");
}

fn sign_in_at(kdc: &Kdc, secret: Secret) -> Result<Credential, ClientError> {
    sign_in(secret, |request| kdc.answer_as(&request.message))
}

fn corp() -> Kdc {
    Kdc::new("CORP", 1)
}

#[test]
fn a_password_gets_a_tgt() {
    let tgt = sign_in_at(&corp(), password(PASSWORD)).unwrap();
    assert_eq!(tgt.client, name("müller@CORP"));
    assert_eq!(tgt.server, name("krbtgt/CORP@CORP"));
    assert_eq!(
        (tgt.start_time, tgt.end_time),
        (1_700_000_000, 1_700_036_000)
    );
    assert_eq!(tgt.key.as_bytes(), key(0x77).as_bytes());
    assert!(tgt.is_tgt_for("corp"));
}

#[test]
fn a_key_gets_a_tgt_and_another_enctype_does_not() {
    let kdc = corp();
    sign_in_at(&kdc, Secret::Keys(vec![kdc.client_key()])).unwrap();
    let wrong = sign_in_at(&kdc, Secret::Keys(vec![key(9)])).unwrap_err();
    assert_eq!(wrong, ClientError::WrongKey(name("müller@CORP")));
    let sha2 = Key::new(Enctype::Aes128Sha2, &[1; 16]).unwrap();
    let other = sign_in_at(&kdc, Secret::Keys(vec![sha2])).unwrap_err();
    assert_eq!(other, ClientError::NoKey(name("müller@CORP")));
}

#[test]
fn a_wrong_password_is_told_with_and_without_pre_authentication() {
    let kdc = corp();
    let wrong = ClientError::WrongPassword(name("müller@CORP"));
    assert_eq!(sign_in_at(&kdc, password("x")).unwrap_err(), wrong);
    let granted = |request: &Request| {
        let AsReq(decoded) = AsReq::decode(&request.message).unwrap();
        kdc.grant_as(&request.message, &decoded)
    };
    assert_eq!(sign_in(password("x"), granted).unwrap_err(), wrong);
    sign_in(password(PASSWORD), granted).unwrap();
}

#[test]
fn every_refusal_has_its_own_error() {
    let who = name("müller@CORP");
    let cases = [
        (
            error_code::C_PRINCIPAL_UNKNOWN,
            ClientError::UnknownPrincipal(who.clone()),
        ),
        (
            error_code::CLIENT_REVOKED,
            ClientError::Revoked(who.clone()),
        ),
        (
            error_code::KEY_EXPIRED,
            ClientError::PasswordExpired(who.clone()),
        ),
        (
            error_code::ETYPE_NOSUPP,
            ClientError::NoCommonEnctype(who.clone()),
        ),
        (error_code::SKEW, ClientError::Skew { ahead_s: Some(900) }),
        (
            error_code::GENERIC,
            ClientError::Kdc {
                code: 60,
                text: Some("because".into()),
            },
        ),
    ];
    for (code, expected) in cases {
        let error = sign_in(password(PASSWORD), |_| corp().error(code, None)).unwrap_err();
        assert_eq!(error, expected);
    }
    let only_rc4 = corp().methods(&[23]);
    let error = sign_in(password(PASSWORD), |_| {
        corp().error(error_code::PREAUTH_REQUIRED, Some(only_rc4.clone()))
    });
    assert_eq!(error.unwrap_err(), ClientError::NoCommonEnctype(who));
}

#[test]
fn a_kdc_that_lies_is_not_believed() {
    let cases = [
        (
            Misbehave::OtherNonce,
            ClientError::UnexpectedReply("it answers another request"),
        ),
        (
            Misbehave::OtherServer,
            ClientError::UnexpectedReply("it grants another service"),
        ),
        (Misbehave::NoRequestChecksum, ClientError::Forged),
        (Misbehave::WrongRequestChecksum, ClientError::Forged),
        (
            Misbehave::StartsTomorrow,
            ClientError::Skew {
                ahead_s: Some(86_400),
            },
        ),
        (
            Misbehave::Rc4SessionKey,
            ClientError::UnexpectedReply("its session key is not of an AES type"),
        ),
    ];
    for (misbehave, expected) in cases {
        let kdc = Kdc {
            misbehave,
            ..corp()
        };
        assert_eq!(
            sign_in_at(&kdc, password(PASSWORD)).unwrap_err(),
            expected,
            "{misbehave:?}"
        );
    }
}

#[test]
fn garbage_and_surprises_end_the_exchange() {
    for garbage in [
        &b""[..],
        b"\x7e",
        b"\x7e\x82\xff\xff",
        b"\x6b\x03\x30\x01\x00",
        b"HTTP/1.1 200 OK",
    ] {
        let error = sign_in(password(PASSWORD), |_| garbage.to_vec()).unwrap_err();
        assert!(matches!(error, ClientError::Message(_)), "{error}");
    }
    let huge = sign_in(password(PASSWORD), |_| vec![0x6b; MAX_REPLY_LEN + 1]).unwrap_err();
    assert_eq!(huge, ClientError::UnexpectedReply("it is too large"));
    let mut exchange = AsExchange::new(name("a@R"), password("x"));
    assert_eq!(
        exchange.received(&[], NOW, &mut random()).unwrap_err(),
        ClientError::NotWaiting
    );
    // Pre-authentication demanded again and again.
    let error = sign_in(password(PASSWORD), |_| {
        corp().error(error_code::PREAUTH_REQUIRED, Some(corp().methods(&[18])))
    });
    assert!(matches!(
        error.unwrap_err(),
        ClientError::Kdc { code: 25, .. }
    ));
}

#[test]
fn unbounded_string_to_key_parameters_are_refused() {
    for bytes in [vec![0xff; 4], vec![0, 0, 0, 0], vec![1, 2]] {
        let info = vec![EtypeInfo2Entry {
            etype: 18,
            salt: None,
            s2kparams: Some(bytes.into()),
        }];
        let methods = messages::encode(&vec![
            PaData::new(pa_type::ETYPE_INFO2, messages::encode(&info).unwrap()),
            PaData::new(pa_type::ENC_TIMESTAMP, Vec::new()),
        ])
        .unwrap();
        let error = sign_in(password(PASSWORD), |_| {
            corp().error(error_code::PREAUTH_REQUIRED, Some(methods.clone()))
        });
        assert!(matches!(
            error.unwrap_err(),
            ClientError::StringToKey(_) | ClientError::UnexpectedReply(_)
        ));
    }
}

#[test]
fn a_referral_of_the_client_is_followed_but_not_in_circles() {
    let other = Kdc::new("OTHER", 2);
    let refer = |kdc: &Kdc, realm: &str| {
        let mut error: KrbError =
            messages::decode(&kdc.error(error_code::WRONG_REALM, None)).unwrap();
        error.crealm = Some(realm.into());
        messages::encode(&error).unwrap()
    };
    let tgt = sign_in(password(PASSWORD), |request| match request.realm.as_str() {
        "CORP" => refer(&corp(), "OTHER"),
        _ => other.answer_as(&request.message),
    })
    .unwrap();
    assert_eq!(tgt.server, name("krbtgt/OTHER@OTHER"));
    let circle = sign_in(password(PASSWORD), |request| match request.realm.as_str() {
        "CORP" => refer(&corp(), "OTHER"),
        _ => refer(&other, "CORP"),
    });
    assert!(matches!(circle.unwrap_err(), ClientError::ReferralLoop(_)));
}

/// Drives a TGS exchange among KDCs; returns the credential and the realms asked.
fn get(kdcs: &[&Kdc], service: &str) -> (Result<Credential, ClientError>, Vec<String>) {
    let tgt = sign_in_at(kdcs[0], password(PASSWORD)).unwrap();
    get_with(kdcs, tgt, service)
}

fn get_with(
    kdcs: &[&Kdc],
    tgt: Credential,
    service: &str,
) -> (Result<Credential, ClientError>, Vec<String>) {
    let mut exchange = TgsExchange::new(tgt, name(service));
    let mut asked = Vec::new();
    let mut step = exchange.begin(NOW, &mut random());
    loop {
        match step {
            Err(error) => return (Err(error), asked),
            Ok(Step::Done(credential)) => return (Ok(*credential), asked),
            Ok(Step::Send(request)) => {
                asked.push(request.realm.clone());
                let kdc = kdcs.iter().find(|kdc| kdc.realm == request.realm).unwrap();
                step = exchange.received(&kdc.answer_tgs(&request.message), NOW, &mut random());
            }
        }
    }
}

fn cloud() -> Kdc {
    Kdc {
        service: Some("cifs/files.cloud"),
        ..Kdc::new("CLOUD", 3)
    }
}

/// CORP refers everything it does not know to CLOUD.
fn trusting_corp() -> Kdc {
    Kdc {
        partners: vec![("CLOUD", key(3))],
        service: Some("ldap/dc1"),
        ..corp()
    }
}

#[test]
fn a_service_of_the_own_realm() {
    let (ticket, asked) = get(&[&trusting_corp()], "ldap/dc1@CORP");
    assert_eq!(ticket.unwrap().server, name("ldap/dc1@CORP"));
    assert_eq!(asked, ["CORP"]);
}

#[test]
fn a_referral_is_followed_to_the_service() {
    let (ticket, asked) = get(&[&trusting_corp(), &cloud()], "cifs/files.cloud@CORP");
    let ticket = ticket.unwrap();
    assert_eq!(
        (ticket.server, ticket.client),
        (name("cifs/files.cloud@CLOUD"), name("müller@CORP"))
    );
    assert_eq!(asked, ["CORP", "CLOUD"]);
}

#[test]
fn the_tgt_of_another_realm_by_either_name() {
    // `krbtgt/CLOUD@CORP` is the referral itself, `krbtgt/CLOUD@CLOUD` is what one gets with it.
    let (ticket, asked) = get(&[&trusting_corp(), &cloud()], "krbtgt/CLOUD@CORP");
    assert_eq!((ticket.unwrap().server.realm(), asked.len()), ("CORP", 1));
    let (ticket, asked) = get(&[&trusting_corp(), &cloud()], "krbtgt/CLOUD@CLOUD");
    assert_eq!((ticket.unwrap().server.realm(), asked.len()), ("CLOUD", 2));
}

#[test]
fn referrals_in_a_circle_end() {
    let back = Kdc {
        partners: vec![("CORP", key(1))],
        ..Kdc::new("CLOUD", 3)
    };
    let (ticket, asked) = get(&[&trusting_corp(), &back], "cifs/nowhere@CORP");
    assert_eq!(
        ticket.unwrap_err(),
        ClientError::ReferralLoop(name("cifs/nowhere@CORP"))
    );
    assert_eq!(asked, ["CORP", "CLOUD"]);
}

#[test]
fn a_service_that_is_not_there_and_a_tgt_that_is_over() {
    let (ticket, _) = get(&[&corp()], "cifs/nowhere@CORP");
    assert_eq!(
        ticket.unwrap_err(),
        ClientError::UnknownService(name("cifs/nowhere@CORP"))
    );
    let mut tgt = sign_in_at(&corp(), password(PASSWORD)).unwrap();
    tgt.end_time = 1_700_000_000;
    let (ticket, asked) = get_with(&[&corp()], tgt.clone(), "cifs/x@CORP");
    assert_eq!(
        ticket.unwrap_err(),
        ClientError::TicketExpired(name("müller@CORP"))
    );
    assert!(asked.is_empty());
    tgt.server = name("ldap/dc1@CORP");
    assert!(matches!(
        get_with(&[&corp()], tgt, "cifs/x@CORP").0,
        Err(ClientError::UnexpectedReply(_))
    ));
}

#[test]
fn a_tgs_that_lies_is_not_believed() {
    for (misbehave, expected) in [
        (Misbehave::OtherNonce, "it answers another request"),
        (Misbehave::OtherServer, "it grants another service"),
        (Misbehave::OtherClient, "it names another client"),
    ] {
        let tgt = sign_in_at(&corp(), password(PASSWORD)).unwrap();
        let kdc = Kdc {
            misbehave,
            ..trusting_corp()
        };
        let error = get_with(&[&kdc], tgt, "ldap/dc1@CORP").0.unwrap_err();
        assert_eq!(
            error,
            ClientError::UnexpectedReply(expected),
            "{misbehave:?}"
        );
    }
    // A reply to somebody else's request, with another subkey.
    let tgt = sign_in_at(&corp(), password(PASSWORD)).unwrap();
    let mut theirs = TgsExchange::new(tgt.clone(), name("ldap/dc1@CORP"));
    let Step::Send(request) = theirs
        .begin(NOW, &mut |bytes: &mut [u8]| bytes.fill(1))
        .unwrap()
    else {
        panic!("nothing was sent");
    };
    let reply = trusting_corp().answer_tgs(&request.message);
    let mut ours = TgsExchange::new(tgt, name("ldap/dc1@CORP"));
    ours.begin(NOW, &mut random()).unwrap();
    assert_eq!(
        ours.received(&reply, NOW, &mut random()).unwrap_err(),
        ClientError::Forged
    );
}

#[test]
fn errors_say_what_to_do() {
    let wrong = ClientError::WrongPassword(name("alice@CORP"));
    assert_eq!(wrong.to_string(), "wrong password for `alice@CORP`");
    assert!(wrong.hint().is_some());
    assert_eq!(
        ClientError::Skew {
            ahead_s: Some(-600)
        }
        .to_string(),
        "the clocks differ by more than five minutes (the KDC is 600 s behind)"
    );
}
