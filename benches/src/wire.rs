//! The load generator: prepared messages sent by many connections at once, every answer checked and timed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crossrealm_krb::kkdcp;

use crate::report::Samples;

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// The largest answer that is read, in bytes.
const MAX_ANSWER: usize = 1 << 20;

/// The largest datagram.
const MAX_DATAGRAM: usize = 1 << 16;

/// The way to a KDC.
#[derive(Clone)]
pub(crate) enum Way {
    /// Kerberos over TCP, a connection for each request, as clients do.
    Tcp(SocketAddr),
    /// Kerberos over UDP.
    Udp(SocketAddr),
    /// The KDC proxy.
    Https(Https),
}

/// A KDC proxy.
#[derive(Clone)]
pub(crate) struct Https {
    pub address: SocketAddr,
    /// The name in the certificate.
    pub host: &'static str,
    pub path: String,
    /// The realm in the envelope.
    pub realm: &'static str,
    /// The certificate's authority, PEM.
    pub ca: Vec<u8>,
    /// Whether a connection serves many requests, as Windows does it; else one each, as MIT's clients do it.
    pub keep: bool,
}

/// What came of a load.
pub(crate) struct Served {
    /// Answers per second.
    pub rate: f64,
    /// Seconds from the first byte to the last, connecting included where each request connects.
    pub latency: Samples,
    /// The answers, in no order.
    pub answers: Vec<Vec<u8>>,
}

/// Sends all messages over `connections` connections and waits for all answers. `good` judges each.
///
/// # Errors
/// The first answer that did not come, or was not good; with the number of all such.
pub(crate) async fn hammer(
    way: &Way,
    messages: &Arc<Vec<Vec<u8>>>,
    connections: usize,
    good: fn(&[u8]) -> Result<(), String>,
) -> Result<Served, String> {
    let connector = match way {
        Way::Tcp(_) | Way::Udp(_) => None,
        Way::Https(https) => Some(connector(&https.ca)?),
    };
    let next = Arc::new(AtomicUsize::new(0));
    let began = Instant::now();
    let workers: Vec<_> = (0..connections)
        .map(|_| {
            let worker = Worker {
                way: way.clone(),
                connector: connector.clone(),
                kept: None,
            };
            tokio::spawn(worker.work(messages.clone(), next.clone()))
        })
        .collect();
    let mut all = Vec::with_capacity(messages.len());
    for worker in workers {
        all.extend(worker.await.map_err(|error| error.to_string())?);
    }
    let took = began.elapsed().as_secs_f64();
    let (mut latency, mut answers, mut failures) = (Vec::new(), Vec::new(), Vec::new());
    for (seconds, answer) in all {
        match answer.and_then(|answer| good(&answer).map(|()| answer)) {
            Ok(answer) => {
                latency.push(seconds);
                answers.push(answer);
            }
            Err(reason) => failures.push(reason),
        }
    }
    match failures.first() {
        Some(first) => Err(format!(
            "{} of {} requests failed; the first: {first}",
            failures.len(),
            messages.len()
        )),
        None => Ok(Served {
            rate: messages.len() as f64 / took,
            latency: Samples::new(latency),
            answers,
        }),
    }
}

struct Worker {
    way: Way,
    connector: Option<TlsConnector>,
    kept: Option<TlsStream<TcpStream>>,
}

impl Worker {
    async fn work(
        mut self,
        messages: Arc<Vec<Vec<u8>>>,
        next: Arc<AtomicUsize>,
    ) -> Vec<(f64, Result<Vec<u8>, String>)> {
        let mut done = Vec::new();
        while let Some(message) = messages.get(next.fetch_add(1, Ordering::Relaxed)) {
            let began = Instant::now();
            let answer = tokio::time::timeout(PATIENCE, self.ask(message)).await;
            let answer = answer.unwrap_or_else(|_| Err("no answer in time".to_owned()));
            done.push((began.elapsed().as_secs_f64(), answer));
        }
        done
    }

    async fn ask(&mut self, message: &[u8]) -> Result<Vec<u8>, String> {
        let said = |error: std::io::Error| error.to_string();
        match (self.way.clone(), self.connector.clone()) {
            (Way::Tcp(address), _) => over_tcp(address, message).await.map_err(said),
            (Way::Udp(address), _) => over_udp(address, message).await.map_err(said),
            (Way::Https(https), Some(connector)) => {
                let mut stream = match self.kept.take() {
                    Some(stream) => stream,
                    None => connect(&https, &connector).await.map_err(said)?,
                };
                let answer = post(&mut stream, &https, message).await?;
                self.kept = https.keep.then_some(stream);
                Ok(answer)
            }
            (Way::Https(_), None) => Err("no TLS".to_owned()),
        }
    }
}

async fn over_tcp(address: SocketAddr, message: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let framed = kkdcp::frame(message).map_err(std::io::Error::other)?;
    stream.write_all(&framed).await?;
    let length = stream.read_u32().await? as usize;
    let mut answer = vec![0; length.min(MAX_ANSWER)];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

async fn over_udp(address: SocketAddr, message: &[u8]) -> std::io::Result<Vec<u8>> {
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    socket.connect(address).await?;
    socket.send(message).await?;
    let mut answer = vec![0; MAX_DATAGRAM];
    let length = socket.recv(&mut answer).await?;
    answer.truncate(length);
    Ok(answer)
}

async fn connect(https: &Https, connector: &TlsConnector) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(https.address).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from(https.host).map_err(std::io::Error::other)?;
    connector.connect(name, stream).await
}

async fn post(
    stream: &mut TlsStream<TcpStream>,
    https: &Https,
    message: &[u8],
) -> Result<Vec<u8>, String> {
    let body = kkdcp::wrap_request(message, https.realm).map_err(|error| error.to_string())?;
    let version = if https.keep { "1.1" } else { "1.0" };
    let head = format!(
        "POST {} HTTP/{version}\r\nHost: {}\r\nContent-Type: application/kerberos\r\nContent-Length: {}\r\n\r\n",
        https.path,
        https.host,
        body.len()
    );
    let request = [head.as_bytes(), &body].concat();
    let said = |error: std::io::Error| error.to_string();
    stream.write_all(&request).await.map_err(said)?;
    stream.flush().await.map_err(said)?;
    let mut bytes = Vec::new();
    let mut chunk = [0; 8192];
    loop {
        if let Some(body) = complete(&bytes)? {
            return kkdcp::open_reply(body).map_err(|error| error.to_string());
        }
        let read = stream.read(&mut chunk).await.map_err(said)?;
        if read == 0 || bytes.len() > MAX_ANSWER {
            let text = String::from_utf8_lossy(&bytes);
            return Err(format!("an answer that is cut off: {text:.200}"));
        }
        bytes.extend(chunk.iter().take(read));
    }
}

/// The body of an answer, when all of it is there.
fn complete(bytes: &[u8]) -> Result<Option<&[u8]>, String> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let (head, body) = bytes.split_at(end + 4);
    let head = String::from_utf8_lossy(head).to_lowercase();
    if !head
        .lines()
        .next()
        .is_some_and(|line| line.contains(" 200"))
    {
        return Err(format!("refused: {head:.200}"));
    }
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .and_then(|value| value.trim().parse::<usize>().ok())
        .ok_or("an answer without a length")?;
    Ok(body.get(..length))
}

fn connector(ca: &[u8]) -> Result<TlsConnector, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
