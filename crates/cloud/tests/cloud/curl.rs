//! curl as Debian ships it: a client that nobody here wrote, over every version of HTTP.

use crate::common::{Service, as_req, envelope, says_where_to_sign_in};
use crossrealm_krb::kkdcp;
use std::path::Path;

/// What curl made of an answer.
#[derive(Debug, PartialEq, Eq)]
struct Answered {
    exit: Option<i32>,
    /// The status and the version of HTTP.
    head: String,
}

/// Posts the content of a file; the body of the answer is in `answer` beside it.
fn post(service: &Service, options: &[&str], path: &str, file: &Path) -> Answered {
    let port = service.address.port();
    let output = crossrealm_programs::command("curl")
        .args(["--disable", "--silent", "--show-error", "--noproxy", "*"])
        .args(["--write-out", "%{http_code} %{http_version}"])
        .args(options)
        .arg("--resolve")
        .arg(format!("login.cloud.example:{port}:127.0.0.1"))
        .arg("--cacert")
        .arg(service.path("tls/ca.pem"))
        .arg("--output")
        .arg(file.with_file_name("answer"))
        .arg("--data-binary")
        .arg(format!("@{}", file.display()))
        .arg(format!("https://login.cloud.example:{port}{path}"))
        .output()
        .unwrap();
    Answered {
        exit: output.status.code(),
        head: String::from_utf8(output.stdout).unwrap(),
    }
}

/// F9: a refusal that is sent before the body was read is not lost, however often: curl sees the status, and no reset.
#[tokio::test(flavor = "multi_thread")]
async fn f9_curl_gets_every_refusal_over_http_2() {
    let service = Service::start().await;
    service.contoso().await;
    let folder = tempfile::tempdir().unwrap();
    let body = folder.path().join("body");
    std::fs::write(&body, vec![b'x'; 64 * 1024]).unwrap();
    for round in 0..60 {
        for (path, head) in [
            ("/nobody.cloud.example/kerberos", "404 2"),
            ("/api/v1/tenants", "401 2"),
        ] {
            let answered = post(&service, &["--http2"], path, &body);
            let expected = Answered {
                exit: Some(0),
                head: head.to_owned(),
            };
            assert_eq!(answered, expected, "{path}, round {round}");
        }
    }
}

/// F4: a good request is answered over every version of HTTP.
#[tokio::test(flavor = "multi_thread")]
async fn f4_curl_is_answered_over_every_version_of_http() {
    let service = Service::start().await;
    service.contoso().await;
    let folder = tempfile::tempdir().unwrap();
    let body = folder.path().join("body");
    std::fs::write(&body, envelope(&as_req())).unwrap();
    for (option, versions) in [
        ("--http1.0", &["1.0", "1", "1.1"][..]),
        ("--http1.1", &["1.1"]),
        ("--http2", &["2"]),
    ] {
        let answered = post(
            &service,
            &[option],
            "/contoso.cloud.example/kerberos",
            &body,
        );
        assert_eq!(answered.exit, Some(0), "{option}: {answered:?}");
        let (status, version) = answered.head.split_once(' ').unwrap();
        assert_eq!(status, "200", "{option}");
        assert!(versions.contains(&version), "{option}: {answered:?}");
        let reply = std::fs::read(folder.path().join("answer")).unwrap();
        says_where_to_sign_in(&kkdcp::open_reply(&reply).unwrap());
    }
}
