//! The building blocks of RFC 4120 §5.2.

use crate::crypto::{CryptoError, Enctype, Key};
use chrono::{DateTime, FixedOffset, Utc};
use rasn::types::{Constraints, Identifier, Tag};
use rasn::{AsnType, Decode, Decoder, Encode, Encoder};
use std::fmt;
use zeroize::Zeroizing;

/// KerberosString, RFC 4120 §5.2.1: a GeneralString that in practice holds UTF-8.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KerberosString(pub String);

impl AsnType for KerberosString {
    const TAG: Tag = Tag::GENERAL_STRING;
}

impl Decode for KerberosString {
    fn decode_with_tag_and_constraints<D: Decoder>(
        decoder: &mut D,
        tag: Tag,
        constraints: &Constraints,
    ) -> Result<Self, D::Error> {
        let bytes: Vec<u8> = decoder.decode_octet_string(tag, constraints)?;
        String::from_utf8(bytes)
            .map(Self)
            .map_err(|_| rasn::de::Error::custom("a name is not UTF-8", decoder.codec()))
    }
}

impl Encode for KerberosString {
    fn encode_with_tag_and_constraints<'b, E: Encoder<'b>>(
        &self,
        encoder: &mut E,
        tag: Tag,
        constraints: &Constraints,
        identifier: Identifier,
    ) -> Result<(), E::Error> {
        encoder
            .encode_octet_string(tag, constraints, self.0.as_bytes(), identifier)
            .map(drop)
    }
}

