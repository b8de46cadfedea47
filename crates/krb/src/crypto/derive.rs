//! Keys made from keys: DK of RFC 3961 §5.1 for encryption types 17 and 18, KDF-HMAC-SHA2 of RFC 8009 §3 for 19 and 20.

use super::aes_cts::{BLOCK, Encryptor};
use super::enctype::Enctype;
use aws_lc_rs::hmac;
use std::sync::LazyLock;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// What a derived key is for; the last byte of the derivation constant, RFC 3961 §5.3.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    Checksum,
    Encryption,
    Integrity,
}

/// The bytes of a key, 16 to 32 of them; wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(super) struct KeyBytes {
    bytes: [u8; 32],
    len: usize,
}

impl KeyBytes {
    /// So many zeros, at most 32, for the caller to fill.
    pub(super) fn zeros(len: usize) -> Self {
        let bytes = [0; 32];
        let len = len.min(bytes.len());
        Self { bytes, len }
    }

    /// The first `len` of these bytes.
    pub(super) fn of(bytes: &[u8], len: usize) -> Self {
        let mut key = Self::zeros(len.min(bytes.len()));
        let both = key.as_mut().iter_mut().zip(bytes);
        both.for_each(|(to, from)| *to = *from);
        key
    }
}

impl AsRef<[u8]> for KeyBytes {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl AsMut<[u8]> for KeyBytes {
    fn as_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..self.len).unwrap_or_default()
    }
}

/// A key that is ready to derive others: its schedule is made once for all of them.
#[allow(
    clippy::large_enum_variant,
    reason = "boxed as a whole where it is kept"
)]
pub(super) enum Deriver {
    /// DK, RFC 3961 §5.1.
    Aes(Encryptor),
    /// KDF-HMAC-SHA2, RFC 8009 §3.
    Hmac(hmac::Key),
}

impl Deriver {
    pub(super) fn new(enctype: Enctype, key: &[u8]) -> Self {
        match enctype {
            Enctype::Aes128Sha1 | Enctype::Aes256Sha1 => Self::Aes(Encryptor::new(key)),
            Enctype::Aes128Sha2 | Enctype::Aes256Sha2 => Self::Hmac(hmac_key(enctype, key)),
        }
    }

    /// The key for one usage and purpose.
    pub(super) fn derive(&self, enctype: Enctype, usage: u32, purpose: Purpose) -> KeyBytes {
        match self {
            Self::Aes(schedule) => dk(schedule, &folded(usage, purpose), enctype.key_len()),
            Self::Hmac(key) => {
                let len = match purpose {
                    Purpose::Encryption => enctype.key_len(),
                    Purpose::Checksum | Purpose::Integrity => enctype.mac_len(),
                };
                let mac = kdf_sha2(key, &constant(usage, purpose), &[], len);
                KeyBytes::of(mac.as_ref(), len)
            }
        }
    }
}

/// The last step of string-to-key: derives with the constant "kerberos".
pub(super) fn kerberos_constant(enctype: Enctype, seed: &[u8]) -> KeyBytes {
    const LABEL: &[u8] = b"kerberos";
    let len = enctype.key_len();
    match Deriver::new(enctype, seed) {
        Deriver::Aes(schedule) => dk(&schedule, &folded_text(LABEL), len),
        Deriver::Hmac(key) => KeyBytes::of(kdf_sha2(&key, LABEL, &[], len).as_ref(), len),
    }
}

/// DK, RFC 3961 §5.1: the n-folded constant, encrypted over and over until there are `len` bytes.
pub(super) fn dk(schedule: &Encryptor, folded: &[u8; BLOCK], len: usize) -> KeyBytes {
    let mut key = KeyBytes::zeros(len);
    let mut block = *folded;
    for out in key.as_mut().chunks_mut(BLOCK) {
        schedule.block(&mut block);
        let both = out.iter_mut().zip(&block);
        both.for_each(|(to, from)| *to = *from);
    }
    block.zeroize();
    key
}

/// KDF-HMAC-SHA2, RFC 8009 §3, for up to one digest of output; the first `len` bytes count. `context` is given in parts.
pub(super) fn kdf_sha2(key: &hmac::Key, label: &[u8], context: &[&[u8]], len: usize) -> hmac::Tag {
    let bits = u32::try_from(len.saturating_mul(8)).unwrap_or(u32::MAX);
    let mut mac = hmac::Context::with_key(key);
    mac.update(&[0, 0, 0, 1]);
    mac.update(label);
    mac.update(&[0]);
    context.iter().for_each(|part| mac.update(part));
    mac.update(&bits.to_be_bytes());
    mac.sign()
}

/// A key for the HMAC of an encryption type.
pub(super) fn hmac_key(enctype: Enctype, key: &[u8]) -> hmac::Key {
    let algorithm = match enctype {
        Enctype::Aes128Sha1 | Enctype::Aes256Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        Enctype::Aes128Sha2 => hmac::HMAC_SHA256,
        Enctype::Aes256Sha2 => hmac::HMAC_SHA384,
    };
    hmac::Key::new(algorithm, key)
}

/// The derivation constant, RFC 3961 §5.3.
fn constant(usage: u32, purpose: Purpose) -> [u8; 5] {
    let [a, b, c, d] = usage.to_be_bytes();
    let last = match purpose {
        Purpose::Checksum => 0x99,
        Purpose::Encryption => 0xAA,
        Purpose::Integrity => 0x55,
    };
    [a, b, c, d, last]
}

/// The n-folded constants of the usages that Kerberos numbers (RFC 4120 §7.5.1, RFC 6113 §5.4): folding costs more than the
/// encryption that follows.
static FOLDED: LazyLock<Vec<[[u8; BLOCK]; 3]>> = LazyLock::new(|| {
    let purposes = [Purpose::Checksum, Purpose::Encryption, Purpose::Integrity];
    let all = |usage| purposes.map(|purpose| folded_text(&constant(usage, purpose)));
    (0..64).map(all).collect()
});

fn folded(usage: u32, purpose: Purpose) -> [u8; BLOCK] {
    let known = usize::try_from(usage).ok().and_then(|n| FOLDED.get(n));
    known.map_or_else(
        || folded_text(&constant(usage, purpose)),
        |[checksum, encryption, integrity]| match purpose {
            Purpose::Checksum => *checksum,
            Purpose::Encryption => *encryption,
            Purpose::Integrity => *integrity,
        },
    )
}

/// A constant n-folded to one block.
pub(super) fn folded_text(constant: &[u8]) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    n_fold(constant, &mut block);
    block
}

/// n-fold, RFC 3961 §5.1: stretches or folds `input` to fill `out`, both of at least one byte.
///
/// The input is written again and again, each time rotated right by 13 more bits, until it ends where a copy of `out`
/// ends; the pieces as long as `out` are then added in ones' complement. Here the addition goes along, from the last byte
/// to the first: a carry out of one piece's top belongs to the bottom of the piece before, where the next addition is.
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
