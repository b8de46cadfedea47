//! The SMB 3.1.1 application key ([MS-SMB2] 3.2.5.3.1), which [MS-LSAD] calls the session key of a call over SMB.
//!
//! It is derived from the pre-authentication integrity hash: SHA-512 over the messages of negotiation and session set-up
//! without the last response. The SMB library does not expose that hash, so [`Watched`] computes it below the library, from
//! the bytes of the socket, and changes none of them.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256, Sha512};
use smolder_core::transport::{SmbTransport, TransportIdentity};
use std::sync::{Arc, Mutex, PoisonError};
use zeroize::Zeroizing;

/// The first byte of a clear message; encrypted ones begin with 0xFD ([MS-SMB2] 2.2.1, 2.2.41).
const CLEAR_MESSAGE: u8 = 0xFE;

/// The hash over the clear messages so far.
#[derive(Clone, Default)]
pub(super) struct Transcript(Arc<Mutex<Hashes>>);

struct Hashes {
    /// Over all messages but the last.
    before_last: [u8; 64],
    /// Over all messages.
    all: [u8; 64],
    /// How many messages.
    count: usize,
}

impl Default for Hashes {
    fn default() -> Self {
        Self {
            before_last: [0; 64],
            all: [0; 64],
            count: 0,
        }
    }
}

impl Transcript {
    fn add(&self, message: &[u8]) {
        if message.first() != Some(&CLEAR_MESSAGE) {
            return;
        }
        let mut hashes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = Sha512::new()
            .chain_update(hashes.all)
            .chain_update(message)
            .finalize();
        hashes.before_last = hashes.all;
        hashes.all = next.into();
        hashes.count += 1;
    }

    /// The application key of a session that has just been set up. `None` without two messages of negotiation and at least two
    /// of session set-up.
    pub(super) fn application_key(&self, session_key: &[u8]) -> Option<Zeroizing<[u8; 16]>> {
        let hashes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (hashes.count >= 4).then(|| derive(session_key, &hashes.before_last))
    }
}

/// The KDF of [MS-SMB2] 3.1.4.2 (SP 800-108 counter mode, HMAC-SHA256) with the label `SMBAppKey`.
fn derive(session_key: &[u8], preauth_hash: &[u8; 64]) -> Zeroizing<[u8; 16]> {
    let mut key = Zeroizing::new([0; 16]);
    // HMAC takes a key of any length.
    if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(session_key) {
        mac.update(&1u32.to_be_bytes());
        mac.update(b"SMBAppKey\0");
        mac.update(&[0]);
        mac.update(preauth_hash);
        mac.update(&128u32.to_be_bytes());
        let output = Zeroizing::new(<[u8; 32]>::from(mac.finalize().into_bytes()));
        key.copy_from_slice(&output[..16]);
    }
    key
}

/// A transport that hashes the clear messages that pass through it.
pub(crate) struct Watched<T> {
    inner: T,
    transcript: Transcript,
}

impl<T> Watched<T> {
    pub(super) fn new(inner: T, transcript: Transcript) -> Self {
        Self { inner, transcript }
    }
}

#[async_trait::async_trait]
impl<T: SmbTransport + Send> SmbTransport for Watched<T> {
    async fn send_message(&mut self, message: &[u8]) -> std::io::Result<()> {
        self.transcript.add(message);
        self.inner.send_message(message).await
    }

    async fn recv_message(&mut self) -> std::io::Result<Vec<u8>> {
        let message = self.inner.recv_message().await?;
        self.transcript.add(&message);
        Ok(message)
    }

    fn transport_identity(&self) -> TransportIdentity {
        self.inner.transport_identity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_clear_messages_count_and_the_last_is_left_out() {
        let transcript = Transcript::default();
        for message in [
            &[0xFE, 1][..],
            &[0xFE, 2],
            &[0xFE, 3],
            &[0xFE, 4],
            &[0xFD, 5],
        ] {
            assert!(transcript.0.lock().unwrap().count < 4 || message[0] == 0xFD);
            transcript.add(message);
        }
        let mut expected = [0u8; 64];
        for message in [[0xFE, 1], [0xFE, 2], [0xFE, 3]] {
            expected = Sha512::new()
                .chain_update(expected)
                .chain_update(message)
                .finalize()
                .into();
        }
        assert_eq!(
            transcript.application_key(&[1; 16]).unwrap(),
            derive(&[1; 16], &expected)
        );
    }

    #[test]
    fn no_key_without_a_set_up() {
        let transcript = Transcript::default();
        transcript.add(&[0xFE]);
        assert!(transcript.application_key(&[1; 16]).is_none());
    }

    /// HMAC-SHA256 of the KDF's input, computed by another implementation (Python's `hmac`).
    #[test]
    fn the_key_is_that_of_the_kdf() {
        let key = derive(&(0..16).collect::<Vec<u8>>(), &[0x5A; 64]);
        assert_eq!(
            hex::encode(key.as_slice()),
            "2b730ebb763c8416977efca3b61ea346"
        );
    }
}
