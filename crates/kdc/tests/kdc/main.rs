//! The exchange in the test world: what must be granted, and for each security rule what must be refused.

mod granted;
mod refusal_reasons;
mod requests;
mod rules;

use crossrealm_kdc::{Reason, TicketOutcome};
use crossrealm_krb::crypto::{Enctype, Key};
use crossrealm_krb::messages::{AuthorizationDataElement, decode};
use crossrealm_krb::pac::Pac;
use crossrealm_testkit::two_realms::{Granted, Referral, RequestDraft, TwoRealms};

fn key(byte: u8) -> Key {
    Key::new(Enctype::Aes256Sha1, &[byte; 32]).unwrap()
}

/// One exchange with an honest request, changed by `referral` and `ask`.
fn play(
    world: &mut TwoRealms,
    referral: impl FnOnce(&mut Referral),
    ask: impl FnOnce(&mut RequestDraft),
) -> Result<Granted, Reason> {
    let mut r = world.referral();
    referral(&mut r);
    let mut a = world.request_draft();
    ask(&mut a);
    let fast = a.fast;
    let ticket = world.encrypt_referral(r);
    let bytes = world.request(ticket, a);
    let ending = world.exchange(&bytes);
    world.decrypt_reply(ending, fast).map_err(|refused| {
        let (error, event) = *refused;
        let TicketOutcome::Refused(reason) = event.outcome else {
            panic!("an error without a refusal: {event:?}");
        };
        assert_eq!(error.error_code, reason.error_code());
        let text = error.e_text.unwrap().to_string();
        assert!(
            text.contains(reason.text()) && text.contains(&event.id.to_string()),
            "{text}"
        );
        assert!(!event.detail.is_empty(), "{reason:?} without a detail");
        reason
    })
}

fn honest(world: &mut TwoRealms) -> Granted {
    play(world, |_| {}, |_| {}).expect("an honest request is granted")
}

#[track_caller]
fn refused(
    reason: Reason,
    referral: impl FnOnce(&mut Referral),
    ask: impl FnOnce(&mut RequestDraft),
) {
    let mut world = TwoRealms::new();
    assert_eq!(play(&mut world, referral, ask).err(), Some(reason));
    // One refusal leaves nothing behind.
    honest(&mut world);
}

fn pac_of(granted: &Granted) -> Pac {
    let elements = granted.enc_part.authorization_data.as_ref().unwrap();
    let inner: Vec<AuthorizationDataElement> = decode(&elements[0].data).unwrap();
    Pac::decode(&inner[0].data).unwrap()
}
