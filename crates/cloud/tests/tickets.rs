//! A ticket through the real endpoint: a referral that AD could have issued, a directory filled through the API, a service
//! ticket that opens with the exported keytab; and refusals that leave an event.

mod common;

use common::Service;
use common::trusted::{ask, event_of, honest, refusal, sync_alice, world};
use crossrealm_api::{
    AdministratorCreate, Base64Secret, EnrolmentBegin, EnrolmentFinish, EventQuery, IdentityState,
    Role, SecretText, SignIn, UserCreate,
};
use crossrealm_krb::crypto::{Enctype, Key};
use crossrealm_krb::keytab::Keytab;
use crossrealm_krb::kkdcp;
use crossrealm_krb::messages::{EncTicketPart, TgsRep, decode, key_usage};
use crossrealm_krb::principal::Principal;
use crossrealm_testkit::trusted_tenant::{self, DOMAIN};
use crossrealm_testkit::two_realms::{AD_REALM, SHARE_HOST, TENANT_REALM};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

#[tokio::test]
async fn alice_gets_a_ticket_that_the_keytab_opens() {
    let service = Service::start().await;
    let mut world = world(&service).await;
    world.identities[0].upn = "alice.mueller@contoso.com".into();
    sync_alice(&service, &world, IdentityState::Enabled).await;
    let message = honest(&mut world);
    let reply = ask(&service, "contoso.cloud.example", &message).await;
    let TgsRep(reply) = decode(&reply).unwrap_or_else(|_| panic!("{}", refusal(&reply)));

    let keytab = service
        .admin
        .storage_account_keytab("contoso", "acct1")
        .await
        .unwrap();
    let keytab = Keytab::from_bytes(keytab.keytab.expose()).unwrap();
    let name = format!("cifs/{SHARE_HOST}");
    let principal = Principal::parse(&name, Some(TENANT_REALM)).unwrap();
    let kvno = reply.ticket.enc_part.kvno().unwrap();
    let entries = keytab.keys_of(&principal);
    let entry = entries.iter().find(|e| e.kvno == kvno).unwrap();
    let plain = reply
        .ticket
        .enc_part
        .decrypt(&entry.key, key_usage::TICKET)
        .unwrap();
    let inside: EncTicketPart = decode(&plain).unwrap();
    assert_eq!((kvno, inside.crealm.as_str()), (1, AD_REALM));

    let event = event_of(&service, "").await;
    assert_eq!(event.actor, format!("alice@{AD_REALM}"));
    assert_eq!(event.target, name);
    let upn = &world.identities[0].upn;
    assert_eq!(&event.user, upn);
    for user in [upn.as_str(), "alice", &world.identities[0].sid.to_string()] {
        let query = EventQuery {
            user: Some(user.into()),
            ..EventQuery::default()
        };
        let events = service.admin.events("contoso", &query).await.unwrap();
        assert!(events.contains(&event), "{user}: {events:?}");
    }
    let deadline = Instant::now() + Duration::from_secs(60);
    while service.admin.trust("contoso", DOMAIN).await.unwrap().keys[0]
        .last_seen_at
        .is_none()
    {
        assert!(Instant::now() < deadline, "the trust key was not seen");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn who_may_not_is_refused_with_a_reason_and_an_event() {
    let service = Service::start().await;
    let mut world = world(&service).await;
    let stranger = honest(&mut world);
    let reply = ask(&service, "contoso.cloud.example", &stranger).await;
    assert!(refusal(&reply).contains("identity-not-synced"));

    // Somebody who exists only in the tenant has a SID that no AD vouches for.
    let carol = UserCreate {
        upn: "alice@contoso.cloud.example".into(),
        display_name: String::new(),
    };
    service.admin.create_user("contoso", &carol).await.unwrap();
    let again = honest(&mut world);
    let reply = ask(&service, "contoso.cloud.example", &again).await;
    assert!(refusal(&reply).contains("identity-not-synced"));

    sync_alice(&service, &world, IdentityState::Disabled).await;
    let disabled = honest(&mut world);
    let reply = ask(&service, "contoso.cloud.example", &disabled).await;
    let text = refusal(&reply);
    assert!(text.contains("identity-disabled"), "{text}");
    let event = event_of(&service, "identity-disabled").await;
    assert!(text.contains(&event.id.unwrap()), "{text}");
    assert!(event.hint.is_some() && event.reason_text.is_some());

    sync_alice(&service, &world, IdentityState::Enabled).await;
    let mut forged = world.referral();
    forged.ticket_key = Key::new(Enctype::Aes256Sha1, &[9; 32]).unwrap();
    let ticket = world.encrypt_referral(forged);
    let wanted = world.request_draft();
    let message = world.request(ticket, wanted);
    let reply = ask(&service, "contoso.cloud.example", &message).await;
    assert!(refusal(&reply).contains("ticket-integrity"));

    let mut unknown = world.request_draft();
    unknown.body.sname.as_mut().unwrap().components[1] = "acct9.file.contoso.cloud.example".into();
    let ticket = world.encrypt_referral(world.referral());
    let message = world.request(ticket, unknown);
    let reply = ask(&service, "contoso.cloud.example", &message).await;
    assert!(refusal(&reply).contains("service-unknown"));

    let good = honest(&mut world);
    let reply = ask(&service, "contoso.cloud.example", &good).await;
    assert!(decode::<TgsRep>(&reply).is_ok());
}

#[tokio::test]
async fn a_referral_for_one_tenant_opens_nothing_at_another() {
    let service = Service::start().await;
    let mut world = world(&service).await;
    sync_alice(&service, &world, IdentityState::Enabled).await;
    let second = crossrealm_api::TenantCreate {
        name: "second".into(),
        ..Default::default()
    };
    service.admin.create_tenant(&second).await.unwrap();
    let message = honest(&mut world);
    // The envelope names no realm, so that the exchange itself has to see it.
    let mut body = kkdcp::wrap_reply(&message).unwrap();
    let answer = service.post("second.cloud.example", &body).await;
    assert_eq!(answer.status, 200);
    let reply = kkdcp::open_reply(&answer.body).unwrap();
    assert!(
        refusal(&reply).contains("wrong-realm"),
        "{}",
        refusal(&reply)
    );
    body = kkdcp::wrap_request(&message, TENANT_REALM).unwrap();
    assert_eq!(
        service.post("second.cloud.example", &body).await.status,
        404
    );
    let reply = ask(&service, "contoso.cloud.example", &message).await;
    assert!(decode::<TgsRep>(&reply).is_ok());
}

/// Everything that is logged from now on, at every level.
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

/// The ways in which bytes end up in a log: as they are, in hexadecimal, in Base64, as a list of numbers.
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

/// Enrols somebody, who then signs in wrongly and well; what nobody else may know of that.
async fn sign_in_secrets(service: &Service) -> Vec<(&'static str, Vec<u8>)> {
    let (upn, password) = ("ada@contoso.com", "correct horse battery");
    let wanted = AdministratorCreate {
        upn: upn.into(),
        role: Role::GlobalAdministrator,
        tenant: None,
    };
    let made = service.admin.create_administrator(&wanted).await.unwrap();
    let begin = EnrolmentBegin {
        upn: upn.into(),
        enrolment_code: made.enrolment_code.clone(),
    };
    let anybody = service.client_without_token();
    let begun = anybody.begin_enrolment(&begin).await.unwrap();
    let uri = begun.otpauth_uri.expose();
    let app = crossrealm_testkit::authenticator::Authenticator::new(uri);
    let finish = EnrolmentFinish {
        upn: upn.into(),
        enrolment_code: made.enrolment_code.clone(),
        password: SecretText::new(password),
        code: SecretText::new(app.code(-1)),
    };
    anybody.finish_enrolment(&finish).await.unwrap();
    let sign_in = |text: &str, code: String| SignIn {
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
    // A test that captured nothing would prove nothing.
    let has = |needle: &[u8]| log.windows(needle.len()).any(|w| w == needle);
    assert!(log.len() > 10_000 && has(b"TRACE") && has(b"ticket request"));
    for (name, secret) in secrets {
        for form in forms(&secret) {
            assert!(!has(&form), "the {name} is in the log");
        }
    }
}
