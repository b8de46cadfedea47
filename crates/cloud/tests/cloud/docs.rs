//! The documentation beside the API and the KDC proxy.

use crate::common::Service;
use std::fs;

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.0\r\nHost: login.cloud.example\r\n\r\n").into_bytes()
}

#[tokio::test]
async fn pages_are_served_under_a_strict_policy() {
    let site = tempfile::tempdir().unwrap();
    let page = "<!doctype html><title>Crossrealm</title>";
    fs::write(site.path().join("index.html"), page).unwrap();
    fs::write(site.path().join("style.css"), "body{}").unwrap();
    let service = Service::start_with(|config| config.docs = site.path().to_owned()).await;

    let first = service.exchange(&get("/docs/")).await;
    assert_eq!((first.status, &first.body[..]), (200, page.as_bytes()));
    let head = first.head.to_lowercase();
    for line in [
        "content-type: text/html; charset=utf-8",
        "content-security-policy: default-src 'none'; style-src 'self';",
        "x-content-type-options: nosniff",
        "referrer-policy: no-referrer",
        "x-request-id: ",
    ] {
        assert!(head.contains(line), "{line}: {head}");
    }
    let style = service.exchange(&get("/docs/style.css")).await;
    assert!(style.head.to_lowercase().contains("content-type: text/css"));
    let asked = String::from_utf8(get("/docs/")).unwrap();
    let head = service
        .exchange(asked.replace("GET", "HEAD").as_bytes())
        .await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    let length = format!("content-length: {}", page.len());
    assert!(head.head.to_lowercase().contains(&length), "{head:?}");

    let moved = service.exchange(&get("/docs")).await;
    assert_eq!(moved.status, 308);
    assert!(moved.head.to_lowercase().contains("location: /docs/"));
    for path in [
        "/docs/none.html",
        "/docs/../crossrealm.toml",
        "/docs/%2e%2e/master.key",
    ] {
        let answer = service.exchange(&get(path)).await;
        assert_eq!(answer.status, 404, "{path}");
    }
    // A tenant of that name keeps its KDC proxy.
    let proxy = service.exchange(&get("/docs/kerberos")).await;
    assert_eq!(proxy.status, 405, "{proxy:?}");
    service.end().await;
}

#[tokio::test]
async fn without_the_pages_there_is_nothing_at_the_address() {
    let empty = tempfile::tempdir().unwrap();
    let service = Service::start_with(|config| config.docs = empty.path().to_owned()).await;
    for path in ["/docs", "/docs/", "/docs/index.html"] {
        assert_eq!(service.exchange(&get(path)).await.status, 404, "{path}");
    }
    service.end().await;
}
