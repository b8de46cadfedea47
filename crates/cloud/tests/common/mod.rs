//! A whole service in the test's own process: made by `init`, listening on a port of the loopback address.
#![allow(dead_code, reason = "every test file uses another part of it")]

use crossrealm_api::{Client, SecretText, TenantCreate};
use crossrealm_cloud::{Config, InitOptions, Server, init};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A running service.
pub struct Service {
    pub folder: TempDir,
    pub address: SocketAddr,
    pub kerberos: Option<SocketAddr>,
    pub admin: Client,
    pub ca_pem: Vec<u8>,
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

/// An answer as it came over the wire.
#[derive(Debug)]
pub struct RawAnswer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

/// The options of a first run in `dir`.
pub fn options(dir: &Path) -> InitOptions {
    InitOptions {
        dir: dir.to_owned(),
        base_domain: "cloud.example".into(),
        store: "sqlite:crossrealm.db".into(),
        https_listen: "127.0.0.1:0".parse().unwrap(),
        kdc_listen: Some("127.0.0.1:0".parse().unwrap()),
    }
}

impl Service {
    /// Starts a fresh installation.
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// Starts a fresh installation with a changed configuration.
    pub async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let report = init(&options(folder.path())).await.unwrap();
        let mut config = Config::load(&report.config).unwrap();
        change(&mut config);
        let token = std::fs::read_to_string(&report.admin_token).unwrap();
        let ca_pem = std::fs::read(report.ca.unwrap()).unwrap();
        let server = Server::bind(config).await.unwrap();
        let (address, kerberos) = (server.https_address(), server.kerberos_address());
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(server.run(async {
            let _ = stopped.await;
        }));
        let admin = client(address, &token, &ca_pem);
        Self {
            folder,
            address,
            kerberos,
            admin,
            ca_pem,
            stop,
            running,
        }
    }

    /// Ends the service as SIGTERM does, and waits for its end.
    pub async fn end(self) {
        self.stop.send(()).unwrap();
        self.running.await.unwrap();
    }

    /// A client with another token.
    pub fn client(&self, token: &SecretText) -> Client {
        client(self.address, token.expose(), &self.ca_pem)
    }

    /// The folder of the installation.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A TLS connection on which the test speaks for itself.
    pub async fn connect(&self) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&self.ca_pem) {
            roots.add(certificate.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::try_from("login.cloud.example").unwrap();
        TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
            .unwrap()
    }

    /// Sends bytes and reads until the service closes the connection.
    pub async fn exchange(&self, request: &[u8]) -> RawAnswer {
        let mut stream = self.connect().await;
        // The service may answer and close before it has read everything.
        let _ = stream.write_all(request).await;
        let _ = stream.flush().await;
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes).await;
        RawAnswer::parse(&bytes)
    }

    /// Posts a body to the KDC proxy as MIT's client does: HTTP/1.0, one request, read to the end.
    pub async fn post(&self, tenant: &str, body: &[u8]) -> RawAnswer {
        let head = format!(
            "POST /{tenant}/kerberos HTTP/1.0\r\nCache-Control: no-cache\r\nPragma: no-cache\r\n\
             User-Agent: kerberos/1.0\r\nContent-type: application/kerberos\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        self.exchange(&[head.as_bytes(), body].concat()).await
    }

    /// Creates the tenant `contoso`.
    pub async fn contoso(&self) -> crossrealm_api::Tenant {
        let wanted = TenantCreate {
            name: "contoso".into(),
            ..TenantCreate::default()
        };
        self.admin.create_tenant(&wanted).await.unwrap()
    }
}

impl RawAnswer {
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n");
        let Some(end) = end else {
            return Self {
                status: 0,
                head: String::from_utf8_lossy(bytes).into_owned(),
                body: Vec::new(),
            };
        };
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok());
        Self {
            status: status.unwrap_or(0),
            head,
            body: bytes[end + 4..].to_vec(),
        }
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1);
        let mut pairs = lines.filter_map(|line| line.split_once(':'));
        pairs.find(|(n, _)| *n == name).map(|(_, v)| v.trim())
    }
}

fn client(address: SocketAddr, token: &str, ca_pem: &[u8]) -> Client {
    let url = format!("https://{address}");
    Client::new(&url, Some(SecretText::new(token)), Some(ca_pem)).unwrap()
}
