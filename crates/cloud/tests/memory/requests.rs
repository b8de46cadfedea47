//! Requests that ask for more memory than they should get.

use crate::common::{as_req, connect, envelope, post};
use crate::process::{Process, address};
use crossrealm_krb::kkdcp;
use crossrealm_krb::messages::{KrbError, PrincipalName, decode, name_type};
use crossrealm_testkit::trusted_tenant;
use crossrealm_testkit::two_realms::TENANT_REALM;
use crossrealm_types::IdentityState;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

const MIB: u64 = 1024;

/// Posts all of a body but its last byte, and keeps the connection.
async fn withhold(process: &Process, from: IpAddr, path: &str, len: usize) -> TlsStream<TcpStream> {
    let mut stream = connect(process.address, from, &process.ca_pem, &[]).await;
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len}\r\n\r\n"
    );
    let _ = stream.write_all(head.as_bytes()).await;
    let piece = [b' '; 16 * 1024];
    let mut left = len - 1;
    while left > 0 {
        let now = left.min(piece.len());
        if stream.write_all(&piece[..now]).await.is_err() {
            break;
        }
        left -= now;
    }
    let _ = stream.flush().await;
    stream
}

/// S2: bodies of 8 MiB that withhold their last byte, sent to an endpoint that needs no token.
#[tokio::test(flavor = "multi_thread")]
async fn s2_withheld_sign_in_bodies_take_no_memory() {
    let process = Arc::new(Process::start().await);
    let before = process.resident_kib();
    let mut sending = JoinSet::new();
    for n in 0..24 {
        let process = Arc::clone(&process);
        sending.spawn(async move {
            Box::pin(withhold(
                &process,
                address(n / 4),
                "/api/v1/sign-in",
                8 << 20,
            ))
            .await
        });
    }
    let held = sending.join_all().await;
    let grown = process.peak_kib() - before;
    assert!(grown < 24 * MIB, "{grown} KiB more");
    for mut stream in held {
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(
            answer.starts_with("HTTP/1.1 413") || answer.is_empty(),
            "{answer}"
        );
    }
}

/// S2: bodies that an endpoint takes, withheld from several addresses, have one budget; one more address is still served.
#[tokio::test(flavor = "multi_thread")]
async fn s2_withheld_bodies_have_a_budget() {
    const ADDRESSES: u32 = 4;
    const OF_EACH: u32 = 24;
    /// Bodies of one address that fit into its part of the budget, of 2 MiB.
    const HELD_OF_EACH: u32 = 16;
    let process = Arc::new(Process::start().await);
    trusted_tenant::create(&process.admin).await.unwrap();
    let before = process.resident_kib();
    let mut sending = JoinSet::new();
    for n in 0..ADDRESSES * OF_EACH {
        let process = Arc::clone(&process);
        sending.spawn(async move {
            let path = "/contoso.cloud.example/kerberos";
            let from = address(n / OF_EACH);
            let mut stream = Box::pin(withhold(&process, from, path, 128 * 1024)).await;
            let mut status = [0; 12];
            stream.read_exact(&mut status).await.unwrap();
            status == *b"HTTP/1.1 503"
        });
    }
    let beyond = ADDRESSES * (OF_EACH - HELD_OF_EACH);
    let mut refused = 0;
    while refused < beyond {
        let answered = timeout(Duration::from_secs(60), sending.join_next()).await;
        let answered = answered.unwrap_or_else(|_| panic!("{refused} of {beyond} are refused"));
        refused += u32::from(answered.unwrap().unwrap());
    }
    let grown = process.peak_kib() - before;
    assert!(grown < 44 * MIB, "{grown} KiB more");
    let honest = post("contoso.cloud.example", &envelope(&as_req()));
    let answer = process.exchange(address(100), &honest).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    drop(sending);
}

