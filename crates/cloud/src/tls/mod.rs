//! The server's side of TLS: 1.2 and 1.3, one certificate that may be exchanged at any time, HTTP/2 or HTTP/1.

pub(crate) mod certificates;
pub(crate) mod renewal;

use crate::config::{Config, Tls};
use rustls::client::verify_server_name;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, ServerConfig};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

/// Why TLS cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read, or is not what it should be.
    #[error("the {what} file `{}` cannot be used: {reason}", .path.display())]
    File {
        /// What it should hold.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Certificate and key do not belong together, or are of a kind that is not served.
    #[error("the certificate `{}` cannot be served with the key `{}`: {reason}", .certificate.display(), .key.display())]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Clients refuse the certificate, since it is for another name.
    #[error("the certificate `{}` is not for `{host}`: it names {names}", .certificate.display())]
    OtherName {
        /// The certificate's file.
        certificate: PathBuf,
        /// The name that clients connect to.
        host: String,
        /// The names in the certificate.
        names: String,
    },
}

impl TlsError {
    /// What to do next.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::File { what, .. } => Some(format!(
                "every installation has one: see that this user may read it, else restore it, or name another PEM file in the `[tls]` part of the configuration ({what})"
            )),
            Self::Pair { .. } => {
                Some("give the private key that the certificate was made for, as PEM".into())
            }
            Self::OtherName { host, .. } => Some(format!(
                "have a certificate issued for `{host}` and put it there"
            )),
        }
    }
}

/// What is served: the TLS settings, the certificate, and the authority that clients must trust.
pub(crate) struct Served {
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) current: Arc<Current>,
    pub(crate) ca_pem: Option<String>,
}

/// The certificate with its key that new connections get; the open ones keep what they began with.
#[derive(Debug)]
pub(crate) struct Current(RwLock<Arc<CertifiedKey>>);

impl Current {
    pub(crate) fn get(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn set(&self, new: CertifiedKey) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.get())
    }
}

/// Reads certificate and key, which must belong together; the certificate must be for `host`.
pub(crate) fn pair(tls: &Tls, host: &ServerName<'_>) -> Result<CertifiedKey, TlsError> {
    let chain = certificates(&tls.certificate, "certificate")?;
    if let Some(leaf) = chain.first() {
        check_name(tls, leaf, host)?;
    }
    let key = PrivateKeyDer::from_pem_file(&tls.key)
        .map_err(|error| file_error("private key", &tls.key, &error))?;
    CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider())
        .map_err(|error| unusable(tls, &error))
}

fn check_name(tls: &Tls, leaf: &CertificateDer<'_>, host: &ServerName<'_>) -> Result<(), TlsError> {
    let parsed = ParsedCertificate::try_from(leaf)
        .map_err(|error| file_error("certificate", &tls.certificate, &error))?;
    let names = match verify_server_name(&parsed, host) {
        Ok(()) => return Ok(()),
        Err(rustls::Error::InvalidCertificate(CertificateError::NotValidForNameContext {
            presented,
            ..
        })) if !presented.is_empty() => presented.join(", "),
        Err(_) => "no host".to_owned(),
    };
    Err(TlsError::OtherName {
        certificate: tls.certificate.clone(),
        host: host.to_str().into_owned(),
        names,
    })
}

fn unusable(tls: &Tls, error: &rustls::Error) -> TlsError {
    TlsError::Pair {
        certificate: tls.certificate.clone(),
        key: tls.key.clone(),
        reason: error.to_string(),
    }
}

/// Reads the files of the configuration.
pub(crate) fn load(config: &Config) -> Result<Served, TlsError> {
    let tls = &config.tls;
    let pair = pair(tls, &host(config))?;
    let current = Arc::new(Current(RwLock::new(Arc::new(pair))));
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(tls, &error))?
        .with_no_client_auth()
        .with_cert_resolver(Arc::clone(&current) as Arc<dyn ResolvesServerCert>);
    config.alpn_protocols = ["h2", "http/1.1", "http/1.0"]
        .map(|p| p.as_bytes().to_vec())
        .to_vec();
    let ca_pem = tls.ca.as_deref().map(authority).transpose()?;
    Ok(Served {
        config: Arc::new(config),
        current,
        ca_pem,
    })
}

/// The name that clients connect to.
pub(crate) fn host(config: &Config) -> ServerName<'static> {
    // The configuration was checked: its domain is one.
    let loopback = || ServerName::IpAddress(Ipv4Addr::LOCALHOST.into());
    ServerName::try_from(config.login_host()).unwrap_or_else(|_| loopback())
}

fn authority(path: &Path) -> Result<String, TlsError> {
    certificates(path, "certificate authority")?;
    std::fs::read_to_string(path).map_err(|error| file_error("certificate authority", path, &error))
}

pub(crate) fn certificates(
    path: &Path,
    what: &'static str,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let list: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| file_error(what, path, &error))?;
    if list.is_empty() {
        return Err(file_error(what, path, &"it holds no PEM certificate"));
    }
    Ok(list)
}

fn file_error(what: &'static str, path: &Path, reason: &dyn std::fmt::Display) -> TlsError {
    TlsError::File {
        what,
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}
