//! Requests that do not come from the ticket's holder, are not for tickets, or are not Kerberos.

use super::{honest, key, refused};
use crossrealm_kdc::{ExchangeStep, Reason, Records, TicketOutcome};
use crossrealm_krb::messages::{PaData, PrincipalName, decode, name_type, pa_type};
use crossrealm_testkit::two_realms::{Ending, TwoRealms};

#[test]
fn the_request_must_come_from_the_tickets_holder() {
    refused(
        Reason::AuthenticatorMismatch,
        |_| {},
        |a| a.authenticator.cname = PrincipalName::new(name_type::PRINCIPAL, &["bob"]),
    );
    refused(Reason::ChecksumMissing, |_| {}, |a| a.checksum = false);
    let mut world = TwoRealms::new();
    let referral = world.referral();
    let ticket = world.encrypt_referral(referral);
    let ask = world.request_draft();
    let bytes = world.request_with(ticket, ask, &key(0x11));
    let ending = world.exchange(&bytes);
    let (_, event) = *world.decrypt_reply(ending, false).err().unwrap();
    assert_eq!(
        event.outcome,
        TicketOutcome::Refused(Reason::AuthenticatorIntegrity)
    );
}

#[test]
fn a_replayed_authenticator_with_another_body_is_refused() {
    let mut world = TwoRealms::new();
    let referral = world.referral();
    let ticket = world.encrypt_referral(referral);
    let ask = world.request_draft();
    let bytes = world.request(ticket, ask);
    let at = bytes.windows(5).position(|w| w == b"acct1").unwrap();
    let mut changed = bytes.clone();
    changed[at] = b'x';
    let ending = world.exchange(&changed);
    let (_, event) = *world.decrypt_reply(ending, false).err().unwrap();
    assert_eq!(
        event.outcome,
        TicketOutcome::Refused(Reason::RequestModified)
    );
}

#[test]
fn the_request_inside_fast_takes_effect() {
    let mut world = TwoRealms::new();
    // The armor of another session does not decrypt.
    let referral = world.referral();
    let ticket = world.encrypt_referral(referral);
    let mut ask = world.request_draft();
    ask.fast = true;
    ask.authenticator.subkey = Some((&key(0x12)).into());
    let bytes = world.request(ticket, ask);
    let ending = world.exchange(&bytes);
    let (_, event) = *world.decrypt_reply(ending, false).err().unwrap();
    assert_eq!(
        event.outcome,
        TicketOutcome::Refused(Reason::ArmorIntegrity)
    );
    // The error inside FAST is the same.
    world.identities.clear();
    let (r, mut a) = (TwoRealms::new().referral(), world.request_draft());
    a.fast = true;
    let ticket = world.encrypt_referral(r);
    let bytes = world.request(ticket, a);
    let ending = world.exchange(&bytes);
    let (error, _) = *world.decrypt_reply(ending, true).err().unwrap();
    let method_data: Vec<PaData> = decode(&error.e_data.unwrap()).unwrap();
    let armor = crossrealm_krb::fast::armor_key(&world.subkey(), &world.session_key());
    let fast = PaData::find(&method_data, pa_type::FX_FAST).unwrap();
    let response = crossrealm_krb::fast::open_response(fast, &armor).unwrap();
    let inner = PaData::find(&response.padata, pa_type::FX_ERROR).unwrap();
    let inner: crossrealm_krb::messages::KrbError = decode(inner).unwrap();
    assert_eq!(inner.error_code, error.error_code);
}

