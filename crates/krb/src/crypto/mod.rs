//! The encryption types of Kerberos that are safe today: 17 and 18 (RFC 3962), 19 and 20 (RFC 8009).
//!
//! A [`Key`] knows its encryption type and does all that a profile of RFC 3961 §3 defines: string-to-key, encryption
//! with integrity, keyed checksums and the pseudo-random function; [`cf2`] combines two keys (RFC 6113 §5.1). RC4 and
//! DES do not exist here, so nothing can be talked down to them. Checksums are compared in constant time, key bytes are
//! wiped when dropped and never printed. What a key derives for tickets and PACs is kept with it: the keys of trusts, services
//! and realms do so for every ticket.

mod aes_cts;
mod derive;
mod enctype;

use crate::key_usage;
use crate::random::Random;
use aes_cts::{BLOCK, Decryptor, Encryptor};
use aws_lc_rs::{digest, hmac, pbkdf2};
use derive::{Deriver, KeyBytes, Purpose};
pub use enctype::Enctype;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, LazyLock, OnceLock};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Bytes of the random block in front of every plaintext, RFC 3961 §5.3: one AES block.
const CONFOUNDER_LEN: usize = 16;
/// The most PBKDF2 iterations accepted from a peer; more would let it burn our time (RFC 3962 §4 allows up to 2^32).
const MAX_ITERATIONS: u32 = 1_000_000;

/// Why a cryptographic operation was refused. The text does not help an attacker tell causes apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CryptoError {
    /// Key bytes of the wrong length for the encryption type.
    #[error("the key has the wrong length for its encryption type")]
    KeyLength,
    /// The ciphertext or checksum does not verify with this key and key usage.
    #[error("integrity check failed: wrong key, or the data was changed")]
    Integrity,
    /// The string-to-key parameters ask for no or too many iterations.
    #[error("string-to-key parameters outside 1 to {MAX_ITERATIONS} iterations")]
    Iterations,
}

/// A key of a known encryption type. Its bytes exist once, however often it is cloned; they are wiped with the last clone, and
/// printing it shows the type alone.
#[derive(Clone)]
pub struct Key(Arc<Inner>);

struct Inner {
    enctype: Enctype,
    bytes: KeyBytes,
    deriver: OnceLock<Box<Deriver>>,
    // What keys that live long derive again and again: those of trusts, services and the realm itself seal tickets and sign PACs.
    ticket_seal: OnceLock<Box<Seal>>,
    ticket_opening: OnceLock<Box<Opening>>,
    pac_signing: OnceLock<Box<hmac::Key>>,
}

/// What encrypts for one key usage.
struct Seal {
    encryption: Encryptor,
    integrity: hmac::Key,
}

/// What decrypts for one key usage.
struct Opening {
    encryption: Decryptor,
    integrity: hmac::Key,
}

impl Key {
    /// A key from its bytes.
    pub fn new(enctype: Enctype, bytes: &[u8]) -> Result<Self, CryptoError> {
        if bytes.len() != enctype.key_len() {
            return Err(CryptoError::KeyLength);
        }
        Ok(Self::of(enctype, KeyBytes::of(bytes, bytes.len())))
    }

    fn of(enctype: Enctype, bytes: KeyBytes) -> Self {
        Self(Arc::new(Inner {
            enctype,
            bytes,
            deriver: OnceLock::new(),
            ticket_seal: OnceLock::new(),
            ticket_opening: OnceLock::new(),
            pac_signing: OnceLock::new(),
        }))
    }

    /// A fresh random key.
    pub fn generate(enctype: Enctype, random: &mut dyn Random) -> Self {
        let mut bytes = KeyBytes::zeros(enctype.key_len());
        random.fill(bytes.as_mut());
        Self::of(enctype, bytes)
    }

    /// String-to-key, RFC 3962 §4 and RFC 8009 §4; `iterations` as sent in ETYPE-INFO2, or the default.
    pub fn from_password(
        enctype: Enctype,
        password: &str,
        salt: &str,
        iterations: Option<u32>,
    ) -> Result<Self, CryptoError> {
        Self::from_password_bytes(enctype, password.as_bytes(), salt.as_bytes(), iterations)
    }

