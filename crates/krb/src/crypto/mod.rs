//! The encryption types of Kerberos that are safe today: 17 and 18 (RFC 3962), 19 and 20 (RFC 8009).
//!
//! A [`Key`] knows its encryption type and does all that a profile of RFC 3961 §3 defines: string-to-key, encryption
//! with integrity, keyed checksums and the pseudo-random function; [`cf2`] combines two keys (RFC 6113 §5.1). RC4 and
//! DES do not exist here, so nothing can be talked down to them. Checksums are compared in constant time, key bytes are
//! wiped when dropped and never printed.

mod aes_cts;
mod derive;
mod enctype;

use crate::random::Random;
use derive::{Purpose, hmac_sha1, hmac_sha256, hmac_sha384};
pub use enctype::Enctype;
use sha1::Digest;
use std::fmt;
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

/// A key of a known encryption type. Wiped when dropped; printing it shows the type alone.
#[derive(Clone)]
pub struct Key {
    enctype: Enctype,
    bytes: Zeroizing<Vec<u8>>,
}

impl Key {
    /// A key from its bytes.
    pub fn new(enctype: Enctype, bytes: &[u8]) -> Result<Self, CryptoError> {
        if bytes.len() != enctype.key_len() {
            return Err(CryptoError::KeyLength);
        }
        Ok(Self {
            enctype,
            bytes: Zeroizing::new(bytes.to_vec()),
        })
    }

    /// A fresh random key.
    pub fn generate(enctype: Enctype, random: &mut dyn Random) -> Self {
        let mut bytes = Zeroizing::new(vec![0; enctype.key_len()]);
        random.fill(&mut bytes);
        Self { enctype, bytes }
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
        if iterations == 0 || iterations > MAX_ITERATIONS {
            return Err(CryptoError::Iterations);
        }
        let mut seed = Zeroizing::new(vec![0; enctype.key_len()]);
        match enctype {
            Enctype::Aes128Sha1 | Enctype::Aes256Sha1 => {
                pbkdf2::pbkdf2_hmac::<sha1::Sha1>(password, salt, iterations, &mut seed);
            }
            Enctype::Aes128Sha2 => {
                let salt = [enctype.to_string().as_bytes(), &[0], salt].concat();
                pbkdf2::pbkdf2_hmac::<sha2::Sha256>(password, &salt, iterations, &mut seed);
            }
            Enctype::Aes256Sha2 => {
                let salt = [enctype.to_string().as_bytes(), &[0], salt].concat();
                pbkdf2::pbkdf2_hmac::<sha2::Sha384>(password, &salt, iterations, &mut seed);
            }
        }
        let bytes = derive::kerberos_constant(enctype, &seed);
        Ok(Self { enctype, bytes })
    }

    /// Its encryption type.
    pub fn enctype(&self) -> Enctype {
        self.enctype
    }

    /// Its bytes. Only for keys sealed at rest, keytabs and key fields of encrypted parts.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Encrypts and authenticates `plain` for a key usage (RFC 4120 §7.5.1), with a fresh confounder.
    pub fn encrypt(&self, usage: u32, plain: &[u8], random: &mut dyn Random) -> Vec<u8> {
        let encryption = self.derived(usage, Purpose::Encryption);
        let integrity = self.derived(usage, Purpose::Integrity);
        let len = CONFOUNDER_LEN + plain.len() + self.enctype.mac_len();
        // As long as the whole from the beginning: a vector that grows would leave the plaintext behind.
        let mut text = Vec::with_capacity(len);
        text.resize(CONFOUNDER_LEN, 0);
        random.fill(&mut text);
        text.extend_from_slice(plain);
        let mac = match self.enctype {
            Enctype::Aes128Sha1 | Enctype::Aes256Sha1 => {
                let mac = hmac_sha1(&integrity, &text);
                aes_cts::encrypt(&encryption, &mut text);
                mac
            }
            _ => {
                aes_cts::encrypt(&encryption, &mut text);
                self.sha2_tag(&integrity, &text)
            }
        };
        text.extend(mac.iter().take(self.enctype.mac_len()));
        text
    }

