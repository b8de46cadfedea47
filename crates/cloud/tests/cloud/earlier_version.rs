//! An installation of version 0.1.0 is served with everything that it holds: see `installation-0.1.0/README.md`.

use crate::common::Service;
use crate::common::trusted::{ask, honest, refusal};
use crossrealm_api::{HostStateAnswer, SecretText, SignIn};
use crossrealm_krb::crypto::Enctype;
use crossrealm_krb::messages::{TgsRep, decode};
use crossrealm_testkit::authenticator::Authenticator;
use crossrealm_testkit::trusted_tenant;
use crossrealm_testkit::two_realms::TwoRealms;
use crossrealm_types::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

/// Fields that are texts for people, which may be reworded, or that depend on the time.
const NOT_COMPARED: [&str; 4] = ["hint", "reason_text", "silent", "up_to_date"];

fn installation(file: &str) -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.join("tests/installation-0.1.0").join(file)
}

fn json(file: &str) -> Value {
    serde_json::from_slice(&std::fs::read(installation(file)).unwrap()).unwrap()
}

/// Serves a copy of the installation, so that the repository's files stay unchanged.
async fn serve_copy() -> Service {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("tls")).unwrap();
    for file in [
        "crossrealm.toml",
        "crossrealm.db",
        "master.key",
        "admin.token",
        "tls/ca.key",
        "tls/ca.pem",
        "tls/login.key",
        "tls/login.pem",
    ] {
        let copy = folder.path().join(file);
        std::fs::copy(installation(file), &copy).unwrap();
        // A checkout does not keep modes, and the service refuses secrets that others may read.
        std::fs::set_permissions(&copy, Permissions::from_mode(0o600)).unwrap();
    }
    Service::serve(folder, |_| {}).await
}

/// A response without those fields, and without keys that may have been retired since.
fn comparable(value: Value) -> Value {
    let retires = |item: &Value| item.get("retires_at").is_some_and(|at| !at.is_null());
    match value {
        Value::Object(fields) => {
            let kept = fields
                .into_iter()
                .filter(|(name, _)| !NOT_COMPARED.contains(&name.as_str()));
            Value::Object(kept.map(comparable_field).collect())
        }
        Value::Array(items) => {
            let kept = items.into_iter().filter(|item| !retires(item));
            Value::Array(kept.map(comparable).collect())
        }
        other => other,
    }
}

/// F18: times that version 0.1.0 wrote as numbers, in seconds or in milliseconds, are those of now.
fn comparable_field((name, value): (String, Value)) -> (String, Value) {
    let text = |at: Timestamp| Value::String(at.to_string());
    match value.as_i64() {
        Some(ms) if name == "at_ms" => ("at".to_owned(), text(Timestamp::from_unix_ms(ms))),
        Some(at) if name.ends_with("_at") => (name, text(Timestamp::from_unix(at))),
        _ => (name, comparable(value)),
    }
}

#[tokio::test]
async fn the_api_of_an_upgraded_installation_answers_as_before() {
    let service = serve_copy().await;
    let token = std::fs::read_to_string(service.path("admin.token")).unwrap();
    let recorded: BTreeMap<String, Value> = serde_json::from_value(json("answers.json")).unwrap();
    let paths = recorded
        .iter()
        .filter(|(path, _)| !path.starts_with("keytab "));
    for (path, expected) in paths {
        let request = format!(
            "GET /api/v1/{path} HTTP/1.0\r\nHost: login.cloud.example\r\nAuthorization: Bearer {}\r\n\r\n",
            token.trim()
        );
        let answer = service.exchange(request.as_bytes()).await;
        let mut body = comparable(serde_json::from_slice(&answer.body).unwrap());
        let expected = comparable(expected.clone());
        if path.ends_with("events") {
            // The keytabs were exported after the events had been recorded, and each export is an event.
            let recorded = expected["body"]["items"].as_array().unwrap().len();
            body["items"].as_array_mut().unwrap().truncate(recorded);
        }
        let answer = serde_json::json!({"status": answer.status, "body": body});
        assert_eq!(answer, expected, "{path}");
    }
    let keytab = service
        .admin
        .storage_account_keytab("contoso", "acct1")
        .await
        .unwrap();
    let keytab = serde_json::to_value(&keytab).unwrap();
    assert_eq!(keytab, recorded["keytab acct1"]);
    service.end().await;
}

#[tokio::test]
async fn credentials_and_trust_keys_of_an_upgraded_installation_work() {
    let service = serve_copy().await;
    let secrets = json("secrets.json");
    let secret = |name: &str| secrets[name].as_str().unwrap().to_owned();

    let mut world = TwoRealms::new();
    world.now = trusted_tenant::now();
    for password in ["trust_password", "pending_trust_password"] {
        world.trust_key = trusted_tenant::trust_key(&secret(password), Enctype::Aes256Sha1);
        let message = honest(&mut world);
        let reply = ask(&service, "contoso.cloud.example", &message).await;
        decode::<TgsRep>(&reply).unwrap_or_else(|_| panic!("{password}: {}", refusal(&reply)));
    }

    let connector = service.client(&SecretText::new(secret("connector")));
    let state = connector.sync_state("contoso", "corp.contoso.com").await;
    assert!(state.is_ok(), "{state:?}");
    let host = service.client(&SecretText::new(secret("host")));
    let state = host.host_state("contoso", "acct1", None, 0).await.unwrap();
    assert!(matches!(state, HostStateAnswer::State { .. }));

    let sign_in = SignIn {
        tenant: None,
        upn: "admin@contoso.com".into(),
        password: SecretText::new(secret("password")),
        code: SecretText::new(Authenticator::new(&secret("otpauth_uri")).code(0)),
    };
    let session = service
        .client_without_token()
        .sign_in(&sign_in)
        .await
        .unwrap();
    assert!(service.client(&session.token).whoami().await.is_ok());
    service.end().await;
}
