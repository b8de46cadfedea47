//! The REST API through the typed client: access, responses, and how soon an SMB host receives a change.

use crate::common::Service;
use crossrealm_api::{
    ApplyIdentities, Client, ClientError, Code, ConfirmTrust, ConnectorCreate, DefaultPermission,
    EventQuery, GrantCreate, HostStateAnswer, IdentityChange, PageQuery, RecordKerberosServer,
    RotateAccountKey, ServicePrincipalCreate, ShareAccessQuery, ShareCreate, StorageAccountDelete,
    SyncDomain, TokenKind, UserCreate,
};
use crossrealm_krb::keytab::Keytab;
use crossrealm_testkit::trusted_tenant::sync_run;
use crossrealm_types::{
    AdministratorRole, IdentityKind, IdentityState, KeySlot, PrepareTrust, ShareRole,
    StorageAccountCreate, SyncedIdentity, Timestamp, TrustKeyState, TrustState,
};
use std::time::{Duration, Instant};

const DOMAIN: &str = "corp.contoso.com";
const DOMAIN_SID: &str = "S-1-5-21-1111-2222-3333";
const ALICE: &str = "11111111-1111-1111-1111-111111111111";
const SALES: &str = "22222222-2222-2222-2222-222222222222";
const ALL_STAFF: &str = "33333333-3333-3333-3333-333333333333";

fn prepare() -> PrepareTrust {
    PrepareTrust {
        realm: "CORP.CONTOSO.COM".into(),
        flat_name: "CORP".into(),
        sid: DOMAIN_SID.parse().unwrap(),
        top_level_names: vec!["contoso.cloud.example".into()],
        rotate: false,
    }
}

fn synced(guid: &str, kind: IdentityKind, rid: u32, name: &str) -> SyncedIdentity {
    let is_user = kind == IdentityKind::User;
    SyncedIdentity {
        object_guid: guid.parse().unwrap(),
        kind,
        sid: format!("{DOMAIN_SID}-{rid}").parse().unwrap(),
        account_name: name.into(),
        upn: if is_user {
            format!("{name}@{DOMAIN}")
        } else {
            String::new()
        },
        display_name: name.to_uppercase(),
        state: IdentityState::Enabled,
        disabled_reason: None,
        primary_group_rid: if is_user { 513 } else { 0 },
        members: vec![],
        more_members: false,
    }
}

/// Alice, a member of Sales, which is a member of AllStaff.
fn people() -> ApplyIdentities {
    let upsert = |identity| IdentityChange::Upsert { identity };
    let member = |group: &str, member: &str| IdentityChange::Members {
        object_guid: group.parse().unwrap(),
        add: vec![member.parse().unwrap()],
        remove: vec![],
        elsewhere: None,
    };
    let domain = SyncDomain {
        dns_name: DOMAIN.into(),
        flat_name: "CORP".into(),
        sid: DOMAIN_SID.parse().unwrap(),
    };
    let changes = vec![
        upsert(synced(ALICE, IdentityKind::User, 1104, "alice")),
        upsert(synced(SALES, IdentityKind::Group, 1200, "Sales")),
        upsert(synced(ALL_STAFF, IdentityKind::Group, 1201, "AllStaff")),
        member(SALES, ALICE),
        member(ALL_STAFF, SALES),
    ];
    ApplyIdentities {
        cursor: Some("bookmark".into()),
        ..sync_run(domain, changes)
    }
}

async fn with_people(service: &Service) {
    service.contoso().await;
    let admin = &service.admin;
    admin
        .prepare_trust("contoso", DOMAIN, &prepare())
        .await
        .unwrap();
    let result = admin
        .apply_identities("contoso", DOMAIN, &people())
        .await
        .unwrap();
    assert_eq!((result.created, result.refused.len()), (3, 0), "{result:?}");
}

