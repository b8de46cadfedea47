//! The KDC proxy through its HTTPS endpoint: what it must refuse, and that it serves afterwards.

use crate::common::trusted::event_of;
use crate::common::{REALM, RawAnswer, Service, as_req, envelope, http2, says_where_to_sign_in};
use crossrealm_krb::kkdcp;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

#[tokio::test]
async fn an_http_1_0_client_gets_a_length_and_a_closed_connection() {
    let service = Service::start().await;
    let tenant = service.contoso().await;
    for name in [tenant.id.to_string(), tenant.domain] {
        let answer = service.post(&name, &envelope(&as_req())).await;
        assert_eq!(answer.status, 200);
        let length: usize = answer.header("content-length").unwrap().parse().unwrap();
        assert_eq!(length, answer.body.len());
        assert_eq!(answer.header("content-type"), Some("application/kerberos"));
        assert_eq!(answer.header("transfer-encoding"), None);
    }
    let empty = service.post("contoso.cloud.example", b"").await;
    assert_eq!((empty.status, empty.body.len()), (200, 0));
    service.still_serves().await;
}

#[tokio::test]
async fn http_2_is_served_and_bounded() {
    let service = Service::start().await;
    service.contoso().await;
    let authority = reqwest::Certificate::from_pem(&service.ca_pem).unwrap();
    let client = reqwest::Client::builder()
        .tls_certs_only([authority])
        .resolve("login.cloud.example", service.address)
        .build()
        .unwrap();
    let url = format!(
        "https://login.cloud.example:{}/contoso.cloud.example/kerberos",
        service.address.port()
    );
    let post = |body: Vec<u8>| {
        client
            .post(&url)
            .header("content-type", "application/kerberos")
            .body(body)
            .send()
    };
    let answer = post(envelope(&as_req())).await.unwrap();
    assert_eq!(
        (answer.version(), answer.status().as_u16()),
        (reqwest::Version::HTTP_2, 200)
    );
    assert!(kkdcp::open_reply(&answer.bytes().await.unwrap()).is_ok());
    let answer = post(vec![0x30; 128 * 1024 + 1]).await.unwrap();
    assert_eq!(answer.status().as_u16(), 413);
    let answer = post(b"garbage".to_vec()).await.unwrap();
    assert_eq!(answer.status().as_u16(), 400);
    assert_eq!(
        post(envelope(&as_req())).await.unwrap().status().as_u16(),
        200
    );
}

#[tokio::test]
async fn a_persistent_connection_serves_several_requests() {
    let service = Service::start().await;
    service.contoso().await;
    let body = envelope(&as_req());
    let head = format!(
        "POST /contoso.cloud.example/kerberos HTTP/1.1\r\nHost: x\r\nContent-Type: application/kerberos\r\nContent-Length: {}\r\n",
        body.len()
    );
    let first = [head.as_bytes(), b"\r\n", &body].concat();
    let last = [head.as_bytes(), b"Connection: close\r\n\r\n", &body].concat();
    let mut stream = service.connect().await;
    stream.write_all(&[first, last].concat()).await.unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    let text = String::from_utf8_lossy(&bytes);
    assert_eq!(text.matches("HTTP/1.1 200").count(), 2);
}

#[tokio::test]
async fn malformed_requests_are_refused_with_their_own_status() {
    let service = Service::start().await;
    service.contoso().await;
    let path = "/contoso.cloud.example/kerberos";
    let good = envelope(&as_req());
    let with_body = |head: String, body: &[u8]| [head.as_bytes(), body].concat();
    let typed = |kind: &str, len: usize| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {len}\r\n\r\n"
        )
    };
    let mut lying = good.clone();
    let at = lying
        .windows(4)
        .position(|w| w[..3] == [0, 0, 0] && w[3] > 100)
        .unwrap();
    lying[at + 3] ^= 1;
    let cases = [
        (
            "another method",
            format!("GET {path} HTTP/1.0\r\n\r\n").into_bytes(),
            405,
        ),
        (
            "no length",
            format!("POST {path} HTTP/1.0\r\n\r\n").into_bytes(),
            411,
        ),
        (
            "chunks",
            format!(
                "POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            )
            .into_bytes(),
            411,
        ),
        (
            "too large",
            typed("application/kerberos", 128 * 1024 + 1).into_bytes(),
            413,
        ),
        (
            "garbage",
            with_body(typed("application/kerberos", 7), b"garbage"),
            400,
        ),
        (
            "truncated",
            with_body(typed("application/kerberos", 20), &good[..20]),
            400,
        ),
        (
            "a lying inner length",
            with_body(typed("application/kerberos", lying.len()), &lying),
            400,
        ),
        (
            "garbage in the envelope",
            {
                let body = envelope(b"\x00not kerberos");
                with_body(typed("application/kerberos", body.len()), &body)
            },
            400,
        ),
        (
            "another realm",
            {
                let body = kkdcp::wrap_request(&as_req(), "CORP.CONTOSO.COM").unwrap();
                with_body(typed("application/kerberos", body.len()), &body)
            },
            404,
        ),
        (
            "not HTTP",
            b"\x16\x03\x01\x00\x00garbage\r\n\r\n".to_vec(),
            400,
        ),
    ];
    for (name, request, status) in cases {
        let answer = service.exchange(&request).await;
        assert_eq!(answer.status, status, "{name}: {answer:?}");
        service.still_serves().await;
    }
    let answer = service.post("second.cloud.example", &good).await;
    assert_eq!(answer.status, 404);
    let answer = service.post(&"a".repeat(5000), &good).await;
    assert_eq!(answer.status, 404);
    let answer = service.post("..%2f..%2fetc", &good).await;
    assert_eq!(answer.status, 404);
    service.still_serves().await;
}

