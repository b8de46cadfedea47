//! Administrators through the HTTPS endpoint: sign-in requires both proofs, and each role permits what it should.

use crate::common::Service;
use crossrealm_api::{
    AdministratorCreate, AdministratorQuery, Client, ClientError, Code, EnrolmentBegin,
    EnrolmentFinish, EventQuery, SecretText, Session, SignIn, TenantCreate, UserCreate,
};
use crossrealm_directory::{Directory, InstallationNames, MasterKey};
use crossrealm_testkit::authenticator::Authenticator;
use crossrealm_types::{AdministratorRole, EventOutcome, StorageAccountCreate};
use std::net::{IpAddr, Ipv4Addr};

const PASSWORD: &str = "correct horse battery";

fn secret(text: impl Into<String>) -> SecretText {
    SecretText::new(text)
}

fn code_of<T: std::fmt::Debug>(answer: Result<T, ClientError>) -> (u16, Code) {
    match answer {
        Err(ClientError::Refused(refusal)) => (refusal.status, refusal.code),
        other => panic!("{other:?}"),
    }
}

async fn enrolled(
    service: &Service,
    by: &Client,
    upn: &str,
    role: AdministratorRole,
    tenant: Option<&str>,
) -> (Authenticator, Session) {
    let wanted = AdministratorCreate {
        upn: upn.into(),
        role,
        tenant: tenant.map(Into::into),
    };
    let made = by.create_administrator(&wanted).await.unwrap();
    let anybody = service.client_without_token();
    let begin = EnrolmentBegin {
        tenant: tenant.map(Into::into),
        upn: upn.into(),
        enrolment_code: made.enrolment_code.clone(),
    };
    let begun = anybody.begin_enrolment(&begin).await.unwrap();
    let app = Authenticator::new(begun.otpauth_uri.expose());
    let finish = EnrolmentFinish {
        tenant: tenant.map(Into::into),
        upn: upn.into(),
        enrolment_code: made.enrolment_code,
        password: secret(PASSWORD),
        code: secret(app.code(-1)),
    };
    let session = anybody.finish_enrolment(&finish).await.unwrap();
    assert_eq!((session.upn.as_str(), session.role), (upn, role));
    (app, session)
}

fn of(tenant: Option<&str>) -> AdministratorQuery {
    AdministratorQuery {
        tenant: tenant.map(Into::into),
    }
}

fn sign_in_as(upn: &str, password: &str, code: String) -> SignIn {
    SignIn {
        tenant: None,
        upn: upn.into(),
        password: secret(password),
        code: secret(code),
    }
}

#[tokio::test]
async fn sign_in_needs_password_and_code() {
    let service = Service::start().await;
    let upn = "ada@contoso.com";
    let (app, session) = enrolled(
        &service,
        &service.admin,
        upn,
        AdministratorRole::GlobalAdministrator,
        None,
    )
    .await;
    let ada = service.client(&session.token);
    assert_eq!(ada.whoami().await.unwrap().name, upn);
    let anybody = service.client_without_token();
    let refused = (401, Code::SignInRefused);
    for (password, code) in [
        (PASSWORD, String::new()),
        (PASSWORD, "000000".into()),
        ("", app.code(0)),
        ("wrong horse battery", app.code(0)),
    ] {
        let code = if code == "000000" {
            app.wrong_code()
        } else {
            code
        };
        assert_eq!(
            code_of(anybody.sign_in(&sign_in_as(upn, password, code)).await),
            refused
        );
    }
    // A password or a one-time code is not a token.
    for token in [
        PASSWORD.to_owned(),
        app.code(0),
        format!("{upn}:{PASSWORD}"),
    ] {
        let client = service.client(&secret(token));
        assert_eq!(
            code_of(client.tenants().await),
            (401, Code::Unauthenticated)
        );
    }
    assert_eq!(
        code_of(anybody.tenants().await),
        (401, Code::Unauthenticated)
    );
    let again = anybody
        .sign_in(&sign_in_as(upn, PASSWORD, app.code(0)))
        .await
        .unwrap();
    let ada = service.client(&again.token);
    ada.tenants().await.unwrap();
    // Signing out revokes the session at once.
    ada.sign_out().await.unwrap();
    assert_eq!(code_of(ada.tenants().await), (401, Code::Unauthenticated));
}

