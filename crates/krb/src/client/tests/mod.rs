//! Both exchanges against a small KDC that misbehaves on request.

mod world;

use super::*;
use crate::crypto::{Enctype, Key};
use crate::messages::{AsReq, EtypeInfo2Entry, PaData, error_code, pa_type};
use world::{Kdc, Misbehave, NOW, PASSWORD, key, name, random};

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
            ClientStep::Done(credential) => return Ok(*credential),
            ClientStep::Send(request) => {
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
fn a_wrong_password_is_reported_with_and_without_pre_authentication() {
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

/// What an AD KDC puts into its e-data: Samba within a METHOD-DATA, Windows alone.
fn extended(status: u32, within_methods: bool) -> Vec<u8> {
    let value = [status, 0, 1].map(u32::to_le_bytes).concat();
    let element = PaData::new(pa_type::PW_SALT, value);
    if within_methods {
        let other = PaData::new(pa_type::ETYPE_INFO2, Vec::new());
        return messages::encode(&vec![other, element]).unwrap();
    }
    messages::encode(&element).unwrap()
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
    let methods = |status: Option<u32>| status.map(|status| extended(status, true));
    for (e_data, expected) in [
        (None, ClientError::Revoked(who.clone())),
        (
            methods(Some(0xC000_0072)),
            ClientError::Disabled(who.clone()),
        ),
        (
            methods(Some(0xC000_0193)),
            ClientError::AccountExpired(who.clone()),
        ),
        (
            Some(extended(0xC000_0234, false)),
            ClientError::Locked(who.clone()),
        ),
        (
            Some(extended(0xC000_0001, false)),
            ClientError::Revoked(who.clone()),
        ),
        (Some(vec![0x30]), ClientError::Revoked(who.clone())),
    ] {
        let code = error_code::CLIENT_REVOKED;
        let answer = |_: &Request| corp().error(code, e_data.clone());
        assert_eq!(
            sign_in(password(PASSWORD), answer).unwrap_err(),
            expected,
            "{e_data:?}"
        );
    }
    // Samba, once it was given a pre-authentication: locked, and no status.
    let mut first = true;
    let locked = sign_in(password(PASSWORD), |request| {
        if std::mem::take(&mut first) {
            return corp().answer_as(&request.message);
        }
        let info = corp().methods(&[18]);
        corp().error(error_code::CLIENT_REVOKED, Some(info))
    });
    assert_eq!(locked.unwrap_err(), ClientError::Locked(who.clone()));
    let only_rc4 = corp().methods(&[23]);
    let error = sign_in(password(PASSWORD), |_| {
        corp().error(error_code::PREAUTH_REQUIRED, Some(only_rc4.clone()))
    });
    assert_eq!(error.unwrap_err(), ClientError::NoCommonEnctype(who));
}

#[test]
fn forged_as_replies_are_refused() {
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
fn malformed_and_unexpected_replies_end_the_exchange() {
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
    // S15: fewer than 4,096 iterations would make the password cheap to guess.
    let few = 4095_u32.to_be_bytes().to_vec();
    for bytes in [
        vec![0xff; 4],
        vec![0, 0, 0, 0],
        vec![1, 2],
        vec![0, 0, 0, 1],
        few,
    ] {
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
fn client_referrals_are_followed_but_not_in_loops() {
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
    drive(kdcs, TgsExchange::new(tgt, name(service)))
}

fn drive(
    kdcs: &[&Kdc],
    mut exchange: TgsExchange,
) -> (Result<Credential, ClientError>, Vec<String>) {
    let mut asked = Vec::new();
    let mut step = exchange.begin(NOW, &mut random());
    loop {
        match step {
            Err(error) => return (Err(error), asked),
            Ok(ClientStep::Done(credential)) => return (Ok(*credential), asked),
            Ok(ClientStep::Send(request)) => {
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
fn a_service_of_the_own_realm_gets_a_ticket() {
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
fn a_tgt_of_another_realm_is_found_by_either_name() {
    // `krbtgt/CLOUD@CORP` is the referral itself, `krbtgt/CLOUD@CLOUD` is what one gets with it.
    let (ticket, asked) = get(&[&trusting_corp(), &cloud()], "krbtgt/CLOUD@CORP");
    assert_eq!((ticket.unwrap().server.realm(), asked.len()), ("CORP", 1));
    let (ticket, asked) = get(&[&trusting_corp(), &cloud()], "krbtgt/CLOUD@CLOUD");
    assert_eq!((ticket.unwrap().server.realm(), asked.len()), ("CLOUD", 2));
}

#[test]
fn referral_loops_end_with_an_error() {
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
fn an_unknown_service_and_an_expired_tgt_are_refused() {
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
fn forged_tgs_replies_are_refused() {
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
    // A reply to another client's request, with another subkey.
    let tgt = sign_in_at(&corp(), password(PASSWORD)).unwrap();
    let mut theirs = TgsExchange::new(tgt.clone(), name("ldap/dc1@CORP"));
    let ClientStep::Send(request) = theirs
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
fn errors_have_a_hint() {
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

#[test]
fn fast_armor_is_used_in_every_realm() {
    let armored = |kdcs: &[&Kdc], service: &str| {
        let tgt = sign_in_at(kdcs[0], password(PASSWORD)).unwrap();
        drive(kdcs, TgsExchange::new(tgt, name(service)).armored())
    };
    let (ticket, asked) = armored(&[&trusting_corp(), &cloud()], "cifs/files.cloud@CORP");
    assert_eq!(ticket.unwrap().server, name("cifs/files.cloud@CLOUD"));
    assert_eq!(asked, ["CORP", "CLOUD"]);
    // The error that counts is the one under the armor, not the generic one outside.
    let (ticket, _) = armored(&[&corp()], "cifs/nowhere@CORP");
    assert_eq!(
        ticket.unwrap_err(),
        ClientError::UnknownService(name("cifs/nowhere@CORP"))
    );
    for (misbehave, expected) in [
        (
            Misbehave::NoArmor,
            ClientError::UnexpectedReply("it is not armored"),
        ),
        (Misbehave::OtherTicket, ClientError::Forged),
        (
            Misbehave::OtherNonce,
            ClientError::UnexpectedReply("it answers another request"),
        ),
    ] {
        let tgt = sign_in_at(&corp(), password(PASSWORD)).unwrap();
        let exchange = TgsExchange::new(tgt, name("ldap/dc1@CORP")).armored();
        let kdc = Kdc {
            misbehave,
            ..trusting_corp()
        };
        assert_eq!(
            drive(&[&kdc], exchange).0.unwrap_err(),
            expected,
            "{misbehave:?}"
        );
    }
    let stripped = Kdc {
        misbehave: Misbehave::NoArmor,
        ..corp()
    };
    let tgt = sign_in_at(&corp(), password(PASSWORD)).unwrap();
    let exchange = TgsExchange::new(tgt, name("cifs/nowhere@CORP")).armored();
    let error = drive(&[&stripped], exchange).0.unwrap_err();
    assert_eq!(
        error,
        ClientError::UnexpectedReply("its error is not armored")
    );
}
