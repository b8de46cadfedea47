//! `/metrics`: what a monitoring system fetches, and that nothing else is answered there.

use crate::common::Service;
use crate::common::trusted::{ask, honest, sync_alice, world};
use crossrealm_types::IdentityState;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

async fn served() -> (Service, SocketAddr) {
    let change = |config: &mut crossrealm_cloud::Config| {
        config.metrics_listen = Some("127.0.0.1:0".parse().unwrap());
    };
    let service = Service::start_with(change).await;
    let at = service.metrics.unwrap();
    (service, at)
}

async fn exchange(at: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn get(at: SocketAddr, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    exchange(at, &request).await
}

/// The value of a series.
fn value(text: &str, series: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(series));
    line?.trim().parse().ok()
}

#[tokio::test]
async fn tickets_and_the_state_of_tenants_are_counted() {
    let (service, at) = served().await;
    let mut world = world(&service).await;
    sync_alice(&service, &world, IdentityState::Enabled).await;
    let issued = honest(&mut world);
    ask(&service, "contoso.cloud.example", &issued).await;
    sync_alice(&service, &world, IdentityState::Disabled).await;
    let refused = honest(&mut world);
    ask(&service, "contoso.cloud.example", &refused).await;
    let text = get(at, "/metrics").await;
    assert!(
        text.starts_with("HTTP/1.1 200") && text.ends_with("# EOF\n"),
        "{text}"
    );
    let one = |series: &str| assert_eq!(value(&text, series), Some(1.0), "{series}: {text}");
    one("crossrealm_ready ");
    one("crossrealm_ticket_requests_total{outcome=\"issued\",reason=\"\"} ");
    let refused = "crossrealm_ticket_requests_total{outcome=\"refused\"";
    let refused = text.lines().filter(|line| line.starts_with(refused));
    assert_eq!(refused.filter(|line| line.ends_with(" 1")).count(), 1);
    let missed = "crossrealm_cache_lookups_total{cache=\"identities\",result=\"miss\"} ";
    assert_eq!(value(&text, missed), Some(2.0));
    let answered = value(&text, "crossrealm_ticket_request_duration_seconds_count ");
    assert_eq!(answered, Some(2.0));
    let of_domain = "{tenant=\"contoso\",domain=\"corp.contoso.com\"} ";
    let synced = value(
        &text,
        &format!("crossrealm_sync_success_timestamp_seconds{of_domain}"),
    );
    assert!(synced.is_some_and(|at| at > 1.7e9), "{text}");
    // Neither people nor clients are named.
    assert!(!text.to_lowercase().contains("alice") && !text.contains("127.0.0.1"));
}

#[tokio::test]
async fn nothing_else_is_answered_and_silent_clients_do_not_keep_others_out_for_long() {
    let (_service, at) = served().await;
    for path in ["/", "/api/v1/tenants", "/metrics/x"] {
        let answer = get(at, path).await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
    }
    let posted =
        "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    assert!(exchange(at, posted).await.starts_with("HTTP/1.1 405"));
    let head = format!("GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    assert!(!exchange(at, &head).await.starts_with("HTTP/1.1 200"));
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(at).await.unwrap());
    }
    let answer = tokio::time::timeout(Duration::from_secs(60), get(at, "/metrics")).await;
    assert!(answer.unwrap().starts_with("HTTP/1.1 200"));
}