#[tokio::test]
async fn too_many_failures_lock_the_account_until_it_is_reset() {
    let service = Service::start().await;
    let upn = "ada@contoso.com";
    let (app, session) = enrolled(
        &service,
        &service.admin,
        upn,
        AdministratorRole::GlobalAdministrator,
        None,
    )
    .await;
    let anybody = service.client_without_token();
    let mut codes = Vec::new();
    for _ in 0..6 {
        let wrong = sign_in_as(upn, "wrong horse battery", app.wrong_code());
        codes.push(code_of(anybody.sign_in(&wrong).await));
    }
    assert_eq!(codes[..5], [(401, Code::SignInRefused); 5]);
    assert_eq!(codes[5], (429, Code::SignInLocked));
    let right = sign_in_as(upn, PASSWORD, app.code(0));
    assert_eq!(
        code_of(anybody.sign_in(&right).await),
        (429, Code::SignInLocked)
    );
    // An existing session stays valid.
    service.client(&session.token).tenants().await.unwrap();
    service
        .admin
        .reset_administrator(upn, &of(None))
        .await
        .unwrap();
    let session = code_of(service.client(&session.token).tenants().await);
    assert_eq!(session, (401, Code::Unauthenticated));
    // The old password is refused, but compared, so that the time of the answer reveals nothing.
    let old = anybody
        .sign_in(&sign_in_as(upn, PASSWORD, app.code(1)))
        .await;
    assert_eq!(code_of(old), (401, Code::SignInRefused));
    // The events name the actor and the reason, for those who may read the installation's events.
    let events = service
        .admin
        .installation_events(&EventQuery::default())
        .await
        .unwrap();
    let refused: Vec<_> = events
        .iter()
        .filter(|e| e.action == "admin.sign-in")
        .collect();
    assert_eq!(refused.len(), 6, "{events:?}");
    assert!(
        refused
            .iter()
            .all(|e| e.outcome == EventOutcome::Refused && e.target == upn && e.address.is_some())
    );
    for action in [
        "admin.create",
        "admin.enrol-begin",
        "admin.enrol",
        "admin.reset",
    ] {
        assert!(events.iter().any(|e| e.action == action), "{action}");
    }
}

/// S15: the file that `init` leaves behind is not a key for ever, unless it has done what it is for.
#[tokio::test]
async fn the_first_token_expires_unless_it_creates_an_administrator() {
    let service = Service::start().await;
    let key = MasterKey::load(&service.path("master.key")).unwrap();
    let store = format!("sqlite:{}", service.path("crossrealm.db").display());
    let names = InstallationNames::new("cloud.example", "login.cloud.example");
    let directory = Directory::open(&store, key, names).await.unwrap();
    let life = async || {
        let tokens = directory.tokens(None).await.unwrap();
        let first = tokens.iter().find(|token| token.name == "bootstrap");
        let first = first.unwrap();
        first.expires_at.map(|end| end - first.created_at)
    };
    let seconds = life().await.unwrap();
    assert!((72 * 3600 - 60..=72 * 3600).contains(&seconds), "{seconds}");
    let wanted = AdministratorCreate {
        upn: "ada@contoso.com".into(),
        role: AdministratorRole::GlobalAdministrator,
        tenant: None,
    };
    service.admin.create_administrator(&wanted).await.unwrap();
    assert_eq!(life().await, None);
    service.admin.whoami().await.unwrap();
}

/// S7: `admin recover` works beside the running service, and needs the machine's master key.
#[tokio::test]
async fn whoever_holds_the_machine_recovers_an_administrator() {
    let service = Service::start().await;
    let upn = "ada@contoso.com";
    let config = service.path("crossrealm.toml");
    let recovered = crossrealm_cloud::recover(&config, upn).await.unwrap();
    let begin = EnrolmentBegin {
        tenant: None,
        upn: upn.into(),
        enrolment_code: secret(recovered.enrolment_code.as_str()),
    };
    let begun = service.client_without_token().begin_enrolment(&begin).await;
    assert!(begun.is_ok(), "{begun:?}");
    std::fs::remove_file(service.path("master.key")).unwrap();
    let refused = crossrealm_cloud::recover(&config, upn).await.err().unwrap();
    assert!(refused.to_string().contains("master key"), "{refused}");
}