async fn with_share(service: &Service) {
    with_people(service).await;
    let account = StorageAccountCreate {
        name: "acct1".into(),
        aliases: vec!["files.contoso.com".into()],
    };
    service
        .admin
        .create_storage_account("contoso", &account)
        .await
        .unwrap();
    let share = ShareCreate {
        name: "projects".into(),
        quota_gib: None,
    };
    service
        .admin
        .create_share("contoso", "acct1", &share)
        .await
        .unwrap();
}

fn code<T: std::fmt::Debug>(result: Result<T, ClientError>) -> Code {
    result.unwrap_err().code().expect("a refusal by the server")
}

#[tokio::test]
async fn a_tenant_has_its_defaults_and_is_found_by_any_name() {
    let service = Service::start().await;
    let tenant = service.contoso().await;
    assert_eq!(tenant.domain, "contoso.cloud.example");
    assert_eq!(tenant.realm, "KERBEROS.CONTOSO.CLOUD.EXAMPLE");
    assert_eq!(tenant.top_level_names, ["contoso.cloud.example"]);
    assert!(tenant.flat_name.len() <= 15 && tenant.sid.is_account_domain());
    let id = tenant.id.to_string();
    assert!(tenant.kdc_proxy_url.ends_with(&format!("/{id}/kerberos")));
    for name in ["contoso", "CONTOSO", "contoso.cloud.example", &id] {
        assert_eq!(service.admin.tenant(name).await.unwrap(), tenant);
    }
    assert_eq!(service.admin.tenants().await.unwrap(), [tenant]);
    assert_eq!(
        code(service.admin.tenant("second").await),
        Code::TenantNotFound
    );
    let again = crossrealm_api::TenantCreate {
        name: "contoso".into(),
        ..Default::default()
    };
    assert_eq!(
        code(service.admin.create_tenant(&again).await),
        Code::TenantExists
    );
    let bad = crossrealm_api::TenantCreate {
        name: "no such name!".into(),
        ..Default::default()
    };
    assert_eq!(
        code(service.admin.create_tenant(&bad).await),
        Code::InvalidName
    );
    service.admin.delete_tenant("contoso").await.unwrap();
    assert_eq!(service.admin.tenants().await.unwrap(), []);
}

#[tokio::test]
async fn requests_without_a_valid_token_are_refused() {
    let service = Service::start().await;
    service.contoso().await;
    let nobody = Client::new(
        &format!("https://{}", service.address),
        None,
        Some(&service.ca_pem),
    )
    .unwrap();
    assert_eq!(code(nobody.tenants().await), Code::Unauthenticated);
    assert_eq!(code(nobody.tenant("second").await), Code::Unauthenticated);
    assert!(nobody.ca().await.unwrap().ca_pem.is_some());
    assert_eq!(nobody.health().await.unwrap().status, "ok");
    for token in [
        "",
        "xr_00",
        &format!("xr_{}", "0".repeat(64)),
        &"x".repeat(5000),
    ] {
        let stranger = service.client(&crossrealm_api::SecretText::new(token));
        assert_eq!(
            code(stranger.whoami().await),
            Code::Unauthenticated,
            "{token}"
        );
    }
    let me = service.admin.whoami().await.unwrap();
    assert_eq!(
        (me.kind, me.role),
        (
            TokenKind::Administrator,
            Some(AdministratorRole::GlobalAdministrator)
        )
    );
}