impl KerberosString {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for KerberosString {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for KerberosString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for KerberosString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// An OCTET STRING that holds a secret: wiped when dropped, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretBytes(pub Zeroizing<Vec<u8>>);

impl AsnType for SecretBytes {
    const TAG: Tag = Tag::OCTET_STRING;
}

impl Decode for SecretBytes {
    fn decode_with_tag_and_constraints<D: Decoder>(
        decoder: &mut D,
        tag: Tag,
        constraints: &Constraints,
    ) -> Result<Self, D::Error> {
        let bytes: Vec<u8> = decoder.decode_octet_string(tag, constraints)?;
        Ok(Self(Zeroizing::new(bytes)))
    }
}

impl Encode for SecretBytes {
    fn encode_with_tag_and_constraints<'b, E: Encoder<'b>>(
        &self,
        encoder: &mut E,
        tag: Tag,
        constraints: &Constraints,
        identifier: Identifier,
    ) -> Result<(), E::Error> {
        encoder
            .encode_octet_string(tag, constraints, &self.0, identifier)
            .map(drop)
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretBytes(…)")
    }
}

/// KerberosTime, RFC 4120 §5.2.3: whole seconds, here since the Unix epoch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct KerberosTime(pub i64);

impl AsnType for KerberosTime {
    const TAG: Tag = Tag::GENERALIZED_TIME;
}

impl Decode for KerberosTime {
    fn decode_with_tag_and_constraints<D: Decoder>(
        decoder: &mut D,
        tag: Tag,
        _: &Constraints,
    ) -> Result<Self, D::Error> {
        let time: DateTime<FixedOffset> = decoder.decode_generalized_time(tag)?;
        if time.timestamp_subsec_nanos() != 0 {
            return Err(rasn::de::Error::custom(
                "a time has a fraction of a second",
                decoder.codec(),
            ));
        }
        Ok(Self(time.timestamp()))
    }
}

impl Encode for KerberosTime {
    fn encode_with_tag_and_constraints<'b, E: Encoder<'b>>(
        &self,
        encoder: &mut E,
        tag: Tag,
        _: &Constraints,
        identifier: Identifier,
    ) -> Result<(), E::Error> {
        // Outside the years 0000 to 9999 there is no KerberosTime; such a time can only come from our own arithmetic.
        let time = DateTime::<Utc>::from_timestamp(self.0, 0)
            .filter(|t| (0..=9999).contains(&chrono::Datelike::year(t)))
            .ok_or_else(|| rasn::enc::Error::custom("a time is out of range", encoder.codec()))?;
        encoder
            .encode_generalized_time(tag, &time.fixed_offset(), identifier)
            .map(drop)
    }
}

/// KerberosFlags, RFC 4120 §5.2.8: 32 bits, the first is bit 0. Further bits that a peer sends are ignored.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct KerberosFlags(pub u32);

impl KerberosFlags {
    /// Whether every bit of `mask` is set.
    pub fn has(self, mask: u32) -> bool {
        self.0 & mask == mask
    }
}

impl fmt::Debug for KerberosFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KerberosFlags({:#010x})", self.0)
    }
}

impl AsnType for KerberosFlags {
    const TAG: Tag = Tag::BIT_STRING;
}

impl Decode for KerberosFlags {
    fn decode_with_tag_and_constraints<D: Decoder>(
        decoder: &mut D,
        tag: Tag,
        constraints: &Constraints,
    ) -> Result<Self, D::Error> {
        let bits = decoder.decode_bit_string(tag, constraints)?;
        let value = bits
            .iter()
            .by_vals()
            .chain(std::iter::repeat(false))
            .take(32)
            .fold(0u32, |sum, bit| sum << 1 | u32::from(bit));
        Ok(Self(value))
    }
}

impl Encode for KerberosFlags {
    fn encode_with_tag_and_constraints<'b, E: Encoder<'b>>(
        &self,
        encoder: &mut E,
        tag: Tag,
        constraints: &Constraints,
        identifier: Identifier,
    ) -> Result<(), E::Error> {
        let bits = rasn::types::BitString::from_slice(&self.0.to_be_bytes());
        encoder
            .encode_bit_string(tag, constraints, &bits, identifier)
            .map(drop)
    }
}

/// Ticket flags (RFC 4120 §5.3) as masks of [`KerberosFlags`].
pub mod flags {
    /// forwardable(1)
    pub const FORWARDABLE: u32 = 1 << 30;
    /// forwarded(2)
    pub const FORWARDED: u32 = 1 << 29;
    /// proxiable(3)
    pub const PROXIABLE: u32 = 1 << 28;
    /// proxy(4)
    pub const PROXY: u32 = 1 << 27;
    /// may-postdate(5)
    pub const MAY_POSTDATE: u32 = 1 << 26;
    /// postdated(6)
    pub const POSTDATED: u32 = 1 << 25;
    /// invalid(7)
    pub const INVALID: u32 = 1 << 24;
    /// renewable(8)
    pub const RENEWABLE: u32 = 1 << 23;
    /// initial(9)
    pub const INITIAL: u32 = 1 << 22;
    /// pre-authent(10)
    pub const PRE_AUTHENT: u32 = 1 << 21;
    /// hw-authent(11)
    pub const HW_AUTHENT: u32 = 1 << 20;
    /// transited-policy-checked(12)
    pub const TRANSITED_POLICY_CHECKED: u32 = 1 << 19;
    /// ok-as-delegate(13)
    pub const OK_AS_DELEGATE: u32 = 1 << 18;
    /// enc-pa-rep(15), RFC 6806 §11
    pub const ENC_PA_REP: u32 = 1 << 16;
}

/// Name types, RFC 4120 §6.2.
pub mod name_type {
    /// NT-UNKNOWN
    pub const UNKNOWN: i32 = 0;
    /// NT-PRINCIPAL: a user
    pub const PRINCIPAL: i32 = 1;
    /// NT-SRV-INST: a service and an instance, krbtgt among them
    pub const SRV_INST: i32 = 2;
    /// NT-SRV-HST: a service with its host
    pub const SRV_HST: i32 = 3;
    /// NT-ENTERPRISE: a user principal name in one component
    pub const ENTERPRISE: i32 = 10;
}

/// Authorization data types, RFC 4120 §5.2.6 and [MS-KILE] 2.2.10.
pub mod ad_type {
    /// AD-IF-RELEVANT
    pub const IF_RELEVANT: i32 = 1;
    /// AD-WIN2K-PAC
    pub const WIN2K_PAC: i32 = 128;
}

/// PrincipalName, RFC 4120 §5.2.2.
#[derive(AsnType, Decode, Encode, Clone, Debug, PartialEq, Eq, Hash)]
pub struct PrincipalName {
    /// One of [`name_type`]; a hint, never compared.
    #[rasn(tag(explicit(0)))]
    pub name_type: i32,
    /// The components.
    #[rasn(tag(explicit(1)))]
    pub components: Vec<KerberosString>,
}

impl PrincipalName {
    /// A name from its type and components.
    pub fn new(name_type: i32, components: &[&str]) -> Self {
        Self {
            name_type,
            components: components
                .iter()
                .map(|c| KerberosString::from(*c))
                .collect(),
        }
    }

    /// `krbtgt/REALM`, the ticket-granting service of a realm.
    pub fn krbtgt(realm: &str) -> Self {
        Self::new(name_type::SRV_INST, &["krbtgt", realm])
    }

    /// Whether the components are equal; the name type is only a hint (RFC 4120 §6.2).
    pub fn same_components(&self, other: &Self) -> bool {
        self.components == other.components
    }

    /// The two components of a `class/instance` name.
    pub fn pair(&self) -> Option<(&str, &str)> {
        match self.components.as_slice() {
            [first, second] => Some((first.as_str(), second.as_str())),
            _ => None,
        }
    }
}

impl fmt::Display for PrincipalName {
    /// The components joined by `/`, for display; no escaping.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, component) in self.components.iter().enumerate() {
            if index > 0 {
                f.write_str("/")?;
            }
            f.write_str(component.as_str())?;
        }
        Ok(())
    }
}