#[tokio::test]
async fn each_role_may_do_its_own() {
    let service = Service::start().await;
    service.contoso().await;
    let account = |name: &str| StorageAccountCreate {
        name: name.into(),
        aliases: vec![],
    };
    let user = |upn: &str| UserCreate {
        upn: upn.into(),
        display_name: String::new(),
    };
    let tenant = |name: &str| TenantCreate {
        name: name.into(),
        ..TenantCreate::default()
    };
    let administrator = AdministratorCreate {
        upn: "z@contoso.com".into(),
        role: AdministratorRole::Reader,
        tenant: None,
    };
    // The role, whether it is confined to contoso; then whether it may create storage accounts, users, tenants,
    // administrators.
    let roles = [
        (
            AdministratorRole::GlobalAdministrator,
            false,
            [true, true, true, true],
        ),
        (
            AdministratorRole::GlobalAdministrator,
            true,
            [true, true, false, true],
        ),
        (
            AdministratorRole::HybridIdentityAdministrator,
            false,
            [false, true, false, false],
        ),
        (
            AdministratorRole::StorageAdministrator,
            true,
            [true, false, false, false],
        ),
        (
            AdministratorRole::Reader,
            false,
            [false, false, false, false],
        ),
    ];
    for (number, (role, confined, may)) in roles.into_iter().enumerate() {
        let upn = format!("admin{number}@contoso.com");
        let only = confined.then_some("contoso");
        let (_, session) = enrolled(&service, &service.admin, &upn, role, only).await;
        assert_eq!(session.tenant.is_some(), confined);
        let client = service.client(&session.token);
        assert_eq!(client.tenants().await.unwrap().len(), 1, "{role}");
        let made = [
            client
                .create_storage_account("contoso", &account(&format!("acct{number}")))
                .await
                .map(drop),
            client
                .create_user(
                    "contoso",
                    &user(&format!("u{number}@contoso.cloud.example")),
                )
                .await
                .map(drop),
            client
                .create_tenant(&tenant(&format!("tenant{number}")))
                .await
                .map(drop),
            client.create_administrator(&administrator).await.map(drop),
        ];
        for (what, (made, may)) in made.into_iter().zip(may).enumerate() {
            match may {
                true => made.unwrap_or_else(|error| panic!("{role} {what}: {error}")),
                false => assert_eq!(code_of(made), (403, Code::Forbidden), "{role} {what}"),
            }
        }
        if may[3] {
            let shown = service.admin.administrators().await.unwrap();
            let made = shown.iter().find(|a| a.upn == administrator.upn).unwrap();
            // An administrator of one tenant creates administrators of that tenant only.
            assert_eq!(made.tenant, session.tenant);
            client
                .remove_administrator(&administrator.upn, &of(None))
                .await
                .unwrap();
            assert_eq!(
                client
                    .administrators()
                    .await
                    .unwrap()
                    .iter()
                    .any(|a| a.tenant.is_none()),
                !confined
            );
        }
        if may[2] {
            service
                .admin
                .delete_tenant(&format!("tenant{number}"))
                .await
                .unwrap();
        }
    }
    // An administrator of one tenant has no access to another.
    let (_, session) = enrolled(
        &service,
        &service.admin,
        "own@contoso.com",
        AdministratorRole::GlobalAdministrator,
        Some("contoso"),
    )
    .await;
    let own = service.client(&session.token);
    service
        .admin
        .create_tenant(&tenant("second"))
        .await
        .unwrap();
    let elsewhere = AdministratorCreate {
        tenant: Some("second".into()),
        ..administrator
    };
    assert_eq!(
        code_of(own.create_administrator(&elsewhere).await),
        (404, Code::TenantNotFound)
    );
    assert_eq!(
        code_of(
            own.reset_administrator("admin0@contoso.com", &of(None))
                .await
        ),
        (404, Code::AdministratorNotFound)
    );
    assert_eq!(
        code_of(own.installation_events(&EventQuery::default()).await),
        (403, Code::Forbidden)
    );
}

#[tokio::test]
async fn the_bootstrap_token_can_be_revoked_once_an_administrator_is_enrolled() {
    let service = Service::start().await;
    assert_eq!(
        code_of(service.admin.sign_out().await),
        (409, Code::LastAdministrator)
    );
    let (_, session) = enrolled(
        &service,
        &service.admin,
        "ada@contoso.com",
        AdministratorRole::GlobalAdministrator,
        None,
    )
    .await;
    service.admin.sign_out().await.unwrap();
    assert_eq!(
        code_of(service.admin.tenants().await),
        (401, Code::Unauthenticated)
    );
    let ada = service.client(&session.token);
    ada.tenants().await.unwrap();
    assert_eq!(
        code_of(ada.remove_administrator("ada@contoso.com", &of(None)).await),
        (409, Code::LastAdministrator)
    );
}

#[tokio::test]
async fn requests_without_a_token_are_bounded_in_size() {
    let service = Service::start().await;
    let post = |path: &str, body: String| {
        format!(
            "POST /api/v1/{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let other = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 9));
    let long = "x".repeat(2_500);
    for (path, body, status) in [
        ("sign-in", "{}".into(), 400),
        ("sign-in", " ".repeat(8 * 1024 + 1), 413),
        (
            "sign-in",
            format!(r#"{{"upn":"{long}@x","password":"{long}","code":"{long}"}}"#),
            401,
        ),
        (
            "sign-in",
            r#"{"upn":"\u0000\n@x","password":"\u0000","code":"\u0663"}"#.into(),
            401,
        ),
        (
            "sign-in/enrolment",
            r#"{"upn":"a@b","enrolment_code":""}"#.into(),
            401,
        ),
        (
            "sign-in/enrolment/finish",
            r#"{"upn":"a@b","enrolment_code":"","password":"short","code":""}"#.into(),
            400,
        ),
    ] {
        let body: String = body;
        let answer = service
            .exchange_from(other, post(path, body).as_bytes())
            .await;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
    }
    service.contoso().await;
    service.still_serves().await;
}