#[tokio::test]
async fn a_connector_writes_its_own_domain_and_nothing_else() {
    let service = Service::start().await;
    with_people(&service).await;
    let wanted = ConnectorCreate {
        domain: DOMAIN.into(),
        rotate_trust: false,
    };
    let created = service
        .admin
        .create_connector("contoso", &wanted)
        .await
        .unwrap();
    assert_eq!(
        code(service.admin.create_connector("contoso", &wanted).await),
        Code::ConnectorExists
    );
    let connector = service.client(&created.token);
    assert_eq!(
        connector.whoami().await.unwrap().domain.as_deref(),
        Some(DOMAIN)
    );
    let again = connector
        .apply_identities("contoso", DOMAIN, &people())
        .await
        .unwrap();
    assert_eq!((again.created, again.unchanged), (0, 3), "{again:?}");
    let page = connector
        .domain_identities(
            "contoso",
            DOMAIN,
            &PageQuery {
                after: None,
                limit: Some(2),
            },
        )
        .await
        .unwrap();
    assert_eq!((page.identities.len(), page.next.is_some()), (2, true));
    assert_eq!(page.sync.cursor.as_deref(), Some("bookmark"));

    let mut other = people();
    other.domain.dns_name = "second.example".into();
    let elsewhere = connector
        .apply_identities("contoso", "second.example", &other)
        .await;
    assert_eq!(code(elsewhere), Code::Forbidden);
    let smuggled = connector.apply_identities("contoso", DOMAIN, &other).await;
    assert_eq!(code(smuggled), Code::InvalidRequest);
    assert_eq!(code(connector.tenant("contoso").await), Code::Forbidden);
    assert_eq!(
        code(connector.storage_accounts("contoso").await),
        Code::Forbidden
    );
    let trust = connector.prepare_trust("contoso", DOMAIN, &prepare()).await;
    let ClientError::Refused(refusal) = trust.unwrap_err() else {
        panic!()
    };
    assert!(
        refusal.message.contains("`global-administrator`"),
        "{}",
        refusal.message
    );
    assert!(refusal.request_id.is_some());
    // Another tenant is not found.
    let second = crossrealm_api::TenantCreate {
        name: "second".into(),
        ..Default::default()
    };
    service.admin.create_tenant(&second).await.unwrap();
    let foreign = connector.sync_state("second", DOMAIN).await;
    assert_eq!(code(foreign), Code::TenantNotFound);

    service
        .admin
        .delete_connector("contoso", DOMAIN)
        .await
        .unwrap();
    assert_eq!(code(connector.whoami().await), Code::Unauthenticated);
    assert_eq!(service.admin.connectors("contoso").await.unwrap(), []);
}

#[tokio::test]
async fn a_trust_is_prepared_again_with_the_same_secret_and_confirmed_once() {
    let service = Service::start().await;
    service.contoso().await;
    let admin = &service.admin;
    assert_eq!(
        code(admin.trust("contoso", DOMAIN).await),
        Code::TrustNotFound
    );
    let first = admin
        .prepare_trust("contoso", DOMAIN, &prepare())
        .await
        .unwrap();
    let again = admin
        .prepare_trust("contoso", DOMAIN, &prepare())
        .await
        .unwrap();
    assert_eq!((first.version, first.state), (1, TrustKeyState::Pending));
    assert!(first == again && first.secret.expose().len() >= 32);
    assert_eq!(
        admin.trust("contoso", DOMAIN).await.unwrap().state,
        TrustState::Pending
    );
    let mut other = prepare();
    other.sid = "S-1-5-21-9-9-9".parse().unwrap();
    let mismatch = admin.prepare_trust("contoso", DOMAIN, &other).await;
    assert_eq!(code(mismatch), Code::TrustSidMismatch);
    let mut malformed = serde_json::to_value(prepare()).unwrap();
    malformed["sid"] = "nonsense".into();
    let path = format!("/api/v1/tenants/contoso/trusts/{DOMAIN}/prepare");
    let refusal = service.refusal(&path, &malformed).await;
    assert_eq!(refusal.code, Code::InvalidSid);
    assert!(refusal.message.contains("`nonsense`"), "{refusal:?}");
    malformed["realm"] = 7.into();
    malformed["sid"] = DOMAIN_SID.into();
    let refusal = service.refusal(&path, &malformed).await;
    assert_eq!(refusal.code, Code::InvalidRequest);

    let mut done = ConfirmTrust {
        version: 7,
        top_level_names: vec!["contoso.cloud.example".into()],
    };
    assert_eq!(
        code(admin.confirm_trust("contoso", DOMAIN, &done).await),
        Code::TrustVersionUnknown
    );
    done.version = 1;
    for _ in 0..2 {
        let trust = admin.confirm_trust("contoso", DOMAIN, &done).await.unwrap();
        assert_eq!((trust.state, trust.keys.len()), (TrustState::Active, 1));
        assert_eq!(trust.keys[0].state, TrustKeyState::Current);
    }
    let current = admin
        .prepare_trust("contoso", DOMAIN, &prepare())
        .await
        .unwrap();
    assert!(current.secret == first.secret && current.state == TrustKeyState::Current);
    assert_eq!(admin.trusts("contoso").await.unwrap().len(), 1);
    assert_eq!(
        code(admin.delete_tenant("contoso").await),
        Code::TenantNotEmpty
    );
    admin.delete_trust("contoso", DOMAIN).await.unwrap();
    assert_eq!(
        code(admin.delete_trust("contoso", DOMAIN).await),
        Code::TrustNotFound
    );

    // The events hold no secret.
    let query = EventQuery::default();
    let events = admin.events("contoso", &query).await.unwrap();
    assert!(
        events.iter().any(|e| e.action == "trust.prepare"),
        "{events:?}"
    );
    let text = serde_json::to_string(&events).unwrap();
    assert!(!text.contains(first.secret.expose()));
}

