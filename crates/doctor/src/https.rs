//! HTTPS as a Kerberos client speaks it to the KDC proxy ([MS-KKDCP]): one HTTP/1.0 request on one connection, never through
//! a web proxy. The certificate is verified against chosen trust anchors, and its expiry is read.

use crate::error::ProbeError;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// The largest response accepted, in bytes.
const MAX_RESPONSE: u64 = 1 << 20;
/// How long a response may take in all: several times what a loaded service needs.
const LIMIT: Duration = Duration::from_secs(8);
/// A time beyond the life of any certificate, Unix seconds: verification at that time reports when the chain expires.
const FAR_FUTURE_S: u64 = 300 * 365 * 24 * 3600;

/// The certificate authorities to verify a server with.
#[derive(Clone)]
pub(crate) struct TrustAnchors(Arc<RootCertStore>);

/// An HTTP response.
pub(crate) struct Response {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The `Date` header, Unix seconds.
    pub(crate) date: Option<i64>,
    /// The body.
    pub(crate) body: Vec<u8>,
    /// When the first certificate of the chain expires, Unix seconds.
    pub(crate) certificate_expires: Option<i64>,
}

impl TrustAnchors {
    /// The authorities of a PEM file.
    pub(crate) fn from_pem(pem: &[u8]) -> Result<Self, ProbeError> {
        let mut store = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let added = store.add(certificate.map_err(ProbeError::other)?);
            added.map_err(ProbeError::other)?;
        }
        Self::of(store, "it holds no certificate")
    }

    /// The authorities that this computer trusts.
    pub(crate) fn system() -> Result<Self, ProbeError> {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Self::of(store, "this computer trusts no certificate authority")
    }

    fn of(store: RootCertStore, empty: &str) -> Result<Self, ProbeError> {
        match store.is_empty() {
            true => Err(ProbeError::other(empty)),
            false => Ok(Self(Arc::new(store))),
        }
    }

    fn verifier(&self) -> Result<Arc<WebPkiServerVerifier>, ProbeError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        WebPkiServerVerifier::builder_with_provider(Arc::clone(&self.0), provider)
            .build()
            .map_err(ProbeError::other)
    }
}

/// An HTTPS server, and the authorities that its certificate must chain to.
pub(crate) struct Server {
    /// The name that the certificate must be valid for.
    pub(crate) host: String,
    /// Where to connect.
    pub(crate) address: SocketAddr,
    /// The authorities.
    pub(crate) anchors: TrustAnchors,
}

impl Server {
    /// Sends `GET path`.
    pub(crate) async fn get(&self, path: &str) -> Result<Response, ProbeError> {
        self.request("GET", path, b"").await
    }

    /// Sends `POST path` with a Kerberos message.
    pub(crate) async fn post(&self, path: &str, body: &[u8]) -> Result<Response, ProbeError> {
        self.request("POST", path, body).await
    }

    async fn request(&self, method: &str, path: &str, body: &[u8]) -> Result<Response, ProbeError> {
        let exchange = self.exchange(method, path, body);
        tokio::time::timeout(LIMIT, exchange)
            .await
            .unwrap_or_else(|_| Err(unresponsive()))
    }