    /// [`Key::from_password`] where password or salt need not be UTF-8.
    pub fn from_password_bytes(
        enctype: Enctype,
        password: &[u8],
        salt: &[u8],
        iterations: Option<u32>,
    ) -> Result<Self, CryptoError> {
        let iterations = iterations.unwrap_or(enctype.default_iterations());
        let iterations = NonZeroU32::new(iterations)
            .filter(|n| n.get() <= MAX_ITERATIONS)
            .ok_or(CryptoError::Iterations)?;
        let mut seed = KeyBytes::zeros(enctype.key_len());
        let out = seed.as_mut();
        let named = || [enctype.to_string().as_bytes(), &[0], salt].concat();
        match enctype {
            Enctype::Aes128Sha1 | Enctype::Aes256Sha1 => {
                pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA1, iterations, salt, password, out);
            }
            Enctype::Aes128Sha2 => {
                let hash = pbkdf2::PBKDF2_HMAC_SHA256;
                pbkdf2::derive(hash, iterations, &named(), password, out);
            }
            Enctype::Aes256Sha2 => {
                let hash = pbkdf2::PBKDF2_HMAC_SHA384;
                pbkdf2::derive(hash, iterations, &named(), password, out);
            }
        }
        let bytes = derive::kerberos_constant(enctype, seed.as_ref());
        Ok(Self::of(enctype, bytes))
    }

    /// Its encryption type.
    pub fn enctype(&self) -> Enctype {
        self.0.enctype
    }

    /// Its bytes. Only for keys sealed at rest, keytabs and key fields of encrypted parts.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.bytes.as_ref()
    }

    /// Encrypts and authenticates `plain` for a key usage (RFC 4120 §7.5.1), with a fresh confounder.
    pub fn encrypt(&self, usage: u32, plain: &[u8], random: &mut dyn Random) -> Vec<u8> {
        let make = || Seal {
            encryption: Encryptor::new(self.derived(usage, Purpose::Encryption).as_ref()),
            integrity: self.mac_key(usage, Purpose::Integrity),
        };
        match usage {
            key_usage::TICKET => {
                let seal = self.0.ticket_seal.get_or_init(|| Box::new(make()));
                self.sealed(seal, plain, random)
            }
            _ => self.sealed(&make(), plain, random),
        }
    }

    fn sealed(&self, seal: &Seal, plain: &[u8], random: &mut dyn Random) -> Vec<u8> {
        let len = CONFOUNDER_LEN + plain.len();
        // As long as the whole from the beginning: a vector that grows would leave the plaintext behind.
        let mut text = Vec::with_capacity(aes_cts::padded_len(len) + self.enctype().mac_len());
        text.resize(CONFOUNDER_LEN, 0);
        random.fill(&mut text);
        text.extend_from_slice(plain);
        let mac = match self.enctype() {
            Enctype::Aes128Sha1 | Enctype::Aes256Sha1 => {
                let mac = hmac::sign(&seal.integrity, &text);
                seal.encryption.encrypt(&mut text);
                mac
            }
            Enctype::Aes128Sha2 | Enctype::Aes256Sha2 => {
                seal.encryption.encrypt(&mut text);
                sha2_tag(&seal.integrity, &text)
            }
        };
        text.extend(mac.as_ref().iter().take(self.enctype().mac_len()));
        text
    }

    /// Verifies and decrypts `cipher` for a key usage; the confounder is removed.
    pub fn decrypt(&self, usage: u32, cipher: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let make = || Opening {
            encryption: Decryptor::new(self.derived(usage, Purpose::Encryption).as_ref()),
            integrity: self.mac_key(usage, Purpose::Integrity),
        };
        match usage {
            key_usage::TICKET => {
                let opening = self.0.ticket_opening.get_or_init(|| Box::new(make()));
                self.opened(opening, cipher)
            }
            _ => self.opened(&make(), cipher),
        }
    }

    fn opened(&self, opening: &Opening, cipher: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let text_len = cipher
            .len()
            .checked_sub(self.enctype().mac_len())
            .filter(|n| *n >= CONFOUNDER_LEN)
            .ok_or(CryptoError::Integrity)?;
        let (body, tag) = cipher.split_at(text_len);
        let mut text = Zeroizing::new(Vec::with_capacity(aes_cts::padded_len(text_len)));
        text.extend_from_slice(body);
        match self.enctype() {
            // RFC 3962 authenticates the plaintext, so it must be decrypted before the check.
            Enctype::Aes128Sha1 | Enctype::Aes256Sha1 => {
                opening.encryption.decrypt(&mut text);
                same(hmac::sign(&opening.integrity, &text).as_ref(), tag)?;
            }
            Enctype::Aes128Sha2 | Enctype::Aes256Sha2 => {
                same(sha2_tag(&opening.integrity, body).as_ref(), tag)?;
                opening.encryption.decrypt(&mut text);
            }
        }
        text.drain(..CONFOUNDER_LEN);
        Ok(text)
    }

    /// The mandatory keyed checksum of this key's encryption type over `data`.
    pub fn checksum(&self, usage: u32, data: &[u8]) -> Vec<u8> {
        let mac = self.mac(usage, data);
        let mac = mac.as_ref();
        mac.get(..self.enctype().mac_len()).unwrap_or(mac).to_vec()
    }

    /// Checks, in constant time, that `mac` is the checksum of `data`. A shortened checksum does not pass.
    pub fn verify(&self, usage: u32, data: &[u8], mac: &[u8]) -> Result<(), CryptoError> {
        if mac.len() != self.enctype().mac_len() {
            return Err(CryptoError::Integrity);
        }
        same(self.mac(usage, data).as_ref(), mac)
    }

    /// The checksum before it is cut to its length.
    fn mac(&self, usage: u32, data: &[u8]) -> hmac::Tag {
        let make = || self.mac_key(usage, Purpose::Checksum);
        match usage {
            key_usage::PAC_SIGNATURE => {
                let key = self.0.pac_signing.get_or_init(|| Box::new(make()));
                hmac::sign(key, data)
            }
            _ => hmac::sign(&make(), data),
        }
    }

    /// The pseudo-random function: RFC 3962 §6 (16 bytes), RFC 8009 §5 (32 or 48 bytes).
    pub fn prf(&self, input: &[u8]) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(Vec::with_capacity(48));
        Prf::of(self).append(&[input], &mut out);
        out
    }

    fn deriver(&self) -> &Deriver {
        let Inner { enctype, bytes, .. } = &*self.0;
        let make = || Box::new(Deriver::new(*enctype, bytes.as_ref()));
        self.0.deriver.get_or_init(make)
    }

    /// The key derived from this one for a key usage and purpose.
    fn derived(&self, usage: u32, purpose: Purpose) -> KeyBytes {
        self.deriver().derive(self.enctype(), usage, purpose)
    }

    fn mac_key(&self, usage: u32, purpose: Purpose) -> hmac::Key {
        derive::hmac_key(self.enctype(), self.derived(usage, purpose).as_ref())
    }
}

