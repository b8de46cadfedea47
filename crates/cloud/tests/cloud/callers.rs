//! Every endpoint with every kind of token: it accepts the callers that its declaration names, and no others.

use crate::common::Service;
use crossrealm_api::endpoint::{ENDPOINTS, Spec};
use crossrealm_api::{Code, ErrorBody, TenantCreate};
use crossrealm_directory::{Actor, Directory, InstallationNames, MasterKey, NewToken, TokenRole};
use crossrealm_kdc::TenantId;
use crossrealm_types::{AdministratorRole, StorageAccountCreate};
use reqwest::header::CONTENT_TYPE;

const DOMAIN: &str = "corp.contoso.com";
/// The account in the scope of the host's token. It does not exist, so that no call changes anything.
const ACCOUNT: &str = "acct1";

/// Whether the declaration accepts this token for the tenant `contoso`, [`DOMAIN`] and [`ACCOUNT`].
fn is_declared(spec: &Spec, role: &TokenRole, scope: Scope) -> bool {
    let Some(access) = spec.access else {
        return true;
    };
    let has = |parameter| spec.parameters.contains(&parameter);
    let by_role = match role {
        TokenRole::Connector {
            domain,
            rotate_trust,
        } => {
            (access.connector || access.trust_rotation && *rotate_trust)
                && (domain == DOMAIN || !has("domain"))
        }
        TokenRole::Host { account } => access.host && (account == ACCOUNT || !has("account")),
        TokenRole::Administrator(role) => access.roles.contains(role),
    };
    by_role
        && match scope {
            Scope::Installation => true,
            Scope::Contoso => access.confined,
            Scope::AnotherTenant => access.confined && !has("tenant"),
        }
}

/// The scope of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    Installation,
    Contoso,
    AnotherTenant,
}

/// Calls the endpoint with names that do not exist and an empty body. Returns whether the caller was accepted.
async fn lets_in(http: &reqwest::Client, service: &Service, spec: &Spec, token: &str) -> bool {
    let segments = spec.path.split('/').map(|segment| match segment {
        "{tenant}" => "contoso",
        "{domain}" => DOMAIN,
        "{account}" => ACCOUNT,
        parameter if parameter.starts_with('{') => "none",
        fixed => fixed,
    });
    let path = segments.collect::<Vec<_>>().join("/");
    let url = format!("https://localhost:{}{path}", service.address.port());
    let request = http.request(spec.method.clone(), url).bearer_auth(token);
    let request = match spec.body {
        Some(_) => request.header(CONTENT_TYPE, "application/json").body("{}"),
        None => request,
    };
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    assert!(status < 500, "{}: {status}", spec.name);
    if status < 400 {
        return true;
    }
    let refusal: ErrorBody = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    assert_eq!(refusal.code.status(), status, "{}", spec.name);
    !matches!(
        refusal.code,
        Code::Unauthenticated | Code::Forbidden | Code::TenantNotFound
    )
}

fn roles() -> Vec<TokenRole> {
    let connector = |domain: &str, rotate_trust| TokenRole::Connector {
        domain: domain.into(),
        rotate_trust,
    };
    let host = |account: &str| TokenRole::Host {
        account: account.into(),
    };
    let others = [
        connector(DOMAIN, false),
        connector(DOMAIN, true),
        connector("second.example", true),
        host(ACCOUNT),
        host("acct2"),
    ];
    let administrators = AdministratorRole::ALL.iter().copied();
    let administrators = administrators.map(TokenRole::Administrator);
    administrators.chain(others).collect()
}

#[tokio::test]
async fn every_endpoint_admits_exactly_the_callers_of_its_declaration() {
    let service = Service::start().await;
    let contoso = TenantId(*service.contoso().await.id.as_bytes());
    // A tenant with a storage account cannot be deleted.
    let kept = StorageAccountCreate {
        name: "kept".into(),
        aliases: vec![],
    };
    let created = service.admin.create_storage_account("contoso", &kept);
    created.await.unwrap();
    let second = TenantCreate {
        name: "second".into(),
        ..Default::default()
    };
    let second = service.admin.create_tenant(&second).await.unwrap();
    let second = TenantId(*second.id.as_bytes());
    let key = MasterKey::load(&service.path("master.key")).unwrap();
    let store = format!("sqlite:{}", service.path("crossrealm.db").display());
    let names = InstallationNames::new("cloud.example", "login.cloud.example");
    let directory = Directory::open(&store, key, names).await.unwrap();
    let ca = reqwest::Certificate::from_pem(&service.ca_pem).unwrap();
    let http = reqwest::Client::builder().tls_certs_only([ca]).build();
    let http = http.unwrap();

    // The endpoint that revokes its own token is called last.
    let (last, all): (Vec<&Spec>, Vec<&Spec>) =
        ENDPOINTS.iter().partition(|spec| spec.name == "sign_out");
    let scopes = [
        (Scope::Installation, None),
        (Scope::Contoso, Some(contoso)),
        (Scope::AnotherTenant, Some(second)),
    ];
    let mut wrong = Vec::new();
    for role in roles() {
        let is_administrator = matches!(role, TokenRole::Administrator(_));
        for (scope, tenant) in scopes {
            if scope == Scope::Installation && !is_administrator {
                continue;
            }
            let new = NewToken {
                tenant,
                role: role.clone(),
                name: "test".into(),
                expires_at: None,
            };
            let Ok((token, _)) = directory.create_token(&Actor::local("test"), new).await else {
                continue;
            };
            for spec in all.iter().chain(&last) {
                let declared = is_declared(spec, &role, scope);
                if lets_in(&http, &service, spec, &token).await != declared {
                    wrong.push(format!("{}: {role:?}, {scope:?}: {declared}", spec.name));
                }
            }
        }
    }
    let stranger = format!("xr_{}", "0".repeat(64));
    for spec in ENDPOINTS {
        if lets_in(&http, &service, spec, &stranger).await != spec.access.is_none() {
            wrong.push(format!("{}: an unknown token", spec.name));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
