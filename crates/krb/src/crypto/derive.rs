//! Keys made from keys: DK of RFC 3961 §5.1 for encryption types 17 and 18, KDF-HMAC-SHA2 of RFC 8009 §3 for 19 and 20.

use super::{Enctype, Key, aes_cts};
use hmac::{Hmac, KeyInit, Mac};
use zeroize::Zeroizing;

/// What a derived key is for; the last byte of the derivation constant, RFC 3961 §5.3.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    Checksum,
    Encryption,
    Integrity,
}

/// The key for one usage and purpose.
pub(super) fn derive_key(key: &Key, usage: u32, purpose: Purpose) -> Zeroizing<Vec<u8>> {
    let [a, b, c, d] = usage.to_be_bytes();
    let constant = match purpose {
        Purpose::Checksum => [a, b, c, d, 0x99],
        Purpose::Encryption => [a, b, c, d, 0xAA],
        Purpose::Integrity => [a, b, c, d, 0x55],
    };
    match key.enctype {
        Enctype::Aes128Sha1 | Enctype::Aes256Sha1 => dk(key, &constant),
        Enctype::Aes128Sha2 | Enctype::Aes256Sha2 => {
            let len = match purpose {
                Purpose::Encryption => key.enctype.key_len(),
                Purpose::Checksum | Purpose::Integrity => key.enctype.mac_len(),
            };
            kdf_sha2(key, &constant, b"", len)
        }
    }
}

/// The last step of string-to-key: derives with the constant "kerberos".
pub(super) fn kerberos_constant(enctype: Enctype, seed: &[u8]) -> Zeroizing<Vec<u8>> {
    let key = Key {
        enctype,
        bytes: Zeroizing::new(seed.to_vec()),
    };
    match enctype {
        Enctype::Aes128Sha1 | Enctype::Aes256Sha1 => dk(&key, b"kerberos"),
        _ => kdf_sha2(&key, b"kerberos", b"", enctype.key_len()),
    }
}

/// DK, RFC 3961 §5.1: the n-folded constant, encrypted over and over until there are enough bytes.
pub(super) fn dk(key: &Key, constant: &[u8]) -> Zeroizing<Vec<u8>> {
    let len = key.enctype.key_len();
    let mut block = Zeroizing::new(n_fold(constant, 16));
    let mut out = Zeroizing::new(Vec::with_capacity(len));
    while out.len() < len {
        let mut next = Vec::with_capacity(16);
        aes_cts::encrypt(&key.bytes, &block, &mut next);
        out.extend_from_slice(&next);
        block = Zeroizing::new(next);
    }
    out
}

/// KDF-HMAC-SHA2, RFC 8009 §3, for up to one digest of output: `len` bytes.
pub(super) fn kdf_sha2(key: &Key, label: &[u8], context: &[u8], len: usize) -> Zeroizing<Vec<u8>> {
    let bits = u32::try_from(len.saturating_mul(8))
        .unwrap_or(u32::MAX)
        .to_be_bytes();
    let parts: [&[u8]; 5] = [&[0, 0, 0, 1], label, &[0], context, &bits];
    let mut out = Zeroizing::new(match key.enctype {
        Enctype::Aes256Sha2 => hmac_sha384(&key.bytes, &parts),
        _ => hmac_sha256(&key.bytes, &parts),
    });
    out.truncate(len);
    out
}

/// n-fold, RFC 3961 §5.1: stretches or folds `input` to `len` bytes.
pub(super) fn n_fold(input: &[u8], len: usize) -> Vec<u8> {
    let total = lcm(input.len(), len);
    let mut sum = vec![0u32; len];
    for copy in 0..total / input.len().max(1) {
        let rotated = rotate_right(input, copy * 13);
        let start = copy * input.len();
        for (offset, byte) in rotated.iter().enumerate() {
            if let Some(slot) = sum.get_mut((start + offset) % len) {
                *slot += u32::from(*byte);
            }
        }
    }
    // Ones'-complement addition: the carry out of the top comes back in at the bottom.
    let mut carry = 0;
    loop {
        for slot in sum.iter_mut().rev() {
            let value = *slot + carry;
            *slot = value & 0xFF;
            carry = value >> 8;
        }
        if carry == 0 {
            break;
        }
    }
    sum.into_iter()
        .map(|value| u8::try_from(value & 0xFF).unwrap_or_default())
        .collect()
}

/// `bytes` as one bit string, rotated right by `bits`.
fn rotate_right(bytes: &[u8], bits: usize) -> Vec<u8> {
    let len = bytes.len().max(1);
    let (whole, part) = ((bits / 8) % len, bits % 8);
    let at = |index: usize| u16::from(bytes.get(index % len).copied().unwrap_or_default());
    (0..bytes.len())
        .map(|index| {
            let high = at(index + 2 * len - whole - 1);
            let low = at(index + len - whole);
            let [_, byte] = (((high << 8 | low) >> part) & 0xFF).to_be_bytes();
            byte
        })
        .collect()
}

fn lcm(a: usize, b: usize) -> usize {
    let (mut x, mut y) = (a, b);
    while y != 0 {
        (x, y) = (y, x % y);
    }
    a / x.max(1) * b
}

pub(super) fn hmac_sha1(key: &[u8], data: &[u8]) -> Vec<u8> {
    mac::<Hmac<sha1::Sha1>>(key, &[data])
}

pub(super) fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    mac::<Hmac<sha2::Sha256>>(key, parts)
}

pub(super) fn hmac_sha384(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    mac::<Hmac<sha2::Sha384>>(key, parts)
}

fn mac<M: Mac + KeyInit>(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    // HMAC takes a key of any length, so the error cannot occur; an empty MAC would match nothing.
    let Ok(mut mac) = <M as KeyInit>::new_from_slice(key) else {
        return Vec::new();
    };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}
