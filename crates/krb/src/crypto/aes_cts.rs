//! AES in CBC mode with ciphertext stealing and a zero initial vector, RFC 3962 §5: what NIST calls CBC-CS3.
//!
//! Texts are changed in place and are at least one block long: every caller puts a confounder in front or passes exactly
//! one block. The library's CBC knows whole blocks alone; the last two are put in order here.

use aws_lc_rs::cipher::{
    AES_128, AES_256, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext,
    UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use zeroize::Zeroizing;

/// Bytes of a block.
pub(super) const BLOCK: usize = 16;
const ZERO_IV: [u8; BLOCK] = [0; BLOCK];

/// Bytes that a text of `len` bytes takes while it is changed: whole blocks. A vector that has them from the beginning does not
/// grow, which would leave the text behind.
pub(super) fn padded_len(len: usize) -> usize {
    len.next_multiple_of(BLOCK)
}

/// A key schedule that encrypts; wiped when dropped. None where the library made none, which a key of 16 or 32 bytes rules out.
pub(super) struct Encryptor(Option<EncryptingKey>);

impl Encryptor {
    /// For a key of 16 or 32 bytes.
    pub(super) fn new(key: &[u8]) -> Self {
        Self(schedule(key).and_then(|key| EncryptingKey::cbc(key).ok()))
    }

    /// Encrypts one block by itself.
    pub(super) fn block(&self, block: &mut [u8; BLOCK]) {
        self.blocks(block);
    }

    /// Encrypts one block or more. Where nothing can be stolen from a block before, it is encrypted as it is.
    pub(super) fn encrypt(&self, text: &mut Vec<u8>) {
        let len = text.len();
        if len < BLOCK {
            return text.fill(0);
        }
        text.resize(padded_len(len), 0);
        self.blocks(text);
        swap_last(text);
        text.truncate(len);
    }

    /// Encrypts whole blocks. What was not encrypted must not leave as it came.
    fn blocks(&self, text: &mut [u8]) {
        let context = EncryptionContext::Iv128(FixedLength::from(ZERO_IV));
        let done = self
            .0
            .as_ref()
            .and_then(|key| key.less_safe_encrypt(text, context).ok());
        if done.is_none() {
            text.fill(0);
        }
    }
}

/// A key schedule that decrypts; wiped when dropped.
pub(super) struct Decryptor(Option<DecryptingKey>);

impl Decryptor {
    /// For a key of 16 or 32 bytes.
    pub(super) fn new(key: &[u8]) -> Self {
        Self(schedule(key).and_then(|key| DecryptingKey::cbc(key).ok()))
    }

    /// Decrypts one block or more.
    pub(super) fn decrypt(&self, text: &mut Vec<u8>) {
        let len = text.len();
        if len < BLOCK {
            return text.fill(0);
        }
        text.resize(padded_len(len), 0);
        self.restore_stolen(text, len);
        self.blocks(text);
        text.truncate(len);
    }

    /// The ciphertext as plain CBC has it. Of the block before the last only a part was sent; the rest is what the last block
    /// decrypts to there, since the plaintext was filled up with zeros.
    fn restore_stolen(&self, text: &mut [u8], len: usize) {
        let sent = (len - 1) % BLOCK + 1;
        let mut blocks = text.rchunks_exact_mut(BLOCK);
        if let (Some(partial), Some(last)) = (blocks.next(), blocks.next()) {
            let mut opened = Zeroizing::new(ZERO_IV);
            opened.copy_from_slice(last);
            self.blocks(opened.as_mut_slice());
            let missing = partial.iter_mut().zip(opened.iter()).skip(sent);
            missing.for_each(|(to, from)| *to = *from);
        }
        swap_last(text);
    }

    fn blocks(&self, text: &mut [u8]) {
        let context = DecryptionContext::Iv128(FixedLength::from(ZERO_IV));
        let done = self
            .0
            .as_ref()
            .map(|key| key.decrypt(text, context).is_ok());
        if done != Some(true) {
            text.fill(0);
        }
    }
}

fn schedule(key: &[u8]) -> Option<UnboundCipherKey> {
    let algorithm = if key.len() == 32 { &AES_256 } else { &AES_128 };
    UnboundCipherKey::new(algorithm, key).ok()
}

/// Exchanges the last two blocks, if there are two.
fn swap_last(text: &mut [u8]) {
    let mut blocks = text.rchunks_exact_mut(BLOCK);
    if let (Some(last), Some(before)) = (blocks.next(), blocks.next()) {
        last.swap_with_slice(before);
    }
}
