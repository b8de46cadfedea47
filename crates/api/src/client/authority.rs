//! The private certificate authority of a server that is not trusted yet.
//!
//! The first call to a new installation cannot check its certificate. The server hands out its authority to anyone; what makes
//! it the right one is its fingerprint, which the person who created the installation has on their screen.

use super::{Client, ClientError};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::str::FromStr;

/// The SHA-256 fingerprint of a certificate in DER, as `openssl x509 -fingerprint -sha256` computes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

/// Not a fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a SHA-256 fingerprint has 64 hexadecimal digits")]
pub struct InvalidFingerprint;

/// A private certificate authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// Its certificate, PEM.
    pub pem: String,
    /// The fingerprint of its certificate.
    pub fingerprint: Fingerprint,
}

impl Fingerprint {
    fn of(certificate: &CertificateDer<'_>) -> Self {
        Self(Sha256::digest(certificate).into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Digits in any case, with or without a colon between bytes.
impl FromStr for Fingerprint {
    type Err = InvalidFingerprint;

    fn from_str(text: &str) -> Result<Self, InvalidFingerprint> {
        let digits: Option<Vec<u32>> = match text.contains(':') {
            true if text.split(':').any(|byte| byte.len() != 2) => None,
            _ => {
                let digits = text.chars().filter(|c| *c != ':');
                digits.map(|c| c.to_digit(16)).collect()
            }
        };
        let digits = digits.ok_or(InvalidFingerprint)?;
        let (pairs, rest) = digits.as_chunks::<2>();
        let bytes = pairs.iter().map(|[high, low]| high << 4 | low);
        let bytes: Result<Vec<u8>, _> = bytes.map(u8::try_from).collect();
        match (bytes.map(<[u8; 32]>::try_from), rest) {
            (Ok(Ok(bytes)), []) => Ok(Self(bytes)),
            _ => Err(InvalidFingerprint),
        }
    }
}

impl Authority {
    /// The authority whose one certificate is in `pem`.
    ///
    /// # Errors
    /// [`ClientError::BadCa`]: none or several certificates, or not PEM.
    pub fn from_pem(pem: impl Into<String>) -> Result<Self, ClientError> {
        let pem = pem.into();
        let certificates: Result<Vec<_>, _> =
            CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
        let fingerprint = match certificates.as_deref() {
            Ok([certificate]) => Fingerprint::of(certificate),
            Ok(several) => {
                return Err(ClientError::BadCa {
                    reason: format!("one was expected, there are {}", several.len()),
                });
            }
            Err(error) => {
                return Err(ClientError::BadCa {
                    reason: error.to_string(),
                });
            }
        };
        Ok(Self { pem, fingerprint })
    }

    /// The private authority that the server at `server` names; `None` where its certificate is public.
    ///
    /// Nothing proves that the answer is the server's: compare the fingerprint with one that came another way.
    ///
    /// # Errors
    /// Those of a call, and [`ClientError::BadCa`].
    pub async fn of_server(server: &str) -> Result<Option<Self>, ClientError> {
        let answer = Client::unverified(server)?.ca().await?;
        answer.ca_pem.map(Self::from_pem).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_read_as_openssl_prints_them() {
        let plain = "00ff".repeat(16);
        let fingerprint: Fingerprint = plain.parse().unwrap();
        assert_eq!(fingerprint.to_string(), plain);
        let colons = vec!["00:FF"; 16].join(":");
        assert_eq!(colons.parse(), Ok(fingerprint));
        for bad in [
            "",
            "00",
            ":",
            &plain[1..],
            &format!("{plain}00"),
            &format!("0:{}", &plain[1..]),
            &plain.replace('f', "g"),
            &plain.replace("00", "0 "),
            &"ü".repeat(32),
        ] {
            assert_eq!(bad.parse::<Fingerprint>(), Err(InvalidFingerprint), "{bad}");
        }
    }

    #[test]
    fn an_authority_is_one_certificate() {
        let pem = |content: &str| {
            format!("-----BEGIN CERTIFICATE-----\n{content}\n-----END CERTIFICATE-----\n")
        };
        let one = Authority::from_pem(pem("AAAA")).unwrap();
        // sha256(00 00 00)
        assert_eq!(
            one.fingerprint.to_string(),
            "709e80c88487a2411e1ee4dfb9f22a861492d20c4765150c0c794abd70f8147c"
        );
        for bad in ["", "junk", &pem("!"), &(pem("AAAA") + &pem("AAAA"))] {
            assert!(Authority::from_pem(bad).is_err(), "{bad}");
        }
    }
}
