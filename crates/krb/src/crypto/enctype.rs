//! The encryption types and their sizes and numbers.

use std::fmt;

/// An encryption type, by its number in the IANA registry.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
pub enum Enctype {
    /// aes128-cts-hmac-sha1-96, RFC 3962.
    Aes128Sha1,
    /// aes256-cts-hmac-sha1-96, RFC 3962.
    Aes256Sha1,
    /// aes128-cts-hmac-sha256-128, RFC 8009.
    Aes128Sha2,
    /// aes256-cts-hmac-sha384-192, RFC 8009.
    Aes256Sha2,
}

impl Enctype {
    /// Every supported encryption type, the preferred first (`docs/design.md` 6.4: 18 by default).
    pub const ALL: [Self; 4] = [
        Self::Aes256Sha1,
        Self::Aes256Sha2,
        Self::Aes128Sha2,
        Self::Aes128Sha1,
    ];

    /// The type with this registry number, if it is supported.
    pub fn from_number(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|e| e.number() == number)
    }

    /// The type whose mandatory checksum has this registry number, if it is supported.
    pub fn from_checksum_type(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|e| e.checksum_type() == number)
    }

    /// The registry number: 17 to 20.
    pub fn number(self) -> i32 {
        match self {
            Self::Aes128Sha1 => 17,
            Self::Aes256Sha1 => 18,
            Self::Aes128Sha2 => 19,
            Self::Aes256Sha2 => 20,
        }
    }

    /// The registry number of the mandatory checksum: 15, 16, 19, 20.
    pub fn checksum_type(self) -> i32 {
        match self {
            Self::Aes128Sha1 => 15,
            Self::Aes256Sha1 => 16,
            Self::Aes128Sha2 => 19,
            Self::Aes256Sha2 => 20,
        }
    }

    /// Bytes of a key: 16 or 32.
    pub fn key_len(self) -> usize {
        match self {
            Self::Aes128Sha1 | Self::Aes128Sha2 => 16,
            Self::Aes256Sha1 | Self::Aes256Sha2 => 32,
        }
    }

    /// Bytes of a checksum, and of the integrity tag at the end of a ciphertext: 12, 16 or 24.
    pub fn mac_len(self) -> usize {
        match self {
            Self::Aes128Sha1 | Self::Aes256Sha1 => 12,
            Self::Aes128Sha2 => 16,
            Self::Aes256Sha2 => 24,
        }
    }

    /// PBKDF2 iterations where the peer names none: RFC 3962 §4, RFC 8009 §4.
    pub(super) fn default_iterations(self) -> u32 {
        match self {
            Self::Aes128Sha1 | Self::Aes256Sha1 => 4096,
            Self::Aes128Sha2 | Self::Aes256Sha2 => 32768,
        }
    }
}

impl fmt::Display for Enctype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Aes128Sha1 => "aes128-cts-hmac-sha1-96",
            Self::Aes256Sha1 => "aes256-cts-hmac-sha1-96",
            Self::Aes128Sha2 => "aes128-cts-hmac-sha256-128",
            Self::Aes256Sha2 => "aes256-cts-hmac-sha384-192",
        })
    }
}