/// S3: the longest names of services that do not exist, asked for with a ticket.
#[tokio::test(flavor = "multi_thread")]
async fn s3_names_of_unknown_services_are_not_kept() {
    let process = Process::start().await;
    let mut world = trusted_tenant::create(&process.admin).await.unwrap();
    let alice = crossrealm_types::SyncedIdentity {
        state: IdentityState::Enabled,
        ..trusted_tenant::alice(&world)
    };
    let alice = vec![crossrealm_api::IdentityChange::Upsert { identity: alice }];
    trusted_tenant::apply(&process.admin, &world, alice)
        .await
        .unwrap();
    let before = process.resident_kib();
    let mut stream = connect(process.address, address(0), &process.ca_pem, &[]).await;
    for n in 0..400 {
        let host = format!("{n}{}", "x".repeat(120 * 1024));
        let ticket = world.encrypt_referral(world.referral());
        let mut draft = world.request_draft();
        draft.body.sname = Some(PrincipalName::new(name_type::SRV_HST, &["cifs", &host]));
        let message = world.request(ticket, draft);
        let body = kkdcp::wrap_request(&message, TENANT_REALM).unwrap();
        let head = format!(
            "POST /contoso.cloud.example/kerberos HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&body).await.unwrap();
        stream.flush().await.unwrap();
        let reply = response(&mut stream).await;
        if n == 0 {
            let error: KrbError = decode(&kkdcp::open_reply(&reply).unwrap()).unwrap();
            let text = error.e_text.unwrap();
            assert!(text.as_str().contains("service-unknown"), "{text:?}");
        }
    }
    let grown = process.resident_kib() - before;
    assert!(grown < 24 * MIB, "{grown} KiB more");
}

/// Reads the body of one response with a `Content-Length`.
async fn response(stream: &mut TlsStream<TcpStream>) -> Vec<u8> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let length = head.split("content-length: ").nth(1).unwrap();
    let mut body = vec![0; length.split("\r\n").next().unwrap().parse().unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    body
}

/// R4, S15: sign-ins of unknown names from many addresses hash in a fixed amount of memory; those that find none must retry.
#[tokio::test(flavor = "multi_thread")]
async fn r4_sign_ins_hash_in_a_fixed_amount_of_memory() {
    let process = Arc::new(Process::start().await);
    let before = process.resident_kib();
    let mut attempts = JoinSet::new();
    for n in 0..48 {
        let process = Arc::clone(&process);
        attempts.spawn(async move {
            let body = format!(
                r#"{{"upn":"nobody{n}@contoso.com","password":"correct horse battery","code":"123456"}}"#
            );
            let request = format!(
                "POST /api/v1/sign-in HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            process.exchange(address(n / 3), request.as_bytes()).await
        });
    }
    let answers = attempts.join_all().await;
    let refused = answers.iter().filter(|answer| answer.status == 401).count();
    let busy = answers.iter().filter(|answer| answer.status == 503).count();
    assert!(
        refused > 0 && refused + busy == answers.len(),
        "{answers:?}"
    );
    for answer in answers.iter().filter(|answer| answer.status == 503) {
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    let grown = process.peak_kib() - before;
    assert!(grown < 64 * MIB, "{grown} KiB more");
}

/// S5: what a client sends is logged in a few bytes, and requests without a ticket or a token at a bounded rate.
#[tokio::test(flavor = "multi_thread")]
async fn s5_the_log_is_bounded() {
    let process = Arc::new(Process::start().await);
    trusted_tenant::create(&process.admin).await.unwrap();
    let already = process.log.lock().unwrap().len();
    let foreign = kkdcp::wrap_request(&as_req(), &"\u{1b}".repeat(100_000)).unwrap();
    let answer = process
        .exchange(address(0), &post("contoso.cloud.example", &foreign))
        .await;
    assert_eq!(answer.status, 404);
    // Several requests on each connection.
    let get = |more: &str| {
        let path = "%1b".repeat(3000);
        format!("GET /api/v1/{path} HTTP/1.1\r\nHost: x\r\n{more}\r\n")
    };
    let requests = Arc::new([get("").repeat(29), get("Connection: close\r\n")].concat());
    let mut sending = JoinSet::new();
    for n in 0..24 {
        let (process, requests) = (Arc::clone(&process), Arc::clone(&requests));
        sending.spawn(async move { process.exchange(address(n), requests.as_bytes()).await });
    }
    sending.join_all().await;
    let log = process.log.lock().unwrap();
    let lines = &log[already..];
    let longest = lines.iter().map(String::len).max().unwrap();
    assert!(longest < 1000, "a line of {longest} bytes");
    let count = |what: &str| lines.iter().filter(|line| line.contains(what)).count();
    assert_eq!(count("ticket request"), 1);
    // Of 720 requests, a burst of 500 and one a second.
    let requests = count("request without a token");
    assert!((500..700).contains(&requests), "{requests} lines");
}