#[tokio::test]
async fn users_are_listed_with_their_nested_groups() {
    let service = Service::start().await;
    with_people(&service).await;
    let admin = &service.admin;
    let users = admin.users("contoso", &PageQuery::default()).await.unwrap();
    assert_eq!(users.items.len(), 1);
    for name in [
        "alice@corp.contoso.com",
        "ALICE",
        "S-1-5-21-1111-2222-3333-1104",
    ] {
        let alice = admin.user("contoso", name).await.unwrap();
        let groups: Vec<_> = alice
            .effective_groups
            .iter()
            .map(|g| g.group.name.as_str())
            .collect();
        assert!(
            groups.contains(&"Sales") && groups.contains(&"AllStaff"),
            "{groups:?}"
        );
    }
    let staff = admin
        .group("contoso", "AllStaff", &PageQuery::default())
        .await
        .unwrap();
    assert_eq!(staff.members.items[0].name, "Sales");
    assert_eq!(
        code(admin.user("contoso", "nobody").await),
        Code::UserNotFound
    );
    assert_eq!(
        code(admin.user("contoso", "Sales").await),
        Code::UserNotFound
    );
    let cloud = UserCreate {
        upn: "carol@contoso.cloud.example".into(),
        display_name: "Carol".into(),
    };
    let carol = admin.create_user("contoso", &cloud).await.unwrap();
    assert_eq!(carol.source, crossrealm_types::IdentitySource::CloudOnly);
    assert_eq!(
        code(admin.create_user("contoso", &cloud).await),
        Code::UserExists
    );
}

