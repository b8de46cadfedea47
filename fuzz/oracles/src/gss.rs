//! GSS-API tokens: no token without the key is accepted, and what the key encrypted decrypts.

use crate::Fixed;
use crate::seeds::credential;
use crossrealm_krb::crypto::{Enctype, Key};
use crossrealm_krb::gss::{Context, Initiator, Mechanism, Side};
use std::time::Duration;

const NOW: Duration = Duration::from_secs(1_700_000_000);

/// Tokens from a peer: as the answer to a first token, and in an established context.
pub fn gss(data: &[u8]) {
    for mechanism in [Mechanism::Spnego, Mechanism::Kerberos] {
        let mut initiator = Initiator::new(credential(), mechanism);
        initiator
            .step(&[], NOW, &mut Fixed(1))
            .expect("the first token needs nothing of the peer");
        assert!(initiator.step(data, NOW, &mut Fixed(2)).is_err());
        assert!(initiator.context().is_none());
    }

    let context = |side| Context::new(side, key(), true, 1, 1);
    assert!(context(Side::Initiator).unwrap(data).is_err());
    assert!(context(Side::Initiator).verify_mic(b"", data).is_err());

    let sealed = context(Side::Acceptor).wrap(data, &mut Fixed(3));
    let mut receiver = context(Side::Initiator);
    let opened = receiver.unwrap(&sealed).expect("it is unchanged");
    assert_eq!(*opened, data);
    assert!(receiver.unwrap(&sealed).is_err(), "a replay was accepted");

    // One bit changed anywhere but in the rotation, which is not protected.
    if let Some(seed) = data.first_chunk().map(|bytes| u16::from_le_bytes(*bytes)) {
        let at = usize::from(seed) % sealed.len();
        if at != 6 && at != 7 {
            let mut edited = sealed;
            edited[at] ^= 1;
            assert!(context(Side::Initiator).unwrap(&edited).is_err());
        }
    }
}

fn key() -> Key {
    Key::new(Enctype::Aes256Sha1, &[7; 32]).expect("32 bytes are a key")
}