#[test]
fn other_messages_are_refused_or_dropped() {
    let mut world = TwoRealms::new();
    for garbage in [
        &b""[..],
        b"GET / HTTP/1.1",
        b"hello, this is not Kerberos",
        &[0x6E],
        &[0x6E, 0x80],
        &[0x6E, 0x81, 1],
        &[0x6E, 0, 0],
        &[0x6C],
        &[0x6C, 0x80, 0, 0],
        &[0xFF; 4000],
    ] {
        let ending = world.exchange(garbage);
        assert!(matches!(ending, Ending::Dropped(e) if e.outcome == TicketOutcome::Dropped));
    }
    let ending = world.exchange(&[0x6E, 0]);
    let (_, event) = *world.decrypt_reply(ending, false).err().unwrap();
    assert_eq!(
        event.outcome,
        TicketOutcome::Refused(Reason::UnsupportedMessage)
    );
    let body = world.request_draft().body;
    let request = crossrealm_krb::messages::KdcReq::new(vec![], body).unwrap();
    let as_req = crossrealm_krb::messages::AsReq(request.clone())
        .encode()
        .unwrap();
    let ending = world.exchange(&as_req);
    let (error, event) = *world.decrypt_reply(ending, false).err().unwrap();
    assert_eq!(
        event.outcome,
        TicketOutcome::Refused(Reason::SignInIsOnPremises)
    );
    assert!(error.e_text.unwrap().as_str().contains("on-premises"));
    let tgs_req = crossrealm_krb::messages::TgsReq(request).encode().unwrap();
    let ending = world.exchange(&tgs_req);
    let (_, event) = *world.decrypt_reply(ending, false).err().unwrap();
    assert_eq!(event.outcome, TicketOutcome::Refused(Reason::NoTicket));
    honest(&mut world);
}

#[test]
fn an_unavailable_directory_refuses_the_ticket() {
    let mut world = TwoRealms::new();
    let referral = world.referral();
    let ticket = world.encrypt_referral(referral);
    let ask = world.request_draft();
    let bytes = world.request(ticket, ask);
    let step = crossrealm_kdc::Exchange::begin(
        world.tenant.id,
        &bytes,
        world.now,
        crossrealm_kdc::EventId([1; 16]),
    );
    let ExchangeStep::Need { exchange, .. } = step else {
        panic!("{step:?}");
    };
    let records = Records::Unavailable("the database is locked".into());
    let ExchangeStep::Reply { bytes, event } = exchange.resume(records, &mut world.random()) else {
        panic!("no reply");
    };
    assert_eq!(
        event.outcome,
        TicketOutcome::Refused(Reason::DirectoryUnavailable)
    );
    let error: crossrealm_krb::messages::KrbError = decode(&bytes).unwrap();
    assert!(
        !error.e_text.unwrap().as_str().contains("database"),
        "internals stay inside"
    );
}

#[test]
fn records_of_another_tenant_never_make_a_ticket() {
    let mut world = TwoRealms::new();
    let referral = world.referral();
    let ticket = world.encrypt_referral(referral);
    let ask = world.request_draft();
    let bytes = world.request(ticket, ask);
    let other = crossrealm_kdc::TenantId([8; 16]);
    let step =
        crossrealm_kdc::Exchange::begin(other, &bytes, world.now, crossrealm_kdc::EventId([1; 16]));
    let ExchangeStep::Need { exchange, lookups } = step else {
        panic!("{step:?}");
    };
    let records = world.records(&lookups.wanted);
    let ExchangeStep::Reply { event, .. } = exchange.resume(records, &mut world.random()) else {
        panic!("no reply");
    };
    assert_eq!(
        event.outcome,
        TicketOutcome::Refused(Reason::DirectoryUnavailable)
    );
}

#[test]
fn a_password_change_is_refused_in_its_own_form() {
    let mut world = TwoRealms::new();
    let ap_req = [0x6E, 2, 5, 0];
    let request = [&[0, 10, 0xFF, 0x80, 0, 4][..], &ap_req].concat();
    let Ending::Reply(bytes, event) = world.exchange(&request) else {
        panic!("no reply");
    };
    assert_eq!(
        event.outcome,
        TicketOutcome::Refused(Reason::PasswordChange)
    );
    let (head, error) = bytes.split_at(6);
    assert_eq!(
        usize::from(u16::from_be_bytes([head[0], head[1]])),
        bytes.len()
    );
    assert_eq!(head[2..], [0, 1, 0, 0]);
    let error: crossrealm_krb::messages::KrbError = decode(error).unwrap();
    let text = error.e_data.unwrap();
    assert_eq!(text[..2], [0, 5]);
    assert_eq!(&text[2..], Reason::PasswordChange.text().as_bytes());
    for garbage in [
        &request[..9],
        &[0, 10, 0, 2, 0, 4, 0x6E, 2, 5, 0],
        &[0, 4, 0, 1],
    ] {
        assert!(matches!(world.exchange(garbage), Ending::Dropped(_)));
    }
}