#[tokio::test]
async fn grants_apply_through_nested_groups() {
    let service = Service::start().await;
    with_share(&service).await;
    let admin = &service.admin;
    let alice = "alice@corp.contoso.com";
    let of_alice = ShareAccessQuery { user: alice.into() };
    let none = admin
        .share_access("contoso", "acct1", "projects", &of_alice)
        .await
        .unwrap();
    assert_eq!((none.effective, none.reasons.len()), (None, 0));
    let grant = GrantCreate {
        to: "AllStaff".into(),
        role: ShareRole::Contributor,
    };
    admin
        .grant("contoso", "acct1", "projects", &grant)
        .await
        .unwrap();
    let access = admin
        .share_access("contoso", "acct1", "projects", &of_alice)
        .await
        .unwrap();
    assert_eq!(access.effective, Some(ShareRole::Contributor));
    let way: Vec<_> = access.reasons[0]
        .path
        .iter()
        .map(|p| p.name.as_str())
        .collect();
    assert_eq!(way, ["Sales", "AllStaff"]);
    let default = Some(ShareRole::Reader);
    let account = admin
        .set_default_permission("contoso", "acct1", &DefaultPermission { role: default })
        .await
        .unwrap();
    assert_eq!(account.default_role, default);
    admin
        .revoke("contoso", "acct1", "projects", "AllStaff")
        .await
        .unwrap();
    let after = admin
        .share_access("contoso", "acct1", "projects", &of_alice)
        .await
        .unwrap();
    assert_eq!(after.effective, default);
    let again = admin
        .revoke("contoso", "acct1", "projects", "AllStaff")
        .await;
    assert_eq!(code(again), Code::GrantNotFound);
    let nobody = GrantCreate {
        to: "nobody".into(),
        role: ShareRole::Reader,
    };
    let refused = admin.grant("contoso", "acct1", "projects", &nobody).await;
    assert_eq!(code(refused), Code::PrincipalNotFound);
    let nowhere = admin.grant("contoso", "acct1", "nowhere", &grant).await;
    assert_eq!(code(nowhere), Code::ShareNotFound);
    assert_eq!(
        code(admin.shares("contoso", "acct9").await),
        Code::StorageAccountNotFound
    );
    assert_eq!(
        code(
            admin
                .delete_storage_account("contoso", "acct1", &StorageAccountDelete::default())
                .await
        ),
        Code::AccountHasShares
    );
}

#[tokio::test]
async fn a_host_sees_a_change_within_two_seconds() {
    let service = Service::start().await;
    with_share(&service).await;
    let admin = &service.admin;
    let host = service.host("acct1", "fs1").await;
    let answer = host.host_state("contoso", "acct1", None, 0).await.unwrap();
    let HostStateAnswer::State { etag, state } = answer else {
        panic!()
    };
    assert!(etag.is_some());
    assert_eq!(state.account.aliases, ["files.contoso.com"]);
    assert_eq!(state.domains[0].sid.to_string(), DOMAIN_SID);
    let keytab = Keytab::from_bytes(state.keytab.expose()).unwrap();
    assert!(
        keytab.entries.iter().any(|e| e.kvno == 1) && keytab.entries.iter().any(|e| e.kvno == 2)
    );
    let same = host
        .host_state("contoso", "acct1", etag.as_deref(), 1)
        .await
        .unwrap();
    assert!(matches!(same, HostStateAnswer::Unchanged));

    let waiting = {
        let (host, etag) = (host.clone(), etag.clone());
        tokio::spawn(async move {
            host.host_state("contoso", "acct1", etag.as_deref(), 20)
                .await
        })
    };
    tokio::time::sleep(Duration::from_millis(300)).await;
    let grant = GrantCreate {
        to: "AllStaff".into(),
        role: ShareRole::Contributor,
    };
    admin
        .grant("contoso", "acct1", "projects", &grant)
        .await
        .unwrap();
    let started = Instant::now();
    let HostStateAnswer::State { state, .. } = waiting.await.unwrap().unwrap() else {
        panic!()
    };
    // Earlier than at the end of its 20 s.
    assert!(started.elapsed() < Duration::from_secs(15));
    assert_eq!(state.shares[0].grants[0].name, "AllStaff");
}

/// F16: a workstation has no token. Anyone learns the hosts that no referral leads to, and no other.
#[tokio::test]
async fn f16_hosts_behind_a_referral_are_not_public() {
    let service = Service::start().await;
    service.contoso().await;
    let admin = &service.admin;
    let account = StorageAccountCreate {
        name: "acct1".into(),
        aliases: vec!["files.contoso.com".into()],
    };
    admin
        .create_storage_account("contoso", &account)
        .await
        .unwrap();
    let anyone = service.client_without_token();
    let public = anyone.public_client_config("contoso").await.unwrap();
    assert_eq!(public.hosts, account.aliases);
    let whole = admin.client_config("contoso").await.unwrap();
    assert_eq!(whole.hosts.len(), 2);
    assert_eq!(public.kdc_proxy_url, whole.kdc_proxy_url);
    let none = anyone.public_client_config("fabrikam").await;
    assert_eq!(code(none), Code::TenantNotFound);
}

