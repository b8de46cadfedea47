//! Limits, reached with few requests: a sender above a limit is refused with an answer, and other senders are unaffected.

use crate::common::{Service, as_req, envelope, post};
use crossrealm_krb::kkdcp::frame;
use crossrealm_krb::messages::{KrbError, decode, error_code};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// Addresses of this machine: one that sends too much, and another one.
const FLOOD: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 2));
const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 3));

const HALF: &[u8] = b"POST /contoso.cloud.example/kerberos HTTP/1.1\r\nHost: x\r\nContent-Type: application/kerberos\r\nContent-Length: 1000\r\n\r\nonly this";

#[tokio::test]
async fn requests_of_one_address_beyond_its_limit_get_retry_after() {
    let service = Service::start_with(|config| config.limits.requests_per_address = 3).await;
    service.contoso().await;
    let honest = post("contoso.cloud.example", &envelope(&as_req()));
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut stream = service.connect_from(FLOOD).await;
        stream.write_all(HALF).await.unwrap();
        held.push(stream);
    }
    // The last request heads may not have been read yet.
    let mut refused = service.exchange_from(FLOOD, &honest).await;
    for _ in 0..600 {
        if refused.status == 503 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        refused = service.exchange_from(FLOOD, &honest).await;
    }
    assert_eq!(refused.status, 503, "{refused:?}");
    assert_eq!(refused.header("retry-after"), Some("1"));
    let body: serde_json::Value = serde_json::from_slice(&refused.body).unwrap();
    assert_eq!(body["code"], "overloaded");

    assert_eq!(service.exchange_from(OTHER, &honest).await.status, 200);
    service.still_serves().await;
    // A place that is given back can be used again.
    drop(held);
    for _ in 0..600 {
        if service.exchange_from(FLOOD, &honest).await.status == 200 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the limit is still reached");
}

/// More connections than the overload path answers.
const MORE_THAN_ARE_TOLD: usize = 9;

#[tokio::test]
async fn connections_of_one_address_beyond_its_limit_get_retry_after() {
    let service = Service::start_with(|config| config.limits.connections_per_address = 4).await;
    service.contoso().await;
    let honest = post("contoso.cloud.example", &envelope(&as_req()));
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(service.connect_from(FLOOD).await);
    }
    for _ in 0..20 {
        let refused = service.exchange_from(FLOOD, &honest).await;
        assert_eq!(refused.status, 503, "{refused:?}");
        assert_eq!(refused.header("retry-after"), Some("1"));
        assert_eq!(refused.header("connection"), Some("close"));
        let body: serde_json::Value = serde_json::from_slice(&refused.body).unwrap();
        assert_eq!(body["code"], "overloaded");
    }
    // The limit includes the Kerberos port, which answers with a KRB-ERROR.
    let mut stream = tcp_from(FLOOD, service.kerberos.unwrap()).await;
    stream.write_all(&frame(&as_req()).unwrap()).await.unwrap();
    let mut reply = vec![0; stream.read_u32().await.unwrap() as usize];
    stream.read_exact(&mut reply).await.unwrap();
    let error: KrbError = decode(&reply).unwrap();
    assert_eq!(error.error_code, error_code::SVC_UNAVAILABLE);

    assert_eq!(service.exchange_from(OTHER, &honest).await.status, 200);
    service.still_serves().await;
    drop(held);
    for _ in 0..600 {
        if service.exchange_from(FLOOD, &honest).await.status == 200 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the limit is still reached");
}

#[tokio::test]
async fn connections_beyond_the_overload_path_are_closed_at_once() {
    let service = Service::start_with(|config| config.limits.connections_per_address = 4).await;
    service.contoso().await;
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(service.connect_from(FLOOD).await);
    }
    // Silent connections fill the overload path, which then has no place for one of them.
    let mut silent = Vec::new();
    for _ in 0..MORE_THAN_ARE_TOLD {
        silent.push(tcp_from(FLOOD, service.address).await);
    }
    let mut last = silent.pop().unwrap();
    // It is closed before those in the overload path, whose time is limited.
    let end = timeout(Duration::from_secs(60), last.read(&mut [0; 1])).await;
    assert!(matches!(end, Ok(Ok(0) | Err(_))), "{end:?}");
    for stream in &silent {
        assert!(stream.try_read(&mut [0; 1]).is_err(), "it was closed too");
    }
    let honest = post("contoso.cloud.example", &envelope(&as_req()));
    assert_eq!(service.exchange_from(OTHER, &honest).await.status, 200);
    service.still_serves().await;
    // They are closed when the time for an answer is over.
    for mut stream in silent {
        let end = timeout(Duration::from_secs(60), stream.read(&mut [0; 1])).await;
        assert!(matches!(end, Ok(Ok(0) | Err(_))), "{end:?}");
    }
    drop(held);
}

pub(crate) async fn tcp_from(from: IpAddr, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    socket.connect(to).await.unwrap()
}
