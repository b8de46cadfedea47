//! HTTPS as Kerberos clients speak it to the KDC proxy: one request on one connection, HTTP/1.0, no proxy of any kind.

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

/// The largest answer taken, in bytes.
const MAX_ANSWER: u64 = 1 << 20;
/// How long an answer may take in all: several times what a loaded service needs.
const PATIENCE: Duration = Duration::from_secs(8);
/// Beyond the life of any certificate: asking about that time tells when it ends.
const FAR_S: u64 = 300 * 365 * 24 * 3600;

/// Whom to trust.
#[derive(Clone)]
pub struct Anchors(Arc<RootCertStore>);

/// What was answered.
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The server's clock, Unix seconds, where it said so.
    pub date: Option<i64>,
    /// The body.
    pub body: Vec<u8>,
    /// When the certificate or one above it ends, Unix seconds.
    pub certificate_ends: Option<i64>,
}

/// Why there is no answer.
pub enum Error {
    /// The certificate is not trusted; why.
    Certificate(String),
    /// Something else.
    Other(String),
}

impl Anchors {
    /// The authorities of a PEM file.
    pub fn from_pem(pem: &[u8]) -> Result<Self, String> {
        let mut store = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| error.to_string())?;
            store.add(certificate).map_err(|error| error.to_string())?;
        }
        match store.is_empty() {
            true => Err("it holds no certificate".to_owned()),
            false => Ok(Self(Arc::new(store))),
        }
    }

    /// The authorities that this computer trusts.
    pub fn system() -> Result<Self, String> {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        match store.is_empty() {
            true => Err("this computer trusts no certificate authority".to_owned()),
            false => Ok(Self(Arc::new(store))),
        }
    }

    fn verifier(&self) -> Result<Arc<WebPkiServerVerifier>, Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        WebPkiServerVerifier::builder_with_provider(Arc::clone(&self.0), provider)
            .build()
            .map_err(|error| Error::Other(error.to_string()))
    }
}

/// Asks `host`, at `address`, for `path`, and waits a bounded time for the whole answer.
pub async fn ask(
    host: &str,
    address: SocketAddr,
    anchors: &Anchors,
    method: &str,
    path: &str,
    body: &[u8],
) -> Result<Answer, Error> {
    let asked = exchange(host, address, anchors, method, path, body);
    tokio::time::timeout(PATIENCE, asked)
        .await
        .unwrap_or_else(|_| {
            let text = format!(
                "it takes connections, but gives no answer within {} s",
                PATIENCE.as_secs()
            );
            Err(Error::Other(text))
        })
}

async fn exchange(
    host: &str,
    address: SocketAddr,
    anchors: &Anchors,
    method: &str,
    path: &str,
    body: &[u8],
) -> Result<Answer, Error> {
    let other = |error: std::io::Error| Error::Other(error.to_string());
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| Error::Other(format!("`{host}` is no host name")))?;
    let verifier = anchors.verifier()?;
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Other(error.to_string()))?
        .with_webpki_verifier(Arc::clone(&verifier))
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await.map_err(other)?;
    let connected = TlsConnector::from(Arc::new(config))
        .connect(name.clone(), stream)
        .await;
    let mut stream = connected.map_err(|error| classify(&error))?;
    let certificate_ends = stream
        .get_ref()
        .1
        .peer_certificates()
        .and_then(|chain| ends(&verifier, &name, chain));
    let head = format!(
        "{method} {path} HTTP/1.0\r\nHost: {host}\r\nContent-Type: application/kerberos\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.map_err(other)?;
    stream.write_all(body).await.map_err(other)?;
    let mut answer = Vec::new();
    // A peer that does not say good-bye has still answered.
    let read = stream.take(MAX_ANSWER).read_to_end(&mut answer).await;
    if answer.is_empty() {
        read.map_err(other)?;
    }
    parse(&answer, certificate_ends)
}

fn parse(answer: &[u8], certificate_ends: Option<i64>) -> Result<Answer, Error> {
    let bad = || Error::Other("the answer is not HTTP".to_owned());
    let end = answer
        .windows(4)
        .position(|at| at == b"\r\n\r\n")
        .ok_or_else(bad)?;
    let (head, body) = (
        answer.get(..end).unwrap_or_default(),
        answer.get(end + 4..).unwrap_or_default(),
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
    Ok(Answer {
        status,
        date,
        body: body.to_vec(),
        certificate_ends,
    })
}

fn classify(error: &std::io::Error) -> Error {
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let Some(rustls::Error::InvalidCertificate(reason)) = inner else {
        return Error::Other(error.to_string());
    };
    Error::Certificate(match reason {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the certificate has expired".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the certificate is not valid yet".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "the certificate is for another name".to_owned()
        }
        CertificateError::UnknownIssuer => "the certificate's issuer is not trusted".to_owned(),
        other => format!("the certificate is not accepted: {other}"),
    })
}

/// When the chain ends, told by asking about a time at which it has.
fn ends(
    verifier: &WebPkiServerVerifier,
    name: &ServerName<'_>,
    chain: &[CertificateDer<'_>],
) -> Option<i64> {
    let (end, above) = chain.split_first()?;
    let then = UnixTime::since_unix_epoch(Duration::from_secs(FAR_S));
    match verifier.verify_server_cert(end, above, name, &[], then) {
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
    fn an_answer_is_read_with_its_clock() {
        let text = b"HTTP/1.0 200 OK\r\nDate: Tue, 14 Nov 2023 22:13:20 GMT\r\n\r\nbody";
        let answer = parse(text, None).ok().unwrap();
        assert_eq!((answer.status, answer.date), (200, Some(1_700_000_000)));
        assert_eq!(answer.body, b"body");
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
    fn a_file_without_certificates_is_none() {
        assert!(Anchors::from_pem(b"").is_err());
        assert!(
            Anchors::from_pem(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
                .is_err()
        );
    }
}
