//! The access matrix: every role and every kind of endpoint, through the running service.

use crate::common::Service;
use crossrealm_api::{
    Client, ClientError, Code, ConfirmTrustRotation, ConnectorCreate, EventQuery, HostTokenCreate,
    PageQuery, ResolveNames, SecretText, ShareCreate, ShareQuota, TenantCreate, UserCreate,
};
use crossrealm_directory::{Actor, Directory, InstallationNames, MasterKey, NewToken, TokenRole};
use crossrealm_kdc::TenantId;
use crossrealm_types::{
    AdStep, AdStepPhase, AdministratorRole, PrepareTrust, RotateTrust, StorageAccountCreate,
};

const DOMAIN: &str = "corp.contoso.com";

/// The kinds of endpoint that a token may call: those that do not respond with 401 or 403.
async fn permitted(client: &Client) -> Vec<&'static str> {
    let prepare = PrepareTrust {
        realm: "CORP.CONTOSO.COM".into(),
        flat_name: "CORP".into(),
        sid: "S-1-5-21-1-2-3".parse().unwrap(),
        top_level_names: vec![],
        rotate: false,
    };
    // Invalid names: an accepted caller is refused later, and nothing changes.
    let tenant = TenantCreate {
        name: "!".into(),
        ..Default::default()
    };
    let user = UserCreate {
        upn: "!".into(),
        display_name: String::new(),
    };
    let connector = ConnectorCreate {
        domain: "!".into(),
        rotate_trust: false,
    };
    let rotating = ConnectorCreate {
        domain: "!".into(),
        rotate_trust: true,
    };
    let rotation = RotateTrust {
        every_s: 0,
        holder: "test".into(),
    };
    let step = AdStep {
        phase: AdStepPhase::Begun,
        principal: String::new(),
        controller: String::new(),
        step: String::new(),
        reason: String::new(),
    };
    let account = StorageAccountCreate {
        name: "!".into(),
        aliases: vec![],
    };
    let share = ShareCreate {
        name: "!".into(),
        quota_gib: None,
    };
    let t = "contoso";
    let results = [
        ("whoami", client.whoami().await.map(drop)),
        ("tenants", client.tenants().await.map(drop)),
        ("tenant", client.tenant(t).await.map(drop)),
        (
            "create tenant",
            client.create_tenant(&tenant).await.map(drop),
        ),
        ("trusts", client.trusts(t).await.map(drop)),
        (
            "prepare trust",
            client.prepare_trust(t, DOMAIN, &prepare).await.map(drop),
        ),
        (
            "delete trust",
            client.delete_trust(t, "second.example").await,
        ),
        (
            "begin removal",
            client.begin_trust_removal(t, "second.example").await,
        ),
        (
            "rotate trust",
            client.rotate_trust(t, DOMAIN, &rotation).await.map(drop),
        ),
        (
            "rotate other trust",
            client
                .rotate_trust(t, "second.example", &rotation)
                .await
                .map(drop),
        ),
        (
            "confirm rotation",
            client
                .confirm_trust_rotation(t, DOMAIN, &ConfirmTrustRotation { version: 9 })
                .await
                .map(drop),
        ),
        ("AD step", client.record_ad_step(t, DOMAIN, &step).await),
        (
            "other AD step",
            client.record_ad_step(t, "second.example", &step).await,
        ),
        (
            "create rotating connector",
            client.create_connector(t, &rotating).await.map(drop),
        ),
        (
            "users",
            client.users(t, &PageQuery::default()).await.map(drop),
        ),
        ("create user", client.create_user(t, &user).await.map(drop)),
        (
            "create connector",
            client.create_connector(t, &connector).await.map(drop),
        ),
        (
            "identities",
            client
                .domain_identities(t, DOMAIN, &PageQuery::default())
                .await
                .map(drop),
        ),
        (
            "other identities",
            client
                .domain_identities(t, "second.example", &PageQuery::default())
                .await
                .map(drop),
        ),
        ("accounts", client.storage_accounts(t).await.map(drop)),
        (
            "create account",
            client.create_storage_account(t, &account).await.map(drop),
        ),
        (
            "create share",
            client.create_share(t, "acct1", &share).await.map(drop),
        ),
        (
            "set quota",
            client
                .set_share_quota(t, "acct1", "gone", &ShareQuota { quota_gib: Some(1) })
                .await
                .map(drop),
        ),
        (
            "keytab",
            client.storage_account_keytab(t, "acct1").await.map(drop),
        ),
        (
            "host state",
            client.host_state(t, "acct1", None, 0).await.map(drop),
        ),
        (
            "other host state",
            client.host_state(t, "acct2", None, 0).await.map(drop),
        ),
        (
            "names",
            client
                .resolve_names(t, "acct1", &ResolveNames::default())
                .await
                .map(drop),
        ),
        (
            "create host token",
            client
                .create_host_token(t, "acct1", &HostTokenCreate { name: "\0".into() })
                .await
                .map(drop),
        ),
        ("services", client.service_principals(t).await.map(drop)),
        (
            "events",
            client.events(t, &EventQuery::default()).await.map(drop),
        ),
        ("other tenant", client.tenant("second").await.map(drop)),
    ];
    let refused = |result: &Result<(), ClientError>| match result {
        Ok(()) => false,
        Err(error) => match error.code().expect("an answer of the API") {
            Code::Unauthenticated | Code::Forbidden => true,
            // To a token that is confined to a tenant, no other tenant exists.
            Code::TenantNotFound => true,
            _ => false,
        },
    };
    let permitted = results.into_iter().filter(|(_, result)| !refused(result));
    permitted.map(|(name, _)| name).collect()
}

