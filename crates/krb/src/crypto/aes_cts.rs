//! AES in CBC mode with ciphertext stealing and a zero initial vector, RFC 3962 §5.
//!
//! Inputs are at least one block long: every caller puts a confounder in front or passes exactly one block.

use aes::cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
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

/// `bytes`, at most one block, padded with zeros to a block.
fn padded(bytes: &[u8]) -> Block {
    let mut block = [0; BLOCK];
    for (to, from) in block.iter_mut().zip(bytes) {
        *to = *from;
    }
    block
}

fn xor(block: &mut Block, other: &Block) {
    for (to, from) in block.iter_mut().zip(other) {
        *to ^= from;
    }
}

/// Appends the encryption of `plain` (one block or more) to `out`; as long as `plain`.
pub(super) fn encrypt(key: &[u8], plain: &[u8], out: &mut Vec<u8>) {
    let cipher = Cipher::new(key);
    let start = out.len();
    let mut previous = [0; BLOCK];
    for chunk in plain.chunks(BLOCK) {
        let mut block = padded(chunk);
        xor(&mut block, &previous);
        cipher.encrypt(&mut block);
        out.extend_from_slice(&block);
        previous = block;
    }
    if plain.len() > BLOCK
        && let Some((rest, last)) = out.split_last_chunk_mut::<BLOCK>()
        && let Some((_, before)) = rest.split_last_chunk_mut::<BLOCK>()
    {
        std::mem::swap(before, last);
    }
    out.truncate(start + plain.len());
}

/// The decryption of `text` (one block or more); as long as `text`.
pub(super) fn decrypt(key: &[u8], text: &[u8]) -> Zeroizing<Vec<u8>> {
    let cipher = Cipher::new(key);
    let len = text.len().next_multiple_of(BLOCK);
    let mut out = Zeroizing::new(Vec::with_capacity(len));
    out.extend_from_slice(text);
    out.resize(len, 0);
    let blocks = out.as_chunks_mut::<BLOCK>().0;
    // Undo the stealing: the last two blocks change places, and the shortened one gets back the bytes that its
    // successor's decryption reveals.
    if let [.., before, last] = blocks {
        let last_len = text.len() - (len - BLOCK);
        let mut revealed = *before;
        cipher.decrypt(&mut revealed);
        for (to, from) in last.iter_mut().zip(&revealed).skip(last_len) {
            *to = *from;
        }
        std::mem::swap(before, last);
    }
    let mut previous = [0; BLOCK];
    for block in blocks {
        let sealed = *block;
        cipher.decrypt(block);
        xor(block, &previous);
        previous = sealed;
    }
    out.truncate(text.len());
    out
}