    async fn exchange(
        &self,
        method: &str,
        path: &str,
        body: &[u8],
    ) -> Result<Response, ProbeError> {
        let host = &self.host;
        let name = ServerName::try_from(host.clone())
            .map_err(|_| ProbeError::Other(format!("`{host}` is not a host name")))?;
        let verifier = self.anchors.verifier()?;
        let stream = TcpStream::connect(self.address).await?;
        let connected = TlsConnector::from(Arc::new(tls_config(&verifier)?))
            .connect(name.clone(), stream)
            .await;
        let mut stream = connected.map_err(|error| classify(&error))?;
        let certificate_expires = stream
            .get_ref()
            .1
            .peer_certificates()
            .and_then(|chain| expiry(&verifier, &name, chain));
        let head = format!(
            "{method} {path} HTTP/1.0\r\nHost: {host}\r\nContent-Type: application/kerberos\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body).await?;
        let mut bytes = Vec::new();
        // A server that closes without a TLS close_notify has still answered.
        let read = stream.take(MAX_RESPONSE).read_to_end(&mut bytes).await;
        if bytes.is_empty() {
            read?;
        }
        parse(&bytes, certificate_expires)
    }
}

fn unresponsive() -> ProbeError {
    let limit_s = LIMIT.as_secs();
    ProbeError::Other(format!(
        "it accepts connections, but does not answer within {limit_s} s"
    ))
}

fn tls_config(verifier: &Arc<WebPkiServerVerifier>) -> Result<ClientConfig, ProbeError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(ProbeError::other)?;
    Ok(config
        .with_webpki_verifier(Arc::clone(verifier))
        .with_no_client_auth())
}

fn parse(response: &[u8], certificate_expires: Option<i64>) -> Result<Response, ProbeError> {
    let bad = || ProbeError::other("the answer is not HTTP");
    let end = response
        .windows(4)
        .position(|at| at == b"\r\n\r\n")
        .ok_or_else(bad)?;
    let (head, body) = (
        response.get(..end).unwrap_or_default(),
        response.get(end + 4..).unwrap_or_default(),
    );
    let head = std::str::from_utf8(head).map_err(|_| bad())?;
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .filter(|line| line.starts_with("HTTP/1."))
        .and_then(|line| line.split(' ').nth(1)?.parse().ok())
        .ok_or_else(bad)?;
    let date = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let date = name.eq_ignore_ascii_case("date").then(|| value.trim())?;
        Some(OffsetDateTime::parse(date, &Rfc2822).ok()?.unix_timestamp())
    });
    Ok(Response {
        status,
        date,
        body: body.to_vec(),
        certificate_expires,
    })
}

fn classify(error: &std::io::Error) -> ProbeError {
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let Some(rustls::Error::InvalidCertificate(reason)) = inner else {
        return ProbeError::other(error);
    };
    ProbeError::Certificate(match reason {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the certificate has expired".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the certificate is not valid yet".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "the certificate is not valid for this name".to_owned()
        }
        CertificateError::UnknownIssuer => "the certificate's issuer is not trusted".to_owned(),
        other => format!("the certificate is not accepted: {other}"),
    })
}

/// When the chain expires: verification at a time at which it has expired reports it.
fn expiry(
    verifier: &WebPkiServerVerifier,
    name: &ServerName<'_>,
    chain: &[CertificateDer<'_>],
) -> Option<i64> {
    let (end_entity, intermediates) = chain.split_first()?;
    let then = UnixTime::since_unix_epoch(Duration::from_secs(FAR_FUTURE_S));
    match verifier.verify_server_cert(end_entity, intermediates, name, &[], then) {
        Err(rustls::Error::InvalidCertificate(CertificateError::ExpiredContext {
            not_after,
            ..
        })) => i64::try_from(not_after.as_secs()).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_parsed_with_its_date() {
        let text = b"HTTP/1.0 200 OK\r\nDate: Tue, 14 Nov 2023 22:13:20 GMT\r\n\r\nbody";
        let response = parse(text, None).unwrap();
        assert_eq!((response.status, response.date), (200, Some(1_700_000_000)));
        assert_eq!(response.body, b"body");
        for bad in [
            &b""[..],
            b"SSH-2.0\r\n\r\n",
            b"HTTP/1.1 200",
            b"HTTP/1.1 x\r\n\r\n",
        ] {
            assert!(parse(bad, None).is_err());
        }
    }

    #[test]
    fn a_file_without_certificates_is_refused() {
        assert!(TrustAnchors::from_pem(b"").is_err());
        assert!(
            TrustAnchors::from_pem(
                b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
            )
            .is_err()
        );
    }
}
