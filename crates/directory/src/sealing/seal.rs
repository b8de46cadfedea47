//! Sealing of keys at rest: AES-256-GCM with a random nonce, bound to the record.
//!
//! A sealed value decrypts only in the context it was sealed for: tenant, kind, id and version. A writer to the
//! database without the master key can therefore neither read a key nor put one record's key into another.

use crate::random::random;
use crate::sealing::error::SealError;
use crate::sealing::master_key::MasterKey;
use crate::sealing::row_tags::RowTags;
use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use crossrealm_kdc::TenantId;
use std::fmt;
use zeroize::Zeroizing;

/// The first byte of a sealed value: its format.
const FORMAT: u8 = 1;
const NONCE_LEN: usize = 12;

/// What a sealed value is bound to. The text of `kind` is part of the stored data and never changes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SealContext<'a> {
    /// The tenant; all zero for the installation.
    pub(crate) tenant: TenantId,
    /// The kind of record.
    pub(crate) kind: &'static str,
    /// The record's id.
    pub(crate) id: &'a [u8],
    /// The version of the value.
    pub(crate) version: u32,
}

/// Seals, unseals and tags under one master key.
pub(crate) struct Sealer {
    cipher: Aes256Gcm,
    rows: RowTags,
}

impl SealContext<'_> {
    /// Every part has a fixed length or a length prefix, so that no two contexts have the same bytes.
    fn associated_data(&self) -> Vec<u8> {
        let mut data = Vec::with_capacity(64);
        data.extend(self.tenant.as_bytes());
        for part in [self.kind.as_bytes(), self.id] {
            data.extend((part.len() as u64).to_be_bytes());
            data.extend(part);
        }
        data.extend(self.version.to_be_bytes());
        data
    }
}

impl fmt::Display for SealContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} version {} of tenant {}",
            self.kind,
            hex::encode(self.id),
            self.version,
            self.tenant
        )
    }
}

impl Sealer {
    pub(crate) fn new(key: &MasterKey) -> Self {
        Self {
            cipher: Aes256Gcm::new(key.bytes().into()),
            rows: RowTags::new(key),
        }
    }

    /// The tags of rows that grant rights.
    pub(crate) fn rows(&self) -> &RowTags {
        &self.rows
    }

    /// Format byte, nonce, ciphertext and tag.
    pub(crate) fn seal(
        &self,
        context: SealContext<'_>,
        secret: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0; NONCE_LEN];
        random(&mut nonce)?;
        let payload = Payload {
            msg: secret,
            aad: &context.associated_data(),
        };
        let sealed = self
            .cipher
            .encrypt(&Nonce::from(nonce), payload)
            .map_err(|_| SealError::TooLong {
                record: context.to_string(),
            })?;
        let mut out = Vec::with_capacity(1 + NONCE_LEN + sealed.len());
        out.push(FORMAT);
        out.extend(nonce);
        out.extend(sealed);
        Ok(out)
    }

    pub(crate) fn unseal(
        &self,
        context: SealContext<'_>,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let fail = || SealError::Unseal {
            record: context.to_string(),
        };
        let (head, body) = sealed.split_at_checked(1 + NONCE_LEN).ok_or_else(fail)?;
        let (format, nonce) = head.split_at(1);
        let nonce: [u8; NONCE_LEN] = nonce.try_into().map_err(|_| fail())?;
        if format != [FORMAT] {
            return Err(fail());
        }
        let payload = Payload {
            msg: body,
            aad: &context.associated_data(),
        };
        self.cipher
            .decrypt(&Nonce::from(nonce), payload)
            .map(Zeroizing::new)
            .map_err(|_| fail())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTEXT: SealContext<'static> = SealContext {
        tenant: TenantId([7; 16]),
        kind: "trust secret",
        id: &[1, 2, 3],
        version: 4,
    };

    fn sealer(byte: u8) -> Sealer {
        Sealer::new(&MasterKey::from_bytes([byte; 32]))
    }

    #[test]
    fn a_sealed_value_opens_only_in_its_context() {
        let sealer = sealer(1);
        let sealed = sealer.seal(CONTEXT, b"secret").unwrap();
        assert_eq!(
            sealer.unseal(CONTEXT, &sealed).unwrap().as_slice(),
            b"secret"
        );
        let elsewhere = [
            SealContext {
                tenant: TenantId([8; 16]),
                ..CONTEXT
            },
            SealContext {
                kind: "trust secre",
                ..CONTEXT
            },
            SealContext {
                kind: "account key",
                ..CONTEXT
            },
            SealContext {
                id: &[1, 2],
                ..CONTEXT
            },
            SealContext {
                id: &[1, 2, 4],
                ..CONTEXT
            },
            SealContext {
                version: 5,
                ..CONTEXT
            },
        ];
        for context in elsewhere {
            let error = sealer.unseal(context, &sealed).unwrap_err();
            assert!(!error.to_string().contains("secret`"), "{error}");
            assert_eq!(
                error,
                SealError::Unseal {
                    record: context.to_string()
                }
            );
        }
    }

    #[test]
    fn a_changed_byte_or_another_key_is_refused() {
        let sealed = sealer(1).seal(CONTEXT, b"secret").unwrap();
        assert!(sealer(2).unseal(CONTEXT, &sealed).is_err());
        for index in 0..sealed.len() {
            let mut edited = sealed.clone();
            edited[index] ^= 1;
            assert!(sealer(1).unseal(CONTEXT, &edited).is_err(), "byte {index}");
            assert!(sealer(1).unseal(CONTEXT, &sealed[..index]).is_err());
        }
    }

    #[test]
    fn two_sealed_forms_of_a_value_differ() {
        let sealer = sealer(1);
        assert_ne!(
            sealer.seal(CONTEXT, b"secret").unwrap(),
            sealer.seal(CONTEXT, b"secret").unwrap()
        );
    }
}
