//! What happens when a tenant has used up what it may: nothing outside the crate can hold a tenant's capacity for as long
//! as a test needs.

use crate::kerberos::exchange::{Answer, answer};
use crate::kerberos::tcp_udp;
use crate::{Config, InitOptions, Server, init};
use crossrealm_api::{Client, SecretText, TenantCreate};
use crossrealm_directory::TenantInfo;
use crossrealm_krb::kkdcp;
use crossrealm_krb::messages::{
    AsReq, KdcReq, KdcReqBody, KerberosFlags, KerberosTime, KrbError, PrincipalName, decode,
    error_code, name_type,
};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::oneshot;

/// How many ticket requests a tenant may have under way here.
const LIMIT: usize = 2;

async fn bind(dir: &Path) -> (Server, String, Vec<u8>) {
    let options = InitOptions {
        dir: dir.to_owned(),
        state: None,
        base_domain: "cloud.example".into(),
        tenant: None,
        store: "sqlite:crossrealm.db".into(),
        https_listen: "127.0.0.1:0".parse().unwrap(),
        kdc_listen: Some("127.0.0.1:0".parse().unwrap()),
    };
    let report = init(&options).await.unwrap();
    let mut config = Config::load(&report.config).unwrap();
    config.limits.ticket_requests_per_tenant = LIMIT;
    let token = std::fs::read_to_string(&report.admin_token).unwrap();
    let ca = std::fs::read(report.ca.unwrap()).unwrap();
    (Server::bind(config).await.unwrap(), token, ca)
}

fn as_req(realm: &str) -> Vec<u8> {
    let body = KdcReqBody {
        kdc_options: KerberosFlags(0),
        cname: Some(PrincipalName::new(name_type::PRINCIPAL, &["alice"])),
        realm: realm.into(),
        sname: Some(PrincipalName::krbtgt(realm)),
        from: None,
        till: KerberosTime(2_000_000_000),
        rtime: None,
        nonce: 1,
        etype: vec![18],
        addresses: None,
        enc_authorization_data: None,
        additional_tickets: None,
    };
    AsReq(KdcReq::new(vec![], body).unwrap()).encode().unwrap()
}

/// What the KDC proxy answers a tenant's client: the status, and `Retry-After`.
async fn post(http: &reqwest::Client, port: u16, tenant: &TenantInfo) -> (u16, Option<String>) {
    let url = format!(
        "https://login.cloud.example:{port}/{}/kerberos",
        tenant.domain
    );
    let body = kkdcp::wrap_request(&as_req(&tenant.realm), &tenant.realm).unwrap();
    let request = http
        .post(url)
        .header("content-type", "application/kerberos");
    let answer = request.body(body).send().await.unwrap();
    let after = answer.headers().get("retry-after");
    let after = after.map(|value| value.to_str().unwrap().to_owned());
    (answer.status().as_u16(), after)
}

async fn over_tcp(address: SocketAddr, tenant: &TenantInfo) -> KrbError {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let message = kkdcp::frame(&as_req(&tenant.realm)).unwrap();
    stream.write_all(&message).await.unwrap();
    let mut reply = vec![0; stream.read_u32().await.unwrap().try_into().unwrap()];
    stream.read_exact(&mut reply).await.unwrap();
    decode(&reply).unwrap()
}

async fn over_udp(address: SocketAddr, tenant: &TenantInfo) -> KrbError {
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let message = as_req(&tenant.realm);
    socket.send_to(&message, address).await.unwrap();
    let mut reply = vec![0; 2000];
    let len = socket.recv(&mut reply).await.unwrap();
    assert!(len <= message.len() * tcp_udp::GAIN);
    decode(&reply[..len]).unwrap()
}

#[tokio::test]
async fn a_flood_on_one_tenant_does_not_delay_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let (server, token, ca) = bind(folder.path()).await;
    let (https, kerberos) = (server.https_address(), server.kerberos_address().unwrap());
    let app = Arc::clone(server.app());
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(server.run(async {
        let _ = stopped.await;
    }));
    let admin = Client::new(
        &format!("https://{https}"),
        Some(SecretText::new(&token)),
        Some(&ca),
    )
    .unwrap();
    let mut tenants = Vec::new();
    for name in ["contoso", "second"] {
        let wanted = TenantCreate {
            name: name.into(),
            ..TenantCreate::default()
        };
        admin.create_tenant(&wanted).await.unwrap();
        let domain = format!("{name}.cloud.example");
        let info = app.directory.resolve_tenant(&domain).await;
        tenants.push(info.unwrap().unwrap());
    }
    let [flooded, other] = tenants.as_slice() else {
        panic!("two tenants were made");
    };
    let http = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(&ca).unwrap()])
        .resolve("login.cloud.example", https)
        .build()
        .unwrap();
    let port = https.port();

    let held: Vec<_> = (0..LIMIT)
        .map(|_| app.tickets.try_acquire(flooded.id))
        .collect();
    assert!(held.iter().all(Option::is_some));
    let refused = answer(&app, flooded.id, &as_req(&flooded.realm), kerberos).await;
    assert!(matches!(refused, Answer::Overloaded));
    assert_eq!(post(&http, port, flooded).await, (503, Some("1".into())));
    let busy = error_code::SVC_UNAVAILABLE;
    assert_eq!(over_tcp(kerberos, flooded).await.error_code, busy);
    assert_eq!(over_udp(kerberos, flooded).await.error_code, busy);

    assert_eq!(post(&http, port, other).await, (200, None));
    assert_ne!(over_tcp(kerberos, other).await.error_code, busy);
    assert_ne!(over_udp(kerberos, other).await.error_code, busy);

    drop(held);
    assert_eq!(post(&http, port, flooded).await, (200, None));
    assert_ne!(over_udp(kerberos, flooded).await.error_code, busy);
    drop((app, admin, http));
    stop.send(()).unwrap();
    running.await.unwrap();
}
