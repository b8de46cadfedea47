//! The exchange in the test world: what must be granted, and for each security rule what must be refused.

mod granted;
mod requests;
mod rules;

use crate::two_realms::{Ask, Granted, Referral, TwoRealms};
use crate::{Outcome, Reason};
use crossrealm_krb::crypto::{Enctype, Key};
use crossrealm_krb::messages::{AuthorizationDataElement, decode};
use crossrealm_krb::pac::Pac;

fn key(byte: u8) -> Key {
    Key::new(Enctype::Aes256Sha1, &[byte; 32]).unwrap()
}

/// One exchange with an honest request, changed by `referral` and `ask`.
fn play(
    world: &mut TwoRealms,
    referral: impl FnOnce(&mut Referral),
    ask: impl FnOnce(&mut Ask),
) -> Result<Granted, Reason> {
    let mut r = world.referral();
    referral(&mut r);
    let mut a = world.ask();
    ask(&mut a);
    let fast = a.fast;
    let ticket = world.seal(r);
    let bytes = world.request(ticket, a);
    let ending = world.exchange(&bytes);
    world.open(ending, fast).map_err(|refused| {
        let (error, event) = *refused;
        let Outcome::Refused(reason) = event.outcome else {
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
fn refused(reason: Reason, referral: impl FnOnce(&mut Referral), ask: impl FnOnce(&mut Ask)) {
    let mut world = TwoRealms::new();
    assert_eq!(play(&mut world, referral, ask).err(), Some(reason));
    // One refusal leaves nothing behind.
    honest(&mut world);
}

fn pac_of(granted: &Granted) -> Pac {
    let elements = granted.inside.authorization_data.as_ref().unwrap();
    let inner: Vec<AuthorizationDataElement> = decode(&elements[0].data).unwrap();
    Pac::decode(&inner[0].data).unwrap()
}
