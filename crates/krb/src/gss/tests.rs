//! The initiator against a small acceptor that misbehaves on request.

use super::message::{Context, Side};
use super::*;
use crate::credential::Credential;
use crate::crypto::{Enctype, Key};
use crate::key_usage;
use crate::messages::{
    self, ApRep, ApReq, Authenticator, EncApRepPart, EncTicketPart, EncryptedData, EncryptionKey,
    KerberosFlags, KerberosTime, KrbError, PrincipalName, Ticket, TransitedEncoding,
};
use crate::principal::Principal;
use std::time::Duration;

const NOW: Duration = Duration::new(1_700_000_000, 5_000);
const KERBEROS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02];

fn fill(bytes: &mut [u8]) {
    for (byte, value) in bytes.iter_mut().zip(11..) {
        *byte = value;
    }
}

fn key(byte: u8) -> Key {
    Key::new(Enctype::Aes256Sha1, &[byte; 32]).unwrap()
}

fn credential() -> Credential {
    let name = |text| Principal::parse(text, None).unwrap();
    let part = EncTicketPart {
        flags: KerberosFlags(0),
        key: EncryptionKey::from(&key(7)),
        crealm: "CORP".into(),
        cname: PrincipalName::new(1, &["müller"]),
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
    let ticket = Ticket {
        tkt_vno: 5,
        realm: "CORP".into(),
        sname: PrincipalName::new(2, &["cifs", "dc1"]),
        enc_part: EncryptedData::encrypt(
            &key(1),
            Some(1),
            key_usage::TICKET,
            &messages::encode(&part).unwrap(),
            &mut fill,
        ),
    };
    Credential {
        client: name("müller@CORP"),
        server: name("cifs/dc1@CORP"),
        key: key(7),
        auth_time: 1_700_000_000,
        start_time: 1_700_000_000,
        end_time: 1_700_036_000,
        renew_until: None,
        flags: 0,
        ticket: messages::encode(&ticket).unwrap(),
    }
}

/// Decrypts the initiator's first Kerberos token as the service does.
fn accept(token: &[u8]) -> Authenticator {
    let inner = framing::read_initial_token(KERBEROS, token).unwrap();
    assert_eq!(inner[..2], [1, 0]);
    let request: ApReq = messages::decode(&inner[2..]).unwrap();
    assert!(request.ap_options.has(ApReq::MUTUAL_REQUIRED));
    let ticket = request
        .ticket
        .enc_part
        .decrypt(&key(1), key_usage::TICKET)
        .unwrap();
    let ticket: EncTicketPart = messages::decode(&ticket).unwrap();
    let session = ticket.key.to_key().unwrap();
    let plain = request
        .authenticator
        .decrypt(&session, key_usage::AP_REQ_AUTHENTICATOR)
        .unwrap();
    let authenticator: Authenticator = messages::decode(&plain).unwrap();
    let sum = authenticator.cksum.clone().unwrap();
    assert_eq!((sum.cksumtype, sum.checksum.len()), (0x8003, 24));
    assert_eq!(sum.checksum[..4], [16, 0, 0, 0]);
    assert_eq!(sum.checksum[20..], [0x3e, 0, 0, 0]);
    authenticator
}

/// The service's answer, with its subkey where `subkey` is set.
fn ap_rep(authenticator: &Authenticator, subkey: Option<&Key>) -> Vec<u8> {
    let part = EncApRepPart {
        ctime: authenticator.ctime,
        cusec: authenticator.cusec,
        subkey: subkey.map(EncryptionKey::from),
        seq_number: Some(-5),
    };
    seal_ap_rep(&part)
}

fn seal_ap_rep(part: &EncApRepPart) -> Vec<u8> {
    let reply = ApRep {
        pvno: 5,
        msg_type: ApRep::MSG_TYPE,
        enc_part: EncryptedData::encrypt(
            &key(7),
            None,
            key_usage::AP_REP,
            &messages::encode(part).unwrap(),
            &mut fill,
        ),
    };
    let inner = [&[2, 0][..], &messages::encode(&reply).unwrap()].concat();
    framing::initial_token(KERBEROS, &inner)
}

/// The acceptor's end of the same context.
fn server_context(authenticator: &Authenticator, subkey: Option<&Key>) -> Context {
    let own = authenticator.subkey.as_ref().unwrap().to_key().unwrap();
    let first = u64::try_from(authenticator.seq_number.unwrap()).unwrap();
    Context::new(
        Side::Acceptor,
        subkey.cloned().unwrap_or(own),
        subkey.is_some(),
        u64::from(u32::MAX - 4),
        first,
    )
}

fn talk(client: &mut Context, server: &mut Context) {
    for _ in 0..3 {
        let token = client.wrap(b"to the server", &mut fill);
        assert_eq!(*server.unwrap(&token).unwrap(), b"to the server");
        let token = server.wrap(b"to the client", &mut fill);
        assert_eq!(*client.unwrap(&token).unwrap(), b"to the client");
    }
}

fn start(mechanism: Mechanism) -> (Initiator, Vec<u8>) {
    let mut initiator = Initiator::new(credential(), mechanism);
    let ContextStep::Continue(token) = initiator.step(&[], NOW, &mut fill).unwrap() else {
        panic!("no first token");
    };
    assert!(initiator.context().is_none());
    (initiator, token)
}

/// The Kerberos token inside the first SPNEGO token.
fn mech_token(token: &[u8]) -> &[u8] {
    let at = token
        .windows(KERBEROS.len())
        .rposition(|window| window == KERBEROS)
        .unwrap();
    // The frame: 0x60, a length of three bytes, 0x06, the length of the identifier.
    let start = (at - 6..at).find(|at| token[*at] == 0x60).unwrap();
    &token[start..]
}

fn response(state: Option<u8>, token: Option<&[u8]>, mic: Option<&[u8]>) -> Vec<u8> {
    let mut body = Vec::new();
    if let Some(state) = state {
        body.extend(framing::tlv(0xa0, &[10, 1, state]));
    }
    if let Some(token) = token {
        body.extend(framing::tlv(0xa2, &framing::tlv(4, token)));
    }
    if let Some(mic) = mic {
        body.extend(framing::tlv(0xa3, &framing::tlv(4, mic)));
    }
    framing::tlv(0xa1, &framing::tlv(0x30, &body))
}

#[test]
fn kerberos_without_spnego_completes() {
    for subkey in [None, Some(key(9))] {
        let (mut initiator, token) = start(Mechanism::Kerberos);
        let authenticator = accept(&token);
        let answer = ap_rep(&authenticator, subkey.as_ref());
        assert_eq!(
            initiator.step(&answer, NOW, &mut fill),
            Ok(ContextStep::Done(None))
        );
        let mut server = server_context(&authenticator, subkey.as_ref());
        assert_eq!(
            initiator.step(&answer, NOW, &mut fill),
            Err(GssError::Complete)
        );
        let mut client = initiator.into_context().unwrap();
        assert_eq!(*client.smb_session_key(), server.key().as_bytes()[..16]);
        talk(&mut client, &mut server);
    }
}

#[test]
fn spnego_completes_with_each_form_of_the_last_token() {
    let list = spnego::mech_list().unwrap();
    let subkey = key(9);
    // Completed at once, with and without a MIC of the list.
    for with_mic in [false, true] {
        let (mut initiator, token) = start(Mechanism::Spnego);
        let authenticator = accept(mech_token(&token));
        let mut server = server_context(&authenticator, Some(&subkey));
        let mic = with_mic.then(|| server.mic(&list));
        let answer = response(
            Some(0),
            Some(&ap_rep(&authenticator, Some(&subkey))),
            mic.as_deref(),
        );
        assert_eq!(
            initiator.step(&answer, NOW, &mut fill),
            Ok(ContextStep::Done(None))
        );
        talk(&mut initiator.into_context().unwrap(), &mut server);
    }
    // The acceptor asks for our MIC and ends with its own.
    let (mut initiator, token) = start(Mechanism::Spnego);
    let authenticator = accept(mech_token(&token));
    let mut server = server_context(&authenticator, Some(&subkey));
    let answer = response(Some(3), Some(&ap_rep(&authenticator, Some(&subkey))), None);
    let Ok(ContextStep::Continue(ours)) = initiator.step(&answer, NOW, &mut fill) else {
        panic!("no MIC was sent");
    };
    assert!(initiator.context().is_none());
    server.verify_mic(&list, &ours[ours.len() - 28..]).unwrap();
    let mic = server.mic(&list);
    assert_eq!(
        initiator.step(&response(Some(0), None, Some(&mic)), NOW, &mut fill),
        Ok(ContextStep::Done(None))
    );
    talk(&mut initiator.into_context().unwrap(), &mut server);
}

#[test]
fn a_service_without_mutual_authentication_is_refused() {
    let (_, token) = start(Mechanism::Kerberos);
    let authenticator = accept(&token);
    let good = EncApRepPart {
        ctime: authenticator.ctime,
        cusec: authenticator.cusec,
        subkey: None,
        seq_number: None,
    };
    let replayed = EncApRepPart {
        cusec: good.cusec + 1,
        ..good.clone()
    };
    let step = |answer: &[u8]| start(Mechanism::Kerberos).0.step(answer, NOW, &mut fill);
    assert_eq!(step(&seal_ap_rep(&good)), Ok(ContextStep::Done(None)));
    assert_eq!(step(&seal_ap_rep(&replayed)), Err(GssError::NotMutual));
    let whole = seal_ap_rep(&good);
    for cut in 0..whole.len() {
        assert!(step(&whole[..cut]).is_err(), "{cut}");
    }
    let mut changed = whole.clone();
    *changed.last_mut().unwrap() ^= 1;
    assert_eq!(step(&changed), Err(GssError::NotMutual));
    // Over SPNEGO: "completed" without a proof.
    let step = |answer: &[u8]| start(Mechanism::Spnego).0.step(answer, NOW, &mut fill);
    assert_eq!(
        step(&response(Some(0), None, None)),
        Err(GssError::NotMutual)
    );
    assert_eq!(
        step(&response(Some(2), None, None)),
        Err(GssError::Rejected)
    );
    assert_eq!(
        step(&response(Some(2), Some(&whole), None)),
        Err(GssError::Rejected)
    );
    assert_eq!(
        step(&response(Some(0), Some(&whole), Some(&[4; 28]))),
        Err(GssError::Malformed)
    );
}

#[test]
fn a_kerberos_error_is_reported_with_its_code() {
    let error = messages::encode(&KrbError {
        pvno: 5,
        msg_type: KrbError::MSG_TYPE,
        ctime: None,
        cusec: None,
        stime: KerberosTime(1_700_000_000),
        susec: 0,
        error_code: 37,
        crealm: None,
        cname: None,
        realm: "CORP".into(),
        sname: PrincipalName::new(2, &["cifs", "dc1"]),
        e_text: None,
        e_data: None,
    })
    .unwrap();
    let token = framing::initial_token(KERBEROS, &[&[3, 0][..], &error].concat());
    let (mut kerberos, _) = start(Mechanism::Kerberos);
    assert_eq!(
        kerberos.step(&token, NOW, &mut fill),
        Err(GssError::Kerberos(37))
    );
    // An initiator that failed stays failed.
    assert_eq!(kerberos.step(&[], NOW, &mut fill), Err(GssError::Malformed));
    let (mut spnego, _) = start(Mechanism::Spnego);
    let rejected = response(Some(2), Some(&token), None);
    assert_eq!(
        spnego.step(&rejected, NOW, &mut fill),
        Err(GssError::Kerberos(37))
    );
}

#[test]
fn a_wrong_mic_of_the_list_is_a_downgrade() {
    let (mut initiator, token) = start(Mechanism::Spnego);
    let authenticator = accept(mech_token(&token));
    let mut server = server_context(&authenticator, None);
    let mic = server.mic(b"another list");
    let answer = response(Some(0), Some(&ap_rep(&authenticator, None)), Some(&mic));
    assert_eq!(
        initiator.step(&answer, NOW, &mut fill),
        Err(GssError::Integrity)
    );
    assert!(initiator.context().is_none());
}