/// EncryptedData, RFC 4120 §5.2.9.
#[derive(AsnType, Decode, Encode, Clone, Debug, PartialEq, Eq)]
pub struct EncryptedData {
    /// The encryption type number.
    #[rasn(tag(explicit(0)))]
    pub etype: i32,
    /// The key version number; a UInt32 that some peers encode as a negative Int32.
    #[rasn(tag(explicit(1)))]
    pub kvno: Option<i64>,
    /// The ciphertext.
    #[rasn(tag(explicit(2)))]
    pub cipher: rasn::types::OctetString,
}

impl EncryptedData {
    /// Encrypts `plain` under `key`.
    pub fn encrypt(
        key: &Key,
        kvno: Option<u32>,
        usage: u32,
        plain: &[u8],
        random: &mut dyn crate::random::Random,
    ) -> Self {
        Self {
            etype: key.enctype().number(),
            kvno: kvno.map(i64::from),
            cipher: key.encrypt(usage, plain, random).into(),
        }
    }

    /// Decrypts with `key`, whose encryption type must be the one named.
    pub fn decrypt(&self, key: &Key, usage: u32) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        if self.etype != key.enctype().number() {
            return Err(CryptoError::Integrity);
        }
        key.decrypt(usage, &self.cipher)
    }

    /// The key version number as the unsigned 32-bit value it stands for, or `None` where absent or out of range.
    pub fn kvno(&self) -> Option<u32> {
        let raw = self.kvno?;
        match i32::try_from(raw) {
            Ok(signed) => Some(u32::from_ne_bytes(signed.to_ne_bytes())),
            Err(_) => u32::try_from(raw).ok(),
        }
    }
}

/// EncryptionKey, RFC 4120 §5.2.9.
#[derive(AsnType, Decode, Encode, Clone, Debug, PartialEq, Eq)]
pub struct EncryptionKey {
    /// The encryption type number.
    #[rasn(tag(explicit(0)))]
    pub keytype: i32,
    /// The key.
    #[rasn(tag(explicit(1)))]
    pub keyvalue: SecretBytes,
}

impl EncryptionKey {
    /// The key with its encryption type, if that is supported and the length is right.
    pub fn to_key(&self) -> Option<Key> {
        Key::new(Enctype::from_number(self.keytype)?, &self.keyvalue.0).ok()
    }
}

impl From<&Key> for EncryptionKey {
    fn from(key: &Key) -> Self {
        Self {
            keytype: key.enctype().number(),
            keyvalue: SecretBytes(Zeroizing::new(key.as_bytes().to_vec())),
        }
    }
}

/// Checksum, RFC 4120 §5.2.9.
#[derive(AsnType, Decode, Encode, Clone, Debug, PartialEq, Eq)]
pub struct Checksum {
    /// The checksum type number.
    #[rasn(tag(explicit(0)))]
    pub cksumtype: i32,
    /// The checksum.
    #[rasn(tag(explicit(1)))]
    pub checksum: rasn::types::OctetString,
}

impl Checksum {
    /// The mandatory keyed checksum of `key` over `data`.
    pub fn make(key: &Key, usage: u32, data: &[u8]) -> Self {
        Self {
            cksumtype: key.enctype().checksum_type(),
            checksum: key.checksum(usage, data).into(),
        }
    }

    /// Verifies against `key`. Only the mandatory checksum of the key's encryption type is accepted, so an unkeyed or
    /// weaker one cannot be put in its place.
    pub fn verify(&self, key: &Key, usage: u32, data: &[u8]) -> Result<(), CryptoError> {
        if self.cksumtype != key.enctype().checksum_type() {
            return Err(CryptoError::Integrity);
        }
        key.verify(usage, data, &self.checksum)
    }
}

/// HostAddress, RFC 4120 §5.2.5.
#[derive(AsnType, Decode, Encode, Clone, Debug, PartialEq, Eq)]
pub struct HostAddress {
    /// The address family.
    #[rasn(tag(explicit(0)))]
    pub addr_type: i32,
    /// The address.
    #[rasn(tag(explicit(1)))]
    pub address: rasn::types::OctetString,
}

/// TransitedEncoding, RFC 4120 §5.3.
#[derive(AsnType, Decode, Encode, Clone, Debug, PartialEq, Eq)]
pub struct TransitedEncoding {
    /// 1: DOMAIN-X500-COMPRESS.
    #[rasn(tag(explicit(0)))]
    pub tr_type: i32,
    /// The realms passed through.
    #[rasn(tag(explicit(1)))]
    pub contents: rasn::types::OctetString,
}

/// One element of AuthorizationData, RFC 4120 §5.2.6.
#[derive(AsnType, Decode, Encode, Clone, Debug, PartialEq, Eq)]
pub struct AuthorizationDataElement {
    /// One of [`ad_type`], or another.
    #[rasn(tag(explicit(0)))]
    pub ad_type: i32,
    /// Its data.
    #[rasn(tag(explicit(1)))]
    pub data: rasn::types::OctetString,
}

/// AuthorizationData, RFC 4120 §5.2.6.
pub type AuthorizationData = Vec<AuthorizationDataElement>;