#[tokio::test]
async fn each_role_may_do_its_own_and_nothing_else() {
    let service = Service::start().await;
    let contoso = service.contoso().await;
    let second = TenantCreate {
        name: "second".into(),
        ..Default::default()
    };
    service.admin.create_tenant(&second).await.unwrap();
    for name in ["acct1", "acct2"] {
        let account = StorageAccountCreate {
            name: name.into(),
            aliases: vec![],
        };
        service
            .admin
            .create_storage_account("contoso", &account)
            .await
            .unwrap();
    }
    let key = MasterKey::load(&service.path("master.key")).unwrap();
    let store = format!("sqlite:{}", service.path("crossrealm.db").display());
    let names = InstallationNames::new("cloud.example", "login.cloud.example");
    let directory = Directory::open(&store, key, names).await.unwrap();
    let tenant = TenantId(*contoso.id.as_bytes());
    let may = async |tenant: Option<TenantId>, role: TokenRole| {
        let token = NewToken {
            tenant,
            role,
            name: "test".into(),
            expires_at: None,
        };
        let made = directory.create_token(&Actor::local("test"), token).await;
        let token = SecretText::new(made.unwrap().0.as_str());
        permitted(&service.client(&token)).await
    };

    let read = [
        "whoami", "tenants", "tenant", "trusts", "users", "accounts", "names", "services", "events",
    ];
    let identities = [
        "create user",
        "create connector",
        "identities",
        "other identities",
    ];
    let storage = [
        "create account",
        "create share",
        "set quota",
        "keytab",
        "create host token",
    ];
    let rotation = ["rotate trust", "confirm rotation", "AD step"];
    let trusts = [
        "prepare trust",
        "delete trust",
        "begin removal",
        "rotate other trust",
        "other AD step",
        "create rotating connector",
    ];
    let sorted = |parts: &[&[&'static str]]| {
        let mut all = parts.concat();
        all.sort_unstable();
        all
    };
    let table = [
        (
            None,
            TokenRole::Administrator(AdministratorRole::GlobalAdministrator),
            sorted(&[
                &read,
                &identities,
                &storage,
                &trusts,
                &rotation,
                &["create tenant", "other tenant"],
            ]),
        ),
        (
            Some(tenant),
            TokenRole::Administrator(AdministratorRole::GlobalAdministrator),
            sorted(&[&read, &identities, &storage, &trusts, &rotation]),
        ),
        (
            Some(tenant),
            TokenRole::Administrator(AdministratorRole::HybridIdentityAdministrator),
            sorted(&[&read, &identities]),
        ),
        (
            Some(tenant),
            TokenRole::Administrator(AdministratorRole::StorageAdministrator),
            sorted(&[&read, &storage]),
        ),
        (
            Some(tenant),
            TokenRole::Administrator(AdministratorRole::Reader),
            sorted(&[&read]),
        ),
        (
            None,
            TokenRole::Administrator(AdministratorRole::Reader),
            sorted(&[&read, &["other tenant"]]),
        ),
        (
            Some(tenant),
            TokenRole::Connector {
                domain: DOMAIN.into(),
                rotate_trust: true,
            },
            sorted(&[&["whoami", "identities"], &rotation]),
        ),
        (
            Some(tenant),
            TokenRole::Connector {
                domain: DOMAIN.into(),
                rotate_trust: false,
            },
            sorted(&[&["whoami", "identities"]]),
        ),
        (
            Some(tenant),
            TokenRole::Host {
                account: "acct1".into(),
            },
            sorted(&[&["whoami", "host state", "names"]]),
        ),
    ];
    for (confined_to, role, expected) in table {
        let mut found = may(confined_to, role.clone()).await;
        found.sort_unstable();
        assert_eq!(
            found,
            expected,
            "{role:?}, confined: {}",
            confined_to.is_some()
        );
    }
    let nobody = service.client(&SecretText::new(format!("xr_{}", "0".repeat(64))));
    assert_eq!(permitted(&nobody).await, [""; 0]);

    // Refused attempts are audited.
    let events = service
        .admin
        .events(
            "contoso",
            &EventQuery {
                limit: Some(1000),
                ..Default::default()
            },
        )
        .await
        .unwrap();
    assert!(
        events
            .iter()
            .any(|e| e.action == "api.call" && e.reason == "forbidden")
    );
    // S15: with the tenant that was asked for.
    let foreign = events
        .iter()
        .find(|e| e.action == "api.call" && e.reason == "tenant_not_found");
    assert_eq!(foreign.unwrap().target, "GET /api/v1/tenants/second");
}