/// F4: what clients put around the message differs; the body decides, and the answer is of the same kind.
#[tokio::test]
async fn requests_of_other_clients_are_answered_in_kind() {
    let service = Service::start().await;
    service.contoso().await;
    let standard = "application/kerberos";
    for (media_type, answered_as) in [
        (standard, standard),
        ("Application/Kerberos; charset=binary", standard),
        ("application/octet-stream", "application/octet-stream"),
        (
            "application/kdc-proxy-message",
            "application/kdc-proxy-message",
        ),
        ("application/x-www-form-urlencoded", standard),
    ] {
        let body = envelope(&as_req());
        let head = format!(
            "POST /contoso.cloud.example/kerberos/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let answer = service.exchange(&[head.as_bytes(), &body].concat()).await;
        assert_eq!(answer.status, 200, "{media_type}: {answer:?}");
        assert_eq!(answer.header("content-type"), Some(answered_as));
        says_where_to_sign_in(&kkdcp::open_reply(&answer.body).unwrap());
    }
    let no_realm = kkdcp::wrap_request(&as_req(), "").unwrap();
    let answer = service.post("contoso.cloud.example", &no_realm).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    // KDC-PROXY-MESSAGE with the message alone, and no length in front of it.
    let message = as_req();
    let tlv = |tag: u8, body: &[u8]| [&[tag, 0x81, body.len() as u8], body].concat();
    let bare = tlv(0x30, &tlv(0xA0, &tlv(0x04, &message)));
    let answer = service.post("contoso.cloud.example", &bare).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(kkdcp::open_reply(&answer.body).is_err(), "it has a length");
    let error = answer.body.iter().position(|byte| *byte == 0x7E).unwrap();
    says_where_to_sign_in(&answer.body[error..]);

    // Windows compares names without case.
    let body = kkdcp::wrap_request(&as_req(), &REALM.to_lowercase()).unwrap();
    let head = format!(
        "POST /CONTOSO.Cloud.Example/Kerberos/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let answer = service.exchange(&[head.as_bytes(), &body].concat()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    says_where_to_sign_in(&kkdcp::open_reply(&answer.body).unwrap());

    // What is no envelope leaves an event.
    let answer = service.post("contoso.cloud.example", b"garbage").await;
    assert_eq!(answer.status, 400);
    let event = event_of(&service, "not-kerberos").await;
    assert!(event.detail.contains("KDC-PROXY-MESSAGE"), "{event:?}");
}

/// F9: over HTTP/2 a refusal arrives, although the client had not sent its body when it was made.
#[tokio::test]
async fn refusals_before_the_body_arrive_over_http_2() {
    let service = Service::start().await;
    service.contoso().await;
    for path in ["/nobody.cloud.example/kerberos", "/api/v1/tenants"] {
        let mut stream = service.connect_with(&[b"h2"]).await;
        let client = http2::Client::begin(&mut stream).await;
        let (status, reset) = client.post_slowly(path, 3, 8 * 1024).await;
        assert!(matches!(status, 401 | 404), "{path}: {status}");
        assert!(!reset, "{path}: the stream was reset");
    }
}

/// S12: pings alone do not keep an HTTP/2 connection; a request under way does.
#[tokio::test]
async fn pings_do_not_keep_a_connection() {
    let service = Service::start_with(|config| config.limits.header_timeout_s = 1).await;
    let mut stream = service.connect_with(&[b"h2"]).await;
    let client = http2::Client::begin(&mut stream).await;
    // Without the limit it lives for ten minutes.
    let ended = tokio::time::timeout(Duration::from_secs(60), client.answer_pings()).await;
    assert!(ended.is_ok(), "the connection is still open");
}

#[tokio::test]
async fn a_target_domain_of_another_realm_leaves_an_event() {
    let service = Service::start().await;
    service.contoso().await;
    let body = kkdcp::wrap_request(&as_req(), "CORP.CONTOSO.COM").unwrap();
    assert_eq!(
        service.post("contoso.cloud.example", &body).await.status,
        404
    );
    let query = crossrealm_api::EventQuery::default();
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let events = service.admin.events("contoso", &query).await.unwrap();
        if let Some(event) = events.iter().find(|e| e.reason == "wrong-realm") {
            assert!(event.hint.is_some() && event.detail.contains("CORP.CONTOSO.COM"));
            break;
        }
        assert!(Instant::now() < deadline, "no event: {events:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn slow_and_truncated_bodies_time_out() {
    let service = Service::start_with(|config| config.limits.body_timeout_s = 1).await;
    service.contoso().await;
    let head = "POST /contoso.cloud.example/kerberos HTTP/1.1\r\nHost: x\r\nContent-Type: application/kerberos\r\nContent-Length: 1000\r\n\r\n";
    let started = Instant::now();
    let slow = service
        .exchange(&[head.as_bytes(), b"only this"].concat())
        .await;
    assert_eq!(slow.status, 408, "{slow:?}");
    // It would have been waited for this long without the limit.
    assert!(started.elapsed() < Duration::from_secs(15));

    let mut cut = service.connect().await;
    cut.write_all(head.as_bytes()).await.unwrap();
    drop(cut);
    service.still_serves().await;
}

#[tokio::test]
async fn slow_and_silent_heads_time_out() {
    // No honest request is sent here: a busy machine may take so long for its head.
    let service = Service::start_with(|config| config.limits.header_timeout_s = 1).await;
    let started = Instant::now();
    let silent = service.exchange(b"").await;
    assert!(silent.body.is_empty());
    let half = service.exchange(b"POST /contoso.cloud.example/ker").await;
    assert!(matches!(half.status, 0 | 408), "{half:?}");
    // Either would have been waited for this long without the limit.
    assert!(started.elapsed() < Duration::from_secs(15));
}

#[tokio::test]
async fn one_address_cannot_hold_every_connection() {
    let service = Service::start_with(|config| config.limits.connections_per_address = 4).await;
    // The administrator's client keeps its connection open.
    service.contoso().await;
    let held = [service.connect().await, service.connect().await];
    // One place is left, and is given back after each use.
    service.still_serves().await;
    service.still_serves().await;
    let last = service.connect().await;
    let refused = service
        .post("contoso.cloud.example", &envelope(&as_req()))
        .await;
    assert_eq!(refused.status, 503, "{refused:?}");
    drop((held, last));
    service.still_serves().await;
}

/// A client that was accepted before a restart has no answer yet, and must not take the end for a failure.
#[tokio::test]
async fn a_connection_from_before_the_shutdown_is_answered() {
    let service = Service::start().await;
    service.contoso().await;
    let mut https = service.connect().await;
    let mut h2 = service.connect_with(&[b"h2"]).await;
    let mut kerberos = TcpStream::connect(service.kerberos.unwrap()).await.unwrap();
    // The service has accepted all three: it answers one that came behind them.
    service.still_serves().await;
    let request = b"GET /livez HTTP/1.1\r\nHost: login.cloud.example\r\n\r\n";
    let ended = tokio::spawn(service.end());
    tokio::time::sleep(Duration::from_millis(200)).await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let message = as_req();
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    https.write_all(request).await.unwrap();
    h2.write_all(preface).await.unwrap();
    let framed = [&length[..], &message].concat();
    kerberos.write_all(&framed).await.unwrap();

    let mut answer = Vec::new();
    let _ = https.read_to_end(&mut answer).await;
    assert_eq!(RawAnswer::parse(&answer).status, 200);
    // HTTP/2 begins, so that the client can send its request.
    let mut settings = [0; 9];
    h2.read_exact(&mut settings).await.unwrap();
    assert_eq!(settings[3], 4, "no SETTINGS frame: {settings:?}");
    let mut reply = Vec::new();
    kerberos.read_to_end(&mut reply).await.unwrap();
    assert!(reply.len() > 4, "no reply: {reply:?}");
    drop(h2);
    ended.await.unwrap();
}

#[tokio::test]
async fn shutdown_lets_requests_finish() {
    let service = Service::start().await;
    service.contoso().await;
    let idle = service.connect().await;
    let started = Instant::now();
    service.end().await;
    // A request under way, and a writer of events that never learns of the end, are waited for this long; an idle connection
    // is not.
    assert!(started.elapsed() < Duration::from_secs(20));
    drop(idle);
}
