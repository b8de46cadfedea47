//! What `crossrealm serve` logs of requests that leave no event.

use crate::common::{Cloud, until};
use std::fs;

/// F4: a request to the KDC proxy that is refused before it is read leaves a line with the reason, so that a client that nobody
/// tried here is no riddle; one kind of refusal hides no other.
#[test]
fn f4_a_refused_request_to_the_kdc_proxy_leaves_a_line() {
    let cloud = Cloud::start();
    let body = cloud.path("body");
    fs::write(&body, vec![b'x'; 200 * 1024]).unwrap();
    let at = |tenant: &str, options: &[&str]| {
        let sent = crossrealm_programs::command("curl")
            .args([
                "--disable",
                "--silent",
                "--http1.1",
                "--output",
                "/dev/null",
            ])
            .args(["--write-out", "%{http_code}", "--cacert"])
            .arg(cloud.path("tls/ca.pem"))
            .args(options)
            .arg(format!("{}/{tenant}/kerberos", cloud.url()))
            .output()
            .unwrap();
        String::from_utf8(sent.stdout).unwrap()
    };
    let data = format!("@{}", body.display());
    let log = || fs::read_to_string(cloud.path("log")).unwrap();
    let contoso = "contoso.cloud.example";
    let chunked: &[&str] = &[
        "--header",
        "Transfer-Encoding: chunked",
        "--data-binary",
        "x",
    ];
    for (tenant, options, status, text) in [
        (contoso, chunked, "411", "a Content-Length is needed"),
        (
            contoso,
            &["--data-binary", &data],
            "413",
            "larger than 128 KiB",
        ),
        (
            "nobody.cloud.example",
            &["--data-binary", "x"],
            "404",
            "there is no such tenant",
        ),
        (contoso, &[], "405", "only POST is answered here"),
    ] {
        let lines = |log: String| {
            let lines = log.lines().map(str::to_owned);
            lines.filter(|line| line.contains(text)).collect::<Vec<_>>()
        };
        assert!(lines(log()).is_empty(), "{status}");
        assert_eq!(at(tenant, options), status);
        until(text, || !lines(log()).is_empty());
        let line = lines(log()).remove(0);
        for part in [" INFO ", status, tenant, "127.0.0.1", "count=1"] {
            assert!(line.contains(part), "`{part}`: {line}");
        }
    }
}
