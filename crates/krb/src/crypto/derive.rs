//! Keys made from keys: DK of RFC 3961 §5.1 for encryption types 17 and 18, KDF-HMAC-SHA2 of RFC 8009 §3 for 19 and 20.

use super::aes_cts::{BLOCK, Cipher};
use super::enctype::Enctype;
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
pub(super) fn derive_key(
    enctype: Enctype,
    key: &[u8],
    usage: u32,
    purpose: Purpose,
) -> Zeroizing<Vec<u8>> {
    let [a, b, c, d] = usage.to_be_bytes();
    let constant = match purpose {
        Purpose::Checksum => [a, b, c, d, 0x99],
        Purpose::Encryption => [a, b, c, d, 0xAA],
        Purpose::Integrity => [a, b, c, d, 0x55],
    };
    match enctype {
        Enctype::Aes128Sha1 | Enctype::Aes256Sha1 => dk(key, &constant),
        Enctype::Aes128Sha2 | Enctype::Aes256Sha2 => {
            let len = match purpose {
                Purpose::Encryption => enctype.key_len(),
                Purpose::Checksum | Purpose::Integrity => enctype.mac_len(),
            };
            kdf_sha2(enctype, key, &constant, b"", len)
        }
    }
}

/// The last step of string-to-key: derives with the constant "kerberos".
pub(super) fn kerberos_constant(enctype: Enctype, seed: &[u8]) -> Zeroizing<Vec<u8>> {
    match enctype {
        Enctype::Aes128Sha1 | Enctype::Aes256Sha1 => dk(seed, b"kerberos"),
        _ => kdf_sha2(enctype, seed, b"kerberos", b"", enctype.key_len()),
    }
}

/// DK, RFC 3961 §5.1: the n-folded constant, encrypted over and over until there are as many bytes as in `key`.
pub(super) fn dk(key: &[u8], constant: &[u8]) -> Zeroizing<Vec<u8>> {
    let len = key.len();
    let cipher = Cipher::new(key);
    let mut block = Zeroizing::new([0; BLOCK]);
    n_fold(constant, block.as_mut_slice());
    let mut out = Zeroizing::new(Vec::with_capacity(len));
    while out.len() < len {
        cipher.encrypt(&mut block);
        out.extend_from_slice(block.as_slice());
    }
    out
}

/// KDF-HMAC-SHA2, RFC 8009 §3, for up to one digest of output: `len` bytes.
pub(super) fn kdf_sha2(
    enctype: Enctype,
    key: &[u8],
    label: &[u8],
    context: &[u8],
    len: usize,
) -> Zeroizing<Vec<u8>> {
    let bits = u32::try_from(len.saturating_mul(8))
        .unwrap_or(u32::MAX)
        .to_be_bytes();
    let parts: [&[u8]; 5] = [&[0, 0, 0, 1], label, &[0], context, &bits];
    let mut out = Zeroizing::new(match enctype {
        Enctype::Aes256Sha2 => hmac_sha384(key, &parts),
        _ => hmac_sha256(key, &parts),
    });
    out.truncate(len);
    out
}

/// n-fold, RFC 3961 §5.1: stretches or folds `input` to fill `out`, both of at least one byte.
///
/// The input is written again and again, each time rotated right by 13 more bits, until it ends where a copy of `out`
/// ends; the pieces as long as `out` are then added in ones' complement. Here the addition goes along, from the last byte
/// to the first: a carry out of one piece's top belongs to the bottom of the piece before, where the next addition is.
/// Every derived key starts here, so there is no division and no allocation for a byte.
pub(super) fn n_fold(input: &[u8], out: &mut [u8]) {
    out.fill(0);
    let len = input.len();
    let (mut slot, mut carry) = (0, 0);
    for copy in (0..lcm(len, out.len()) / len).rev() {
        let (whole, part) = ((copy * 13 / 8) % len, (copy * 13) % 8);
        let mut at = (2 * len - 1 - whole) % len;
        for _ in 0..len {
            let before = one_down(at, len);
            let byte = (byte_of(input, before) << 8 | byte_of(input, at)) >> part & 0xFF;
            at = before;
            slot = one_down(slot, out.len());
            carry = add(out, slot, carry + byte);
        }
    }
    while carry != 0 {
        for slot in (0..out.len()).rev() {
            carry = add(out, slot, carry);
        }
    }
}

/// The index before this one, around the end.
fn one_down(index: usize, len: usize) -> usize {
    index.checked_sub(1).unwrap_or(len - 1)
}

fn byte_of(bytes: &[u8], index: usize) -> u16 {
    bytes.get(index).copied().unwrap_or_default().into()
}

/// Adds to one byte and gives the carry.
fn add(out: &mut [u8], slot: usize, addend: u16) -> u16 {
    let Some(byte) = out.get_mut(slot) else {
        return 0;
    };
    let [carry, low] = (u16::from(*byte) + addend).to_be_bytes();
    *byte = low;
    carry.into()
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