/// The n-folded constant of the pseudo-random function, RFC 3962 §6.
static PRF: LazyLock<[u8; BLOCK]> = LazyLock::new(|| derive::folded_text(b"prf"));

/// A key's pseudo-random function, with what all its calls need derived once.
#[allow(
    clippy::large_enum_variant,
    reason = "lives on the stack for one call; a box would cost an allocation for each"
)]
enum Prf<'a> {
    Aes(Encryptor),
    Hmac(&'a hmac::Key, usize),
}

impl<'a> Prf<'a> {
    fn of(key: &'a Key) -> Self {
        match key.deriver() {
            Deriver::Aes(schedule) => {
                let own = derive::dk(schedule, &PRF, key.enctype().key_len());
                Self::Aes(Encryptor::new(own.as_ref()))
            }
            Deriver::Hmac(hmac) => Self::Hmac(hmac, hmac.algorithm().digest_algorithm().output_len),
        }
    }

    /// Appends the function's output for an input in parts.
    fn append(&self, input: &[&[u8]], out: &mut Vec<u8>) {
        match self {
            Self::Aes(schedule) => {
                let mut hash = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
                input.iter().for_each(|part| hash.update(part));
                let hash = hash.finish();
                if let Some(block) = hash.as_ref().first_chunk::<BLOCK>() {
                    let mut block = Zeroizing::new(*block);
                    schedule.block(&mut block);
                    out.extend_from_slice(block.as_slice());
                }
            }
            Self::Hmac(key, len) => {
                let mac = derive::kdf_sha2(key, b"prf", input, *len);
                out.extend_from_slice(mac.as_ref());
            }
        }
    }
}

/// RFC 8009 §5: the tag covers the zero initial vector and the ciphertext.
fn sha2_tag(integrity: &hmac::Key, cipher: &[u8]) -> hmac::Tag {
    let mut mac = hmac::Context::with_key(integrity);
    mac.update(&[0; BLOCK]);
    mac.update(cipher);
    mac.sign()
}

/// Compares a full-length MAC, cut to the tag's required length, in constant time.
fn same(mac: &[u8], tag: &[u8]) -> Result<(), CryptoError> {
    let expected = mac.get(..tag.len()).ok_or(CryptoError::Integrity)?;
    if bool::from(expected.ct_eq(tag)) {
        Ok(())
    } else {
        Err(CryptoError::Integrity)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.enctype())
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.enctype() == other.enctype() && bool::from(self.as_bytes().ct_eq(other.as_bytes()))
    }
}

impl Eq for Key {}

/// KRB-FX-CF2, RFC 6113 §5.1: combines two keys; the result has the encryption type of `key1`.
pub fn cf2(key1: &Key, key2: &Key, pepper1: &[u8], pepper2: &[u8]) -> Key {
    let len = key1.enctype().key_len();
    let mut bytes = KeyBytes::of(&prf_plus(key1, pepper1, len), len);
    let other = prf_plus(key2, pepper2, len);
    for (out, other) in bytes.as_mut().iter_mut().zip(other.iter()) {
        *out ^= other;
    }
    Key::of(key1.enctype(), bytes)
}

/// PRF+, RFC 6113 §5.1: `len` bytes or a few more, at most 32 being asked for.
fn prf_plus(key: &Key, pepper: &[u8], len: usize) -> Zeroizing<Vec<u8>> {
    // Two outputs of the longest function: the vector does not grow.
    let mut out = Zeroizing::new(Vec::with_capacity(96));
    let prf = Prf::of(key);
    let mut counter = 1u8;
    while out.len() < len {
        prf.append(&[&[counter], pepper], &mut out);
        counter = counter.wrapping_add(1);
    }
    out.truncate(len);
    out
}

#[cfg(test)]
mod tests;
