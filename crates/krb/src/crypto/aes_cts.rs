//! AES in CBC mode with ciphertext stealing and a zero initial vector, RFC 3962 §5: what NIST calls CBC-CS3.
//!
//! Texts are changed in place and are at least one block long: every caller puts a confounder in front or passes exactly
//! one block.

use aes::cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, InnerIvInit, KeyInit};
use cts::{CbcCs3, Decrypt, Encrypt};
use zeroize::Zeroizing;

/// Bytes of a block.
pub(super) const BLOCK: usize = 16;
type Block = [u8; BLOCK];

#[allow(
    clippy::large_enum_variant,
    reason = "lives on the stack for one call; a box would cost an allocation for each"
)]
pub(super) enum Cipher {
    Aes128(aes::Aes128),
    Aes256(aes::Aes256),
}

impl Cipher {
    /// The cipher for a key of 32 bytes, else of 16. Keys have a checked length by construction of `Key`.
    pub(super) fn new(key: &[u8]) -> Self {
        let mut wide = Zeroizing::new([0u8; 32]);
        for (to, from) in wide.iter_mut().zip(key) {
            *to = *from;
        }
        if key.len() == 32 {
            return Self::Aes256(aes::Aes256::new(&Array::from(*wide)));
        }
        let mut narrow = Zeroizing::new([0u8; 16]);
        for (to, from) in narrow.iter_mut().zip(key) {
            *to = *from;
        }
        Self::Aes128(aes::Aes128::new(&Array::from(*narrow)))
    }

    pub(super) fn encrypt(&self, block: &mut Block) {
        let mut array = Array::from(*block);
        match self {
            Self::Aes128(c) => c.encrypt_block(&mut array),
            Self::Aes256(c) => c.encrypt_block(&mut array),
        }
        *block = array.into();
    }

    fn decrypt(&self, block: &mut Block) {
        let mut array = Array::from(*block);
        match self {
            Self::Aes128(c) => c.decrypt_block(&mut array),
            Self::Aes256(c) => c.decrypt_block(&mut array),
        }
        *block = array.into();
    }
}

/// Encrypts one block or more. Where nothing can be stolen from a block before, it is encrypted as it is.
pub(super) fn encrypt(key: &[u8], text: &mut [u8]) {
    let cipher = Cipher::new(key);
    if let ([block], []) = text.as_chunks_mut() {
        return cipher.encrypt(block);
    }
    let done = match cipher {
        Cipher::Aes128(c) => CbcCs3::inner_iv_init(c, &Array::default()).encrypt(text),
        Cipher::Aes256(c) => CbcCs3::inner_iv_init(c, &Array::default()).encrypt(text),
    };
    wiped_unless(done, text);
}

/// Decrypts one block or more.
pub(super) fn decrypt(key: &[u8], text: &mut [u8]) {
    let cipher = Cipher::new(key);
    if let ([block], []) = text.as_chunks_mut() {
        return cipher.decrypt(block);
    }
    let done = match cipher {
        Cipher::Aes128(c) => CbcCs3::inner_iv_init(c, &Array::default()).decrypt(text),
        Cipher::Aes256(c) => CbcCs3::inner_iv_init(c, &Array::default()).decrypt(text),
    };
    wiped_unless(done, text);
}

/// Less than a block is refused, and must not leave as it came.
fn wiped_unless(done: Result<(), cts::Error>, text: &mut [u8]) {
    if done.is_err() {
        text.fill(0);
    }
}
