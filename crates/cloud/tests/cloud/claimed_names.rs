//! Which DNS names an administrator may claim (finding S1), and aliases of an existing account (F11), through the running
//! service.

use crate::common::Service;
use crossrealm_api::{
    Client, ClientError, Code, Refusal, SecretText, ServicePrincipalCreate, TenantCreate,
};
use crossrealm_directory::{
    Actor, Directory, InstallationNames, MasterKey, NameScope, NewToken, TokenRole,
};
use crossrealm_kdc::TenantId;
use crossrealm_types::AdministratorRole::{GlobalAdministrator, StorageAdministrator};
use crossrealm_types::{PrepareTrust, StorageAccountCreate};

const T: &str = "contoso";
const DOMAIN: &str = "corp.contoso.com";

fn refusal<R: std::fmt::Debug>(result: Result<R, ClientError>) -> Refusal {
    match result {
        Err(ClientError::Refused(refusal)) => *refusal,
        other => panic!("it was not refused: {other:?}"),
    }
}

fn trust(domain: &str) -> PrepareTrust {
    PrepareTrust {
        realm: domain.to_uppercase(),
        flat_name: "CORP".into(),
        sid: "S-1-5-21-1-2-3".parse().unwrap(),
        top_level_names: vec![],
        rotate: false,
    }
}

/// The service's directory, as one of an installation with this base domain.
async fn directory(service: &Service, base_domain: &str) -> Directory {
    let key = MasterKey::load(&service.path("master.key")).unwrap();
    let store = format!("sqlite:{}", service.path("crossrealm.db").display());
    let names = InstallationNames::new(base_domain, &format!("login.{base_domain}"));
    Directory::open(&store, key, names).await.unwrap()
}

/// A tenant with an AD domain and an account, another tenant, and clients of the first one's administrators of storage and
/// of everything.
async fn world() -> (Service, Client, Client) {
    let service = Service::start().await;
    let contoso = service.contoso().await;
    let other = TenantCreate {
        name: "fabrikam".into(),
        ..Default::default()
    };
    service.admin.create_tenant(&other).await.unwrap();
    service
        .admin
        .prepare_trust(T, DOMAIN, &trust(DOMAIN))
        .await
        .unwrap();
    let account = StorageAccountCreate {
        name: "acct1".into(),
        aliases: vec![],
    };
    let created = service.admin.create_storage_account(T, &account);
    created.await.unwrap();
    let directory = directory(&service, "cloud.example").await;
    let tenant = TenantId(*contoso.id.as_bytes());
    let client = async |role| {
        let token = NewToken {
            tenant: Some(tenant),
            role: TokenRole::Administrator(role),
            name: "test".into(),
            expires_at: None,
        };
        let made = directory.create_token(&Actor::local("test"), token).await;
        service.client(&SecretText::new(made.unwrap().0.as_str()))
    };
    let storage = client(StorageAdministrator).await;
    let global = client(GlobalAdministrator).await;
    (service, storage, global)
}

/// S1: an administrator of storage claims names below the tenant's own alone; what AD or others answer at is refused to all.
#[tokio::test]
async fn names_of_ad_and_of_others_are_refused_with_their_reason() {
    let (service, storage, global) = world().await;
    for (name, expected) in [
        ("dc1.corp.contoso.com", Code::NameInAdDomain),
        ("corp.contoso.com", Code::NameInAdDomain),
        ("contoso.com", Code::NameInAdDomain),
        ("dc1", Code::NameReserved),
        ("login.cloud.example", Code::NameReserved),
        ("x.fabrikam.cloud.example", Code::NameOfOtherTenant),
    ] {
        for client in [&storage, &global, &service.admin] {
            let account = StorageAccountCreate {
                name: "acct2".into(),
                aliases: vec![name.into()],
            };
            let created = refusal(client.create_storage_account(T, &account).await);
            let added = refusal(client.add_alias(T, "acct1", name).await);
            let spn = format!("host/{name}");
            let spn = ServicePrincipalCreate { spn };
            let principal = refusal(client.create_service_principal(T, &spn).await);
            for refused in [created, added, principal] {
                assert_eq!((refused.status, refused.code), (409, expected), "{name}");
                assert_eq!(refused.details.name.as_deref(), Some(name));
            }
        }
    }
    let free = "files.contoso.com";
    let refused = refusal(storage.add_alias(T, "acct1", free).await);
    assert_eq!(
        (refused.status, refused.code),
        (403, Code::NameOutsideTenant)
    );
    let below_base = refusal(global.add_alias(T, "acct1", "new.cloud.example").await);
    assert_eq!(below_base.code, Code::NameOutsideTenant);
    global.add_alias(T, "acct1", free).await.unwrap();
    storage
        .add_alias(T, "acct1", "a.contoso.cloud.example")
        .await
        .unwrap();
    // The other way: AD would answer for the alias.
    let covering = PrepareTrust {
        flat_name: "ROOT".into(),
        sid: "S-1-5-21-4-5-6".parse().unwrap(),
        ..trust("contoso.com")
    };
    let covering = refusal(global.prepare_trust(T, "contoso.com", &covering).await);
    assert_eq!(covering.code, Code::AdDomainCoversName);
    assert_eq!(covering.details.name.as_deref(), Some(free));
    let config = storage.client_config(T).await.unwrap();
    let hosts = [
        "a.contoso.cloud.example",
        "acct1.file.contoso.cloud.example",
        free,
    ];
    assert_eq!(config.hosts, hosts);
    assert_eq!(config.unmapped_hosts, []);
}