#[tokio::test]
async fn key_rotations_and_keytab_exports_are_recorded() {
    let service = Service::start().await;
    with_share(&service).await;
    let admin = &service.admin;
    let before = admin.storage_account("contoso", "acct1").await.unwrap();
    assert!(before.keys[0].encrypts && before.keys[0].slot == KeySlot::Kerb1);
    let rotate = RotateAccountKey {
        key: KeySlot::Kerb1,
        force: false,
    };
    let after = admin
        .rotate_storage_account_key("contoso", "acct1", &rotate)
        .await
        .unwrap();
    // A service that uses an exported keytab needs a new export.
    assert!(after.warnings[0].contains("exported keytab"));
    let after = after.account;
    assert!(after.keys[0].encrypts && after.keys[0].slot == KeySlot::Kerb2);
    let keytab = admin
        .storage_account_keytab("contoso", "acct1")
        .await
        .unwrap();
    let principal = "cifs/acct1.file.contoso.cloud.example@KERBEROS.CONTOSO.CLOUD.EXAMPLE";
    assert!(
        keytab.entries.iter().any(|e| e.principal == principal),
        "{keytab:?}"
    );
    assert!(Keytab::from_bytes(keytab.keytab.expose()).is_ok());

    let wanted = ServicePrincipalCreate {
        spn: "postgres/db1.contoso.cloud.example".into(),
    };
    admin
        .create_service_principal("contoso", &wanted)
        .await
        .unwrap();
    let shown = admin
        .service_principal("contoso", "POSTGRES/db1.contoso.cloud.example")
        .await
        .unwrap();
    assert_eq!(shown.spn, wanted.spn);
    admin
        .service_principal_keytab("contoso", &wanted.spn)
        .await
        .unwrap();
    let twice = admin.create_service_principal("contoso", &wanted).await;
    assert_eq!(code(twice), Code::ServicePrincipalExists);
    let config = admin.client_config("contoso").await.unwrap();
    assert!(
        config
            .hosts
            .contains(&"db1.contoso.cloud.example".to_owned()),
        "{:?}",
        config.hosts
    );
    assert_eq!(config.ad_realms[0].realm, "CORP.CONTOSO.COM");
    assert_eq!(config.ca_pem.unwrap().as_bytes(), service.ca_pem);
    admin
        .delete_service_principal("contoso", &wanted.spn)
        .await
        .unwrap();

    let events = admin
        .events("contoso", &EventQuery::default())
        .await
        .unwrap();
    let exports = events
        .iter()
        .filter(|e| e.action.contains("keytab"))
        .count();
    assert_eq!(exports, 2, "{events:?}");
    let last = events.last().unwrap().sequence;
    let newer = EventQuery {
        after: Some(last),
        ..EventQuery::default()
    };
    assert_eq!(admin.events("contoso", &newer).await.unwrap(), []);
}

