//! F4: the KDC proxy behind a reverse proxy, nginx as Debian ships it: HTTP/1.0 to the service, HTTP/1.1 and 2 to clients.

use crate::common::{Service, as_req, envelope, says_where_to_sign_in};
use crossrealm_krb::kkdcp;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// nginx, ended with its workers when it is dropped.
struct Nginx {
    child: Child,
    address: SocketAddr,
}

impl Nginx {
    /// In front of the service, with its own certificate to clients, which the service's CA issued.
    fn start(service: &Service, folder: &Path) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let (scratch, installation) = (folder.display(), service.folder.path().display());
        let upstream = service.address;
        let config = format!(
            "daemon off; user root; worker_processes 1; pid {scratch}/nginx.pid; error_log stderr;
             events {{}}
             http {{
                 access_log off;
                 client_body_temp_path {scratch}/body; proxy_temp_path {scratch}/proxy; fastcgi_temp_path {scratch}/fastcgi;
                 uwsgi_temp_path {scratch}/uwsgi; scgi_temp_path {scratch}/scgi;
                 server {{
                     listen {address} ssl http2;
                     ssl_certificate {installation}/tls/login.pem;
                     ssl_certificate_key {installation}/tls/login.key;
                     location / {{
                         proxy_pass https://{upstream};
                         proxy_ssl_verify on;
                         proxy_ssl_trusted_certificate {installation}/tls/ca.pem;
                         proxy_ssl_name login.cloud.example;
                     }}
                 }}
             }}"
        );
        let file = folder.join("nginx.conf");
        std::fs::write(&file, config).unwrap();
        let child = crossrealm_programs::command("nginx")
            .arg("-c")
            .arg(&file)
            .arg("-p")
            .arg(folder)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let nginx = Self { child, address };
        let deadline = Instant::now() + Duration::from_secs(60);
        while std::net::TcpStream::connect(address).is_err() {
            assert!(Instant::now() < deadline, "nginx does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        nginx
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // The master ends its workers at SIGTERM; at SIGKILL they would stay.
        let end = format!("kill -TERM {}", self.child.id());
        let _ = crossrealm_programs::shell(&end).status();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f4_the_kdc_proxy_is_served_behind_nginx() {
    let service = Service::start().await;
    service.contoso().await;
    let folder = tempfile::tempdir().unwrap();
    let nginx = Nginx::start(&service, folder.path());
    let authority = reqwest::Certificate::from_pem(&service.ca_pem).unwrap();
    let builder = || {
        reqwest::Client::builder()
            .tls_certs_only([authority.clone()])
            .resolve("login.cloud.example", nginx.address)
    };
    let url = format!(
        "https://login.cloud.example:{}/contoso.cloud.example/kerberos",
        nginx.address.port()
    );
    for (client, version) in [
        (builder().http1_only(), reqwest::Version::HTTP_11),
        (builder(), reqwest::Version::HTTP_2),
    ] {
        let client = client.build().unwrap();
        let post = |body: Vec<u8>| {
            let request = client
                .post(&url)
                .header("content-type", "application/kerberos");
            request.body(body).send()
        };
        let answer = post(envelope(&as_req())).await.unwrap();
        assert_eq!((answer.version(), answer.status().as_u16()), (version, 200));
        let body = answer.bytes().await.unwrap();
        says_where_to_sign_in(&kkdcp::open_reply(&body).unwrap());
        let refused = post(b"garbage".to_vec()).await.unwrap();
        assert_eq!(refused.status().as_u16(), 400);
        assert_eq!(
            post(envelope(&as_req())).await.unwrap().status().as_u16(),
            200
        );
    }
}
