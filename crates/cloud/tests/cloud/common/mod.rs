//! A whole service in the process of the test: created by `init`, listening on a port of the loopback interface.
#![allow(dead_code, reason = "every test file uses another part of it")]

pub(crate) mod http2;
pub(crate) mod trusted;

use crossrealm_api::{Client, ErrorBody, HostTokenCreate, SecretText, TenantCreate};
use crossrealm_cloud::{Config, InitOptions, Server, init};
use crossrealm_krb::kkdcp;
use crossrealm_krb::messages::{KrbError, decode};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The realm of the tenant `contoso`.
pub(crate) const REALM: &str = "KERBEROS.CONTOSO.CLOUD.EXAMPLE";

/// A running service.
pub(crate) struct Service {
    pub folder: TempDir,
    pub address: SocketAddr,
    pub kerberos: Option<SocketAddr>,
    pub metrics: Option<SocketAddr>,
    pub admin: Client,
    pub ca_pem: Vec<u8>,
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

/// A response as received.
#[derive(Debug)]
pub(crate) struct RawAnswer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

/// The options of a new installation in `dir`.
pub(crate) fn options(dir: &Path) -> InitOptions {
    InitOptions {
        dir: dir.to_owned(),
        state: None,
        base_domain: "cloud.example".into(),
        tenant: None,
        store: "sqlite:crossrealm.db".into(),
        https_listen: "127.0.0.1:0".parse().unwrap(),
        kdc_listen: Some("127.0.0.1:0".parse().unwrap()),
    }
}

impl Service {
    /// Starts a new installation.
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// Starts a new installation with a changed configuration.
    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        init(&options(folder.path())).await.unwrap();
        Self::serve(folder, change).await
    }

    /// Starts a new installation on this database.
    pub(crate) async fn start_on(store: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = InitOptions {
            store: store.into(),
            ..options(folder.path())
        };
        init(&options).await.unwrap();
        Self::serve(folder, |_| {}).await
    }

    /// Starts another node of this installation, from a copy of its directory.
    pub(crate) async fn another_node(&self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut copy = crossrealm_programs::command("cp");
        copy.arg("-aT").args([self.folder.path(), folder.path()]);
        assert!(copy.status().unwrap().success());
        Self::serve(folder, |_| {}).await
    }

    /// Serves the installation in this directory.
    pub(crate) async fn serve(folder: TempDir, change: impl FnOnce(&mut Config)) -> Self {
        let path = |name: &str| folder.path().join(name);
        let mut config = Config::load(&path("crossrealm.toml")).unwrap();
        change(&mut config);
        let token = std::fs::read_to_string(path("admin.token")).unwrap();
        let ca_pem = std::fs::read(path("tls/ca.pem")).unwrap();
        let server = Server::bind(config).await.unwrap();
        let (address, kerberos) = (server.https_address(), server.kerberos_address());
        let metrics = server.metrics_address();
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(server.run(async {
            let _ = stopped.await;
        }));
        let admin = client(address, &token, &ca_pem);
        Self {
            folder,
            address,
            kerberos,
            metrics,
            admin,
            ca_pem,
            stop,
            running,
        }
    }

    /// Stops the service like SIGTERM does, and waits until it has ended.
    pub(crate) async fn end(self) {
        self.stop.send(()).unwrap();
        self.running.await.unwrap();
    }

    /// A client with another token.
    pub(crate) fn client(&self, token: &SecretText) -> Client {
        client(self.address, token.expose(), &self.ca_pem)
    }

    /// A client with a new host token of an account of `contoso`.
    pub(crate) async fn host(&self, account: &str, name: &str) -> Client {
        let new = HostTokenCreate { name: name.into() };
        let made = self.admin.create_host_token("contoso", account, &new);
        self.client(&made.await.unwrap().token)
    }

    /// A client without a token.
    pub(crate) fn client_without_token(&self) -> Client {
        let url = format!("https://{}", self.address);
        Client::new(&url, None, Some(&self.ca_pem)).unwrap()
    }

    /// The path of a file of the installation.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A TLS connection for requests that the test writes itself.
    pub(crate) async fn connect(&self) -> TlsStream<TcpStream> {
        self.connect_from(Ipv4Addr::LOCALHOST.into()).await
    }

    /// The same from another address of this machine.
    pub(crate) async fn connect_from(&self, from: IpAddr) -> TlsStream<TcpStream> {
        connect(self.address, from, &self.ca_pem, &[]).await
    }

    /// The same with these protocols on offer.
    pub(crate) async fn connect_with(&self, protocols: &[&[u8]]) -> TlsStream<TcpStream> {
        let from = Ipv4Addr::LOCALHOST.into();
        connect(self.address, from, &self.ca_pem, protocols).await
    }

    /// Sends bytes, and reads until the service closes the connection.
    pub(crate) async fn exchange(&self, request: &[u8]) -> RawAnswer {
        self.exchange_from(Ipv4Addr::LOCALHOST.into(), request)
            .await
    }

