//! Secrets of every kind pass through the service, and none appears in the log at any level. A binary of its own: a process
//! has one global subscriber, and this one must see everything.

#[path = "cloud/common/mod.rs"]
mod common;

use crate::common::Service;
use crate::common::trusted::{ask, honest, sync_alice, world};
use crossrealm_api::{
    AdministratorCreate, Base64Secret, EnrolmentBegin, EnrolmentFinish, SecretText, SignIn,
};
use crossrealm_krb::crypto::Enctype;
use crossrealm_krb::keytab::Keytab;
use crossrealm_krb::messages::{TgsRep, decode};
use crossrealm_testkit::trusted_tenant::{self, DOMAIN};
use crossrealm_types::{AdministratorRole, IdentityState};
use std::sync::{Arc, Mutex};

/// Captures the log at every level from now on.
fn log_everything() -> Arc<Mutex<Vec<u8>>> {
    #[derive(Clone)]
    struct Sink(Arc<Mutex<Vec<u8>>>);
    impl std::io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let log = Arc::new(Mutex::new(Vec::new()));
    let sink = Sink(log.clone());
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || sink.clone())
        .init();
    log
}

/// The forms in which bytes could appear in a log: raw, hexadecimal, Base64, a list of numbers.
fn forms(secret: &[u8]) -> Vec<Vec<u8>> {
    let hex: String = secret.iter().map(|b| format!("{b:02x}")).collect();
    let list = format!("{secret:?}");
    let base64 = Base64Secret::new(secret.to_vec());
    let base64 = serde_json::to_string(&base64).unwrap();
    let texts = [
        hex.to_uppercase(),
        hex,
        list.trim_matches(['[', ']']).to_owned(),
        base64.trim_matches(['"', '=']).to_owned(),
    ];
    let texts = texts.into_iter().map(String::into_bytes);
    texts.chain([secret.to_vec()]).collect()
}

/// Enrols an administrator who then signs in, first with a wrong password. Returns the secrets of that.
async fn sign_in_secrets(service: &Service) -> Vec<(&'static str, Vec<u8>)> {
    let (upn, password) = ("ada@contoso.com", "correct horse battery");
    let wanted = AdministratorCreate {
        upn: upn.into(),
        role: AdministratorRole::GlobalAdministrator,
        tenant: None,
    };
    let made = service.admin.create_administrator(&wanted).await.unwrap();
    let begin = EnrolmentBegin {
        tenant: None,
        upn: upn.into(),
        enrolment_code: made.enrolment_code.clone(),
    };
    let anybody = service.client_without_token();
    let begun = anybody.begin_enrolment(&begin).await.unwrap();
    let uri = begun.otpauth_uri.expose();
    let app = crossrealm_testkit::authenticator::Authenticator::new(uri);
    let finish = EnrolmentFinish {
        tenant: None,
        upn: upn.into(),
        enrolment_code: made.enrolment_code.clone(),
        password: SecretText::new(password),
        code: SecretText::new(app.code(-1)),
    };
    anybody.finish_enrolment(&finish).await.unwrap();
    let sign_in = |text: &str, code: String| SignIn {
        tenant: None,
        upn: upn.into(),
        password: SecretText::new(text),
        code: SecretText::new(code),
    };
    let wrong = sign_in("nearly the password", app.wrong_code());
    anybody.sign_in(&wrong).await.unwrap_err();
    let right = sign_in(password, app.code(0));
    let session = anybody.sign_in(&right).await.unwrap();
    let base32 = uri.split_once("secret=").unwrap().1.split('&').next();
    vec![
        ("enrolment code", made.enrolment_code.expose().into()),
        ("password", password.into()),
        ("wrong password", b"nearly the password".to_vec()),
        ("session", session.token.expose().into()),
        ("authenticator", base32.unwrap().into()),
        ("authenticator", app.secret().to_vec()),
    ]
}

#[tokio::test]
async fn no_secret_is_logged_at_any_level() {
    let log = log_everything();
    let service = Service::start().await;
    let mut world = world(&service).await;
    sync_alice(&service, &world, IdentityState::Enabled).await;
    let message = honest(&mut world);
    let reply = ask(&service, "contoso.cloud.example", &message).await;
    assert!(decode::<TgsRep>(&reply).is_ok());
    let mut forged = world.referral();
    forged.ticket_key = world.ad_krbtgt.clone();
    let (forged, asked) = (world.encrypt_referral(forged), world.request_draft());
    let message = world.request(forged, asked);
    ask(&service, "contoso.cloud.example", &message).await;
    let keytab = service
        .admin
        .storage_account_keytab("contoso", "acct1")
        .await
        .unwrap();
    let keys = Keytab::from_bytes(keytab.keytab.expose()).unwrap();
    let prepare = trusted_tenant::prepare_trust(&world);
    let prepared = service.admin.prepare_trust("contoso", DOMAIN, &prepare);
    let password = prepared.await.unwrap().secret.expose().to_owned();
    let derived = trusted_tenant::trust_key(&password, Enctype::Aes128Sha1);

    let file = |name: &str| std::fs::read(service.path(name)).unwrap();
    let mut secrets = vec![
        ("token", file("admin.token").trim_ascii().to_vec()),
        ("master key", file("master.key").trim_ascii().to_vec()),
        ("trust password", password.into_bytes()),
        ("trust key", world.trust_key.as_bytes().to_vec()),
        ("trust key", derived.as_bytes().to_vec()),
        ("session key", world.session_key().as_bytes().to_vec()),
        ("subkey", world.subkey().as_bytes().to_vec()),
    ];
    for entry in &keys.entries {
        secrets.push(("service key", entry.key.as_bytes().to_vec()));
    }
    secrets.extend(sign_in_secrets(&service).await);
    service.end().await;
    let log = log.lock().unwrap();
    // The log must have been captured at all.
    let has = |needle: &[u8]| log.windows(needle.len()).any(|w| w == needle);
    assert!(log.len() > 10_000 && has(b"TRACE") && has(b"ticket request"));
    for (name, secret) in secrets {
        for form in forms(&secret) {
            assert!(!has(&form), "the {name} is in the log");
        }
    }
}
