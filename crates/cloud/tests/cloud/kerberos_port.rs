//! Kerberos over TCP and UDP on one port: a datagram holds one message, a reply that is too large for UDP is fetched over TCP,
//! and a message that names no realm of the installation is not answered.

use crate::common::{Service, as_req, says_where_to_sign_in};
use crossrealm_api::IdentityChange;
use crossrealm_krb::kkdcp;
use crossrealm_krb::messages::{KrbError, PrincipalName, TgsRep, decode, error_code, name_type};
use crossrealm_testkit::trusted_tenant;
use crossrealm_testkit::two_realms::{TENANT_REALM, TwoRealms};
use crossrealm_types::SyncedIdentity;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// The time limit for an answer.
const SOON: Duration = Duration::from_secs(60);
/// How long is waited to conclude that there is no answer.
const SILENCE: Duration = Duration::from_millis(500);

async fn socket(service: &Service) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(service.kerberos.unwrap()).await.unwrap();
    socket
}

async fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = vec![0; 65_535];
    let len = timeout(SOON, socket.recv(&mut buffer)).await;
    buffer.truncate(len.expect("no answer").unwrap());
    buffer
}

async fn ask_udp(socket: &UdpSocket, message: &[u8]) -> Vec<u8> {
    socket.send(message).await.unwrap();
    receive(socket).await
}

async fn ask_tcp(stream: &mut TcpStream, message: &[u8]) -> Vec<u8> {
    let framed = kkdcp::frame(message).unwrap();
    stream.write_all(&framed).await.unwrap();
    let len = stream.read_u32().await.unwrap();
    let mut reply = vec![0; len as usize];
    stream.read_exact(&mut reply).await.unwrap();
    reply
}

/// A trusted tenant in which alice has this display name, and the realms that issue her referrals.
async fn world(service: &Service, display_name: String) -> TwoRealms {
    let world = trusted_tenant::create(&service.admin).await.unwrap();
    let identity = SyncedIdentity {
        display_name,
        ..trusted_tenant::alice(&world)
    };
    let changes = vec![IdentityChange::Upsert { identity }];
    trusted_tenant::apply(&service.admin, &world, changes)
        .await
        .unwrap();
    world
}

fn honest(world: &mut TwoRealms) -> Vec<u8> {
    let ticket = world.encrypt_referral(world.referral());
    let ask = world.request_draft();
    world.request(ticket, ask)
}

#[tokio::test]
async fn the_realm_in_the_request_names_the_tenant() {
    let service = Service::start().await;
    service.contoso().await;
    let mut stream = TcpStream::connect(service.kerberos.unwrap()).await.unwrap();
    let socket = socket(&service).await;
    for _ in 0..2 {
        says_where_to_sign_in(&ask_tcp(&mut stream, &as_req()).await);
        says_where_to_sign_in(&ask_udp(&socket, &as_req()).await);
    }
    stream.write_all(&[0xFF; 64]).await.unwrap();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert!(rest.is_empty());
    service.still_serves().await;
}

#[tokio::test]
async fn an_unknown_service_is_refused_by_datagram() {
    let service = Service::start().await;
    let mut world = world(&service, "Alice".into()).await;
    let ticket = world.encrypt_referral(world.referral());
    let mut ask = world.request_draft();
    let host = "acct9.file.contoso.cloud.example";
    ask.body.sname = Some(PrincipalName::new(name_type::SRV_HST, &["cifs", host]));
    let message = world.request(ticket, ask);
    let reply = ask_udp(&socket(&service).await, &message).await;
    let error: KrbError = decode(&reply).unwrap();
    assert_eq!(error.error_code, error_code::S_PRINCIPAL_UNKNOWN);
    assert!(error.e_text.unwrap().as_str().contains("service-unknown"));
}

#[tokio::test]
async fn a_ticket_too_big_for_a_datagram_is_issued_over_tcp() {
    let service = Service::start().await;
    let mut world = world(&service, "A".repeat(256)).await;
    let message = honest(&mut world);
    let reply = ask_udp(&socket(&service).await, &message).await;
    let error: KrbError = decode(&reply).unwrap();
    assert_eq!(error.error_code, error_code::RESPONSE_TOO_BIG);
    assert_eq!(error.realm.as_str(), TENANT_REALM);
    assert!(reply.len() < message.len() / 2, "{}", reply.len());

    let message = honest(&mut world);
    let mut stream = TcpStream::connect(service.kerberos.unwrap()).await.unwrap();
    let reply = ask_tcp(&mut stream, &message).await;
    assert!(reply.len() > 1400, "{}", reply.len());
    decode::<TgsRep>(&reply).unwrap();
}

#[tokio::test]
async fn garbage_gets_no_datagram_back() {
    let service = Service::start().await;
    service.contoso().await;
    let socket = socket(&service).await;
    let good = as_req();
    let foreign: Vec<u8> = {
        let realm = b"KERBEROS.CONTOSO.CLOUD.EXAMPLE";
        let at = good.windows(realm.len()).position(|w| w == realm).unwrap();
        let mut foreign = good.clone();
        foreign[at] = b'X';
        foreign
    };
    let error = ask_udp(&socket, &good).await;
    let framed = kkdcp::frame(&good).unwrap();
    let mut garbage = vec![
        vec![],
        b"hello".to_vec(),
        vec![0x6A; 60_000],
        vec![0x6C, 0x84, 0xFF, 0xFF, 0xFF, 0xFF],
        [good.as_slice(), b"and more"].concat(),
        framed,
        foreign,
        error,
    ];
    garbage.extend((1..good.len()).map(|cut| good[..cut].to_vec()));
    for message in &garbage {
        socket.send(message).await.unwrap();
    }
    let mut byte = [0; 1];
    let answer = timeout(SILENCE, socket.recv(&mut byte)).await;
    assert!(answer.is_err(), "garbage was answered");
    says_where_to_sign_in(&ask_udp(&socket, &good).await);
}

#[tokio::test]
async fn a_reply_is_never_three_times_as_long_as_its_request() {
    let service = Service::start().await;
    let mut world = world(&service, "Alice".into()).await;
    let socket = socket(&service).await;
    let mut broken = honest(&mut world);
    let at = broken.len() / 2;
    broken[at] ^= 1;
    for message in [as_req(), honest(&mut world), broken] {
        socket.send(&message).await.unwrap();
        let mut buffer = vec![0; 65_535];
        // A malformed message may remain without an answer.
        if let Ok(len) = timeout(SILENCE * 4, socket.recv(&mut buffer)).await {
            assert!(len.unwrap() <= message.len() * 3);
        }
    }
    says_where_to_sign_in(&ask_udp(&socket, &as_req()).await);
}