    /// The same from another address of this machine.
    pub(crate) async fn exchange_from(&self, from: IpAddr, request: &[u8]) -> RawAnswer {
        let mut stream = self.connect_from(from).await;
        // The service may respond and close the connection before it has read everything.
        let _ = stream.write_all(request).await;
        let _ = stream.flush().await;
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes).await;
        RawAnswer::parse(&bytes)
    }

    /// Posts a body to the KDC proxy like MIT's client: HTTP/1.0, one request, read to the end.
    pub(crate) async fn post(&self, tenant: &str, body: &[u8]) -> RawAnswer {
        self.exchange(&post(tenant, body)).await
    }

    /// An AS-REQ must be answered by the KRB-ERROR that refers users to their on-premises sign-in.
    pub(crate) async fn still_serves(&self) {
        let answer = self
            .post("contoso.cloud.example", &envelope(&as_req()))
            .await;
        assert_eq!(answer.status, 200, "{answer:?}");
        says_where_to_sign_in(&kkdcp::open_reply(&answer.body).unwrap());
    }

    /// Posts a body that the typed client cannot send, as the administrator; it must be refused.
    pub(crate) async fn refusal(&self, path: &str, body: &serde_json::Value) -> ErrorBody {
        let ca = reqwest::Certificate::from_pem(&self.ca_pem).unwrap();
        let http = reqwest::Client::builder().tls_certs_only([ca]).build();
        let url = format!("https://localhost:{}{path}", self.address.port());
        let token = std::fs::read_to_string(self.path("admin.token")).unwrap();
        let request = http.unwrap().post(url).bearer_auth(token.trim());
        let answer = request
            .header("content-type", "application/json")
            .body(body.to_string());
        let answer = answer.send().await.unwrap();
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    }

    /// Creates the tenant `contoso`.
    pub(crate) async fn contoso(&self) -> crossrealm_api::Tenant {
        let wanted = TenantCreate {
            name: "contoso".into(),
            ..TenantCreate::default()
        };
        self.admin.create_tenant(&wanted).await.unwrap()
    }
}

impl RawAnswer {
    pub(crate) fn parse(bytes: &[u8]) -> Self {
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
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1);
        let mut pairs = lines.filter_map(|line| line.split_once(':'));
        pairs.find(|(n, _)| *n == name).map(|(_, v)| v.trim())
    }
}

/// A TLS connection from an address of this machine, which offers these protocols (RFC 7301).
pub(crate) async fn connect(
    to: SocketAddr,
    from: IpAddr,
    ca_pem: &[u8],
    protocols: &[&[u8]],
) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca_pem) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(from, 0)).unwrap();
    let stream = socket.connect(to).await.unwrap();
    let name = ServerName::try_from("login.cloud.example").unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .unwrap()
}

pub(crate) fn client(address: SocketAddr, token: &str, ca_pem: &[u8]) -> Client {
    let url = format!("https://{address}");
    Client::new(&url, Some(SecretText::new(token)), Some(ca_pem)).unwrap()
}

/// A request to the KDC proxy like MIT's client writes it.
pub(crate) fn post(tenant: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /{tenant}/kerberos HTTP/1.0\r\nCache-Control: no-cache\r\nPragma: no-cache\r\n\
         User-Agent: kerberos/1.0\r\nContent-type: application/kerberos\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// A KDC-PROXY-MESSAGE ([MS-KKDCP] 2.2.2).
pub(crate) fn envelope(message: &[u8]) -> Vec<u8> {
    kkdcp::wrap_request(message, REALM).unwrap()
}

/// Expects the KRB-ERROR that answers [`as_req`].
pub(crate) fn says_where_to_sign_in(reply: &[u8]) {
    let error: KrbError = decode(reply).unwrap();
    let text = error.e_text.unwrap();
    assert!(text.as_str().contains("sign-in-is-on-premises"), "{text:?}");
}

/// An AS-REQ (RFC 4120 §5.4.1) for the tenant's realm, hand-encoded: nothing in it comes from our own encoder.
pub(crate) fn as_req() -> Vec<u8> {
    fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let body = parts.concat();
        let mut out = vec![tag];
        match body.len() {
            len @ 0..=127 => out.push(len as u8),
            len => out.extend([0x81, len as u8]),
        }
        out.extend(body);
        out
    }
    let int = |tag: u8, value: u8| tlv(tag, &[&[2, 1, value]]);
    let name = |kind: u8, parts: &[&str]| {
        let strings: Vec<u8> = parts
            .iter()
            .flat_map(|p| tlv(0x1B, &[p.as_bytes()]))
            .collect();
        tlv(
            0x30,
            &[&int(0xA0, kind), &tlv(0xA1, &[&tlv(0x30, &[&strings])])],
        )
    };
    let body = tlv(
        0x30,
        &[
            &tlv(0xA0, &[&[3, 5, 0, 0, 0, 0, 0]]),
            &tlv(0xA1, &[&name(1, &["alice"])]),
            &tlv(0xA2, &[&tlv(0x1B, &[REALM.as_bytes()])]),
            &tlv(0xA3, &[&name(2, &["krbtgt", REALM])]),
            &tlv(0xA5, &[&tlv(0x18, &[b"20370913024805Z"])]),
            &int(0xA7, 77),
            &tlv(0xA8, &[&tlv(0x30, &[&[2, 1, 18]])]),
        ],
    );
    tlv(
        0x6A,
        &[&tlv(
            0x30,
            &[&int(0xA1, 5), &int(0xA2, 10), &tlv(0xA4, &[&body])],
        )],
    )
}