    /// Verifies and decrypts `cipher` for a key usage; the confounder is removed.
    pub fn decrypt(&self, usage: u32, cipher: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let text_len = cipher
            .len()
            .checked_sub(self.enctype.mac_len())
            .filter(|n| *n >= CONFOUNDER_LEN)
            .ok_or(CryptoError::Integrity)?;
        let (body, tag) = cipher.split_at(text_len);
        let encryption = self.derived(usage, Purpose::Encryption);
        let integrity = self.derived(usage, Purpose::Integrity);
        let mut text = Zeroizing::new(body.to_vec());
        match self.enctype {
            // RFC 3962 authenticates the plaintext, so it must be decrypted before the check.
            Enctype::Aes128Sha1 | Enctype::Aes256Sha1 => {
                aes_cts::decrypt(&encryption, &mut text);
                same(&hmac_sha1(&integrity, &text), tag)?;
            }
            _ => {
                same(&self.sha2_tag(&integrity, body), tag)?;
                aes_cts::decrypt(&encryption, &mut text);
            }
        }
        text.drain(..CONFOUNDER_LEN);
        Ok(text)
    }

    /// The mandatory keyed checksum of this key's encryption type over `data`.
    pub fn checksum(&self, usage: u32, data: &[u8]) -> Vec<u8> {
        let key = self.derived(usage, Purpose::Checksum);
        let mut mac = match self.enctype {
            Enctype::Aes128Sha1 | Enctype::Aes256Sha1 => hmac_sha1(&key, data),
            Enctype::Aes128Sha2 => hmac_sha256(&key, &[data]),
            Enctype::Aes256Sha2 => hmac_sha384(&key, &[data]),
        };
        mac.truncate(self.enctype.mac_len());
        mac
    }

    /// Checks, in constant time, that `mac` is the checksum of `data`. A shortened checksum does not pass.
    pub fn verify(&self, usage: u32, data: &[u8], mac: &[u8]) -> Result<(), CryptoError> {
        if bool::from(self.checksum(usage, data).ct_eq(mac)) {
            Ok(())
        } else {
            Err(CryptoError::Integrity)
        }
    }

    /// The pseudo-random function: RFC 3962 §6 (16 bytes), RFC 8009 §5 (32 or 48 bytes).
    pub fn prf(&self, input: &[u8]) -> Zeroizing<Vec<u8>> {
        match self.enctype {
            Enctype::Aes128Sha1 | Enctype::Aes256Sha1 => {
                let key = derive::dk(&self.bytes, b"prf");
                let mut out = Zeroizing::new(sha1::Sha1::digest(input).to_vec());
                out.truncate(aes_cts::BLOCK);
                aes_cts::encrypt(&key, &mut out);
                out
            }
            Enctype::Aes128Sha2 | Enctype::Aes256Sha2 => derive::kdf_sha2(
                self.enctype,
                &self.bytes,
                b"prf",
                input,
                if self.enctype == Enctype::Aes128Sha2 {
                    32
                } else {
                    48
                },
            ),
        }
    }

    /// The key derived from this one for a key usage and purpose.
    fn derived(&self, usage: u32, purpose: Purpose) -> Zeroizing<Vec<u8>> {
        derive::derive_key(self.enctype, &self.bytes, usage, purpose)
    }

    /// RFC 8009 §5: the tag covers the zero initial vector and the ciphertext.
    fn sha2_tag(&self, integrity: &[u8], cipher: &[u8]) -> Vec<u8> {
        const ZERO_IV: [u8; 16] = [0; 16];
        match self.enctype {
            Enctype::Aes256Sha2 => hmac_sha384(integrity, &[&ZERO_IV, cipher]),
            _ => hmac_sha256(integrity, &[&ZERO_IV, cipher]),
        }
    }
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
        write!(f, "Key({})", self.enctype)
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.enctype == other.enctype && bool::from(self.bytes.ct_eq(&other.bytes))
    }
}

impl Eq for Key {}

/// KRB-FX-CF2, RFC 6113 §5.1: combines two keys; the result has the encryption type of `key1`.
pub fn cf2(key1: &Key, key2: &Key, pepper1: &[u8], pepper2: &[u8]) -> Key {
    let len = key1.enctype.key_len();
    let mut bytes = prf_plus(key1, pepper1, len);
    for (out, other) in bytes.iter_mut().zip(prf_plus(key2, pepper2, len).iter()) {
        *out ^= other;
    }
    Key {
        enctype: key1.enctype,
        bytes,
    }
}

/// PRF+, RFC 6113 §5.1.
fn prf_plus(key: &Key, pepper: &[u8], len: usize) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(len + 48));
    let mut counter = 1u8;
    while out.len() < len {
        out.extend_from_slice(&key.prf(&[&[counter], pepper].concat()));
        counter = counter.wrapping_add(1);
    }
    out.truncate(len);
    out
}

#[cfg(test)]
mod tests;
