//! The server's certificate at run time: renewed by the installation's CA, reloaded when it is replaced, and kept if its
//! replacement cannot be served. OpenSSL issues the certificates, and shows which one a new connection gets.

use crate::common::Service;
use crossrealm_programs::command;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// Much longer than the interval at which the files are checked.
const PATIENCE: Duration = Duration::from_secs(90);

fn openssl(folder: &Path, arguments: &[&str]) -> String {
    let output = command("openssl")
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// Issues `tls/new.pem` for the server's names, for `days` and `key`, by the CA `ca`.
pub(crate) fn issue(service: &Service, ca: &str, key: &str, days: &str) {
    let folder = service.path("tls");
    std::fs::write(
        folder.join("names"),
        "subjectAltName=DNS:login.cloud.example\n",
    )
    .unwrap();
    let subject = "/CN=login.cloud.example";
    openssl(
        &folder,
        &[
            "req", "-new", "-key", key, "-subj", subject, "-out", "new.csr",
        ],
    );
    let (ca_pem, ca_key) = (format!("{ca}.pem"), format!("{ca}.key"));
    openssl(
        &folder,
        &[
            "x509",
            "-req",
            "-in",
            "new.csr",
            "-CA",
            &ca_pem,
            "-CAkey",
            &ca_key,
            "-CAcreateserial",
            "-days",
            days,
            "-extfile",
            "names",
            "-out",
            "new.pem",
        ],
    );
}

pub(crate) fn put(service: &Service, from: &str, to: &str) {
    let folder = service.path("tls");
    std::fs::rename(folder.join(from), folder.join(to)).unwrap();
}

/// The fingerprint of a certificate file.
fn of_file(service: &Service, name: &str) -> String {
    let arguments = ["x509", "-noout", "-fingerprint", "-sha256", "-in", name];
    openssl(&service.path("tls"), &arguments)
}

/// The certificate that a new connection gets.
fn served(service: &Service) -> String {
    let output = command("openssl")
        .args(["s_client", "-servername", "login.cloud.example", "-connect"])
        .arg(service.address.to_string())
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .unwrap();
    let path = service.path("tls").join("served.pem");
    std::fs::write(path, output.stdout).unwrap();
    of_file(service, "served.pem")
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(
            start.elapsed() < PATIENCE,
            "not within {PATIENCE:?}: {what}"
        );
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// Whether a connection that was made before is still answered.
async fn answers(stream: &mut TlsStream<TcpStream>) {
    let request = b"GET /nothing HTTP/1.1\r\nHost: login.cloud.example\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut start = [0; 8];
    stream.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1");
    let mut rest = vec![0; 16 * 1024];
    // A small response is one TLS record.
    assert!(stream.read(&mut rest).await.unwrap() > 0);
}

/// Captures the log of all tests of this file.
fn log() -> Arc<Mutex<Vec<u8>>> {
    static LOG: OnceLock<Arc<Mutex<Vec<u8>>>> = OnceLock::new();
    struct Sink(Arc<Mutex<Vec<u8>>>);
    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let log = LOG.get_or_init(|| {
        let log = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&log);
        tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || Sink(Arc::clone(&sink)))
            .init();
        log
    });
    Arc::clone(log)
}

/// Whether a line of the log names this service's directory and contains this.
fn is_logged(service: &Service, says: &str) -> bool {
    let log = log().lock().unwrap().clone();
    let folder = service.folder.path().display().to_string();
    String::from_utf8_lossy(&log)
        .lines()
        .any(|line| line.contains(&folder) && line.contains(says))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_certificate_is_renewed_under_open_connections() {
    log();
    let service = Service::start().await;
    let first = served(&service);
    let mut open = service.connect().await;
    answers(&mut open).await;
    issue(&service, "ca", "login.key", "5");
    let short = of_file(&service, "new.pem");
    put(&service, "new.pem", "login.pem");
    until("the certificate is renewed", || {
        let now = served(&service);
        now != first && now != short
    })
    .await;
    answers(&mut open).await;
    assert_eq!(served(&service), of_file(&service, "login.pem"));
    let folder = service.path("tls");
    let year = (365 * 24 * 3600).to_string();
    openssl(
        &folder,
        &["x509", "-noout", "-checkend", &year, "-in", "login.pem"],
    );
    let host = ["-verify_hostname", "login.cloud.example"];
    openssl(
        &folder,
        &["verify", "-CAfile", "ca.pem", host[0], host[1], "login.pem"],
    );
    assert!(is_logged(&service, "renewed the server's certificate"));
    assert!(!folder.join("login.new").exists());
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_another_authority_is_reloaded_and_never_changed() {
    log();
    let service = Service::start().await;
    let folder = service.path("tls");
    let own_ca = [
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-noenc",
        "-keyout",
        "other.key",
        "-out",
        "other.pem",
        "-subj",
        "/CN=Another authority",
        "-days",
        "100",
    ];
    openssl(&folder, &own_ca);
    issue(&service, "other", "login.key", "5");
    let foreign = of_file(&service, "new.pem");
    put(&service, "new.pem", "login.pem");
    until("the certificate is reloaded", || {
        served(&service) == foreign
    })
    .await;
    until("its end is logged", || {
        is_logged(&service, "certificate ends soon")
    })
    .await;
    assert_eq!(of_file(&service, "login.pem"), foreign);

    // A certificate that does not belong to the key is refused and logged.
    let key = [
        "ecparam",
        "-genkey",
        "-name",
        "prime256v1",
        "-noout",
        "-out",
        "another.key",
    ];
    openssl(&folder, &key);
    issue(&service, "other", "another.key", "50");
    let second = of_file(&service, "new.pem");
    put(&service, "new.pem", "login.pem");
    until("the refusal is logged", || {
        is_logged(&service, "refused a new certificate")
    })
    .await;
    assert_eq!(served(&service), foreign);
    // With its key it is served.
    put(&service, "another.key", "login.key");
    until("the pair is served", || served(&service) == second).await;
    assert_eq!(of_file(&service, "login.pem"), second);
    service.end().await;
}

/// F10: Windows Server 2012 R2 has no cipher suite of this service for an RSA key; the log says so, and what to put there.
#[tokio::test(flavor = "multi_thread")]
async fn an_rsa_key_is_warned_of() {
    log();
    let service = Service::start().await;
    let folder = service.path("tls");
    let of_this = |text: &str| is_logged(&service, text);
    let authority = [
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-noenc",
        "-keyout",
        "other.key",
        "-out",
        "other.pem",
        "-subj",
        "/CN=Another authority",
        "-days",
        "100",
    ];
    openssl(&folder, &authority);
    // The key that `init` made is of ECDSA, also in a certificate that an RSA key signed.
    issue(&service, "other", "login.key", "99");
    let ecdsa = of_file(&service, "new.pem");
    put(&service, "new.pem", "login.pem");
    until("the certificate is reloaded", || served(&service) == ecdsa).await;
    assert!(!of_this("has an RSA key"));
    openssl(&folder, &["genrsa", "-out", "rsa.key", "2048"]);
    issue(&service, "other", "rsa.key", "99");
    put(&service, "rsa.key", "login.key");
    put(&service, "new.pem", "login.pem");
    until("the warning is logged", || of_this("has an RSA key")).await;
}