#[tokio::test]
async fn unknown_paths_and_malformed_requests_are_refused_with_a_code() {
    let service = Service::start().await;
    service.contoso().await;
    let token = std::fs::read_to_string(service.path("admin.token")).unwrap();
    let ask = async |head: &str, body: &str| {
        let request = format!(
            "{head} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            token.trim(),
            body.len()
        );
        let answer = service.exchange(request.as_bytes()).await;
        let json: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert!(answer.header("x-request-id").is_some());
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        (
            answer.status,
            json["code"].as_str().unwrap().to_owned(),
            json["message"].to_string(),
        )
    };
    let (status, code, _) = ask("GET /api/v1/nothing", "").await;
    assert_eq!((status, code.as_str()), (404, "endpoint_not_found"));
    let (status, code, _) = ask("PATCH /api/v1/tenants", "").await;
    assert_eq!((status, code.as_str()), (405, "method_not_allowed"));
    let (status, code, message) = ask("POST /api/v1/tenants", r#"{"name":"x","colour":1}"#).await;
    assert_eq!((status, code.as_str()), (400, "invalid_request"));
    assert!(message.contains("colour"), "{message}");
    let (status, _, _) = ask("POST /api/v1/tenants", "{").await;
    assert_eq!(status, 400);
    let (status, _, _) = ask("GET /api/v1/tenants?limit=many", "").await;
    assert_eq!(status, 400);
    let (status, code, _) = ask("GET /api/v1/tenants/%FF", "").await;
    assert_eq!((status, code.as_str()), (400, "invalid_request"));
    let huge = format!(
        "POST /api/v1/tenants HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: 9000000\r\n\r\n",
        token.trim()
    );
    let body = vec![b' '; 9_000_000];
    let answer = service.exchange(&[huge.as_bytes(), &body].concat()).await;
    assert!(matches!(answer.status, 0 | 413), "{answer:?}");
    service.admin.tenants().await.unwrap();
}

#[tokio::test]
async fn a_rotation_returns_the_new_password_and_those_that_ad_may_hold() {
    let service = Service::start().await;
    service.contoso().await;
    let admin = &service.admin;
    let rotate = PrepareTrust {
        rotate: true,
        ..prepare()
    };
    let prepared = async || {
        admin
            .prepare_trust("contoso", DOMAIN, &rotate)
            .await
            .unwrap()
    };
    let confirmed = async |version| {
        let done = ConfirmTrust {
            version,
            top_level_names: vec![],
        };
        admin.confirm_trust("contoso", DOMAIN, &done).await.unwrap()
    };
    let first = prepared().await;
    assert!(first.held.is_empty());
    confirmed(1).await;
    let second = prepared().await;
    assert_eq!((second.version, second.held.len()), (2, 1));
    assert!(second.held[0].secret == first.secret);
    // Until it is confirmed, the same password is returned, so that the next run completes a rotation that was killed.
    assert!(prepared().await == second);
    let states: Vec<_> = confirmed(2)
        .await
        .keys
        .iter()
        .map(|key| key.state)
        .collect();
    assert_eq!(states, [TrustKeyState::Current, TrustKeyState::Previous]);
}

#[tokio::test]
async fn the_kerberos_server_object_is_recorded_shown_and_deleted() {
    let service = Service::start().await;
    service.contoso().await;
    let admin = &service.admin;
    let seen = RecordKerberosServer {
        flat_name: "CORP".into(),
        sid: DOMAIN_SID.parse().unwrap(),
        forest: DOMAIN.into(),
        id: 56754,
        display_name: "krbtgt_56754".into(),
        key_version: 2,
        key_updated_at: Timestamp::from_unix(1_700_000_000),
        account: None,
        computer: None,
    };
    let nothing = admin.kerberos_server("contoso", DOMAIN).await;
    assert_eq!(code(nothing), Code::KerberosServerNotFound);
    let recorded = admin
        .record_kerberos_server("contoso", DOMAIN, &seen)
        .await
        .unwrap();
    assert_eq!((recorded.id, recorded.key_version), (56754, 2));
    let shown = admin.kerberos_server("contoso", DOMAIN).await.unwrap();
    assert_eq!(shown, recorded);
    let mut other = seen;
    other.sid = "S-1-5-21-9-9-9".parse().unwrap();
    let refused = admin
        .record_kerberos_server("contoso", DOMAIN, &other)
        .await;
    assert_eq!(code(refused), Code::DomainSidMismatch);
    admin
        .delete_kerberos_server("contoso", DOMAIN)
        .await
        .unwrap();
    let again = admin.delete_kerberos_server("contoso", DOMAIN).await;
    assert_eq!(code(again), Code::KerberosServerNotFound);
}