/// S1: clients are not configured for a name that an earlier version let a tenant claim; the answer says which and why.
#[tokio::test]
async fn a_name_of_an_earlier_version_is_not_in_the_configuration_of_clients() {
    let (service, storage, _) = world().await;
    let name = "login.cloud.example";
    // As it was before the rule: to this directory the name belongs to nobody.
    let unruled = directory(&service, "elsewhere.example").await;
    let tenant = unruled.find_tenant(T).await.unwrap().id;
    let by = Actor::local("test");
    let added = unruled.add_alias(&by, tenant, "acct1", name, NameScope::Installation);
    added.await.unwrap();
    let shown = storage.storage_account(T, "acct1").await.unwrap();
    assert_eq!(shown.aliases, [name]);
    let config = storage.client_config(T).await.unwrap();
    assert_eq!(config.hosts, ["acct1.file.contoso.cloud.example"]);
    let [unmapped] = config.unmapped_hosts.as_slice() else {
        panic!("{:?}", config.unmapped_hosts);
    };
    assert_eq!(
        (unmapped.host.as_str(), unmapped.reason),
        (name, Code::NameReserved)
    );
    assert!(unmapped.message.contains("KDC proxy"), "{unmapped:?}");
    storage.remove_alias(T, "acct1", name).await.unwrap();
    assert_eq!(storage.client_config(T).await.unwrap().unmapped_hosts, []);
}

/// F11: a host serves a new alias with the keys that it has, and no longer a removed one.
#[tokio::test]
async fn a_host_learns_of_added_and_removed_aliases() {
    let (service, storage, _) = world().await;
    let alias = "a.contoso.cloud.example";
    let added = storage.add_alias(T, "acct1", alias).await.unwrap();
    assert_eq!(added.aliases, [alias]);
    assert_eq!(storage.add_alias(T, "acct1", alias).await.unwrap(), added);
    let principal = format!("cifs/{alias}@KERBEROS.CONTOSO.CLOUD.EXAMPLE");
    let served = async || {
        let keytab = service.admin.storage_account_keytab(T, "acct1").await;
        let entries = keytab.unwrap().entries;
        entries.iter().any(|entry| entry.principal == principal)
    };
    assert!(served().await);
    storage.remove_alias(T, "acct1", alias).await.unwrap();
    assert!(!served().await);
    let again = refusal(storage.remove_alias(T, "acct1", alias).await);
    assert_eq!((again.status, again.code), (404, Code::AliasNotFound));
    let none = refusal(storage.add_alias(T, "none", alias).await);
    assert_eq!(none.code, Code::StorageAccountNotFound);
    let malformed = refusal(storage.add_alias(T, "acct1", "not a name").await);
    assert_eq!(malformed.code, Code::InvalidName);
    let spn = ServicePrincipalCreate {
        spn: format!("cifs/{alias}"),
    };
    let smb = refusal(storage.create_service_principal(T, &spn).await);
    assert_eq!((smb.status, smb.code), (400, Code::SpnOfStorageAccounts));
    assert_eq!(smb.details.name.as_deref(), Some(alias));
}
