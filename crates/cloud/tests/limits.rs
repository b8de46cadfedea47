//! Floods, in small numbers: whoever is beyond a limit is told so, and nobody else notices.

mod common;

use common::{Service, as_req, envelope, post};
use std::net::IpAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

/// Addresses of this machine: whoever floods, and somebody else.
const FLOOD: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 2));
const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 3));

const HALF: &[u8] = b"POST /contoso.cloud.example/kerberos HTTP/1.1\r\nHost: x\r\nContent-Type: application/kerberos\r\nContent-Length: 1000\r\n\r\nonly this";

#[tokio::test]
async fn requests_of_one_address_beyond_its_limit_are_told_to_come_again() {
    let service = Service::start_with(|config| config.limits.requests_per_address = 3).await;
    service.contoso().await;
    let honest = post("contoso.cloud.example", &envelope(&as_req()));
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut stream = service.connect_from(FLOOD).await;
        stream.write_all(HALF).await.unwrap();
        held.push(stream);
    }
    // The heads that were sent last may not have been read yet.
    let mut told = service.exchange_from(FLOOD, &honest).await;
    for _ in 0..50 {
        if told.status == 503 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        told = service.exchange_from(FLOOD, &honest).await;
    }
    assert_eq!(told.status, 503, "{told:?}");
    assert_eq!(told.header("retry-after"), Some("1"));
    let body: serde_json::Value = serde_json::from_slice(&told.body).unwrap();
    assert_eq!(body["code"], "overloaded");

    assert_eq!(service.exchange_from(OTHER, &honest).await.status, 200);
    service.still_serves().await;
    // What is given back can be used again.
    drop(held);
    for _ in 0..50 {
        if service.exchange_from(FLOOD, &honest).await.status == 200 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the limit is still reached");
}

#[tokio::test]
async fn connections_of_one_address_beyond_its_limit_are_closed_at_once() {
    let service = Service::start_with(|config| config.limits.connections_per_address = 4).await;
    service.contoso().await;
    let honest = post("contoso.cloud.example", &envelope(&as_req()));
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(service.connect_from(FLOOD).await);
    }
    for _ in 0..20 {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind((FLOOD, 0).into()).unwrap();
        let mut refused = socket.connect(service.address).await.unwrap();
        let end = timeout(Duration::from_secs(5), refused.read(&mut [0; 1])).await;
        assert!(matches!(end.unwrap(), Ok(0) | Err(_)));
    }
    assert_eq!(service.exchange_from(OTHER, &honest).await.status, 200);
    service.still_serves().await;
    drop(held);
}
