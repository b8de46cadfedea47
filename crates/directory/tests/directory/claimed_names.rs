//! Which DNS names a tenant may claim (finding S1), through every operation that claims one; and F11, the aliases.

use crate::support::assert_fails;
use crate::support::{World, apply, by, code, corp, corp_trust, run, sid};
use crossrealm_directory::{
    ApplyIdentities, Directory, DirectoryError, NameScope, NewDomain, NewKerberosServer, NewTenant,
    RecordKind, Refusal, Result,
};
use crossrealm_kdc::TenantId;
use crossrealm_types::{PrepareTrust, StorageAccount, StorageAccountCreate};

const OWN: NameScope = NameScope::Own;
const FREE: NameScope = NameScope::Free;

async fn account(
    directory: &Directory,
    tenant: TenantId,
    alias: &str,
    scope: NameScope,
) -> Result<StorageAccount> {
    let new = StorageAccountCreate {
        name: "acct1".to_owned(),
        aliases: vec![alias.to_owned()],
    };
    directory
        .create_storage_account(&by(), tenant, new, scope)
        .await
}

fn domain(name: &str, number: u32) -> NewDomain {
    NewDomain {
        dns_name: name.to_owned(),
        flat_name: format!("D{number}"),
        sid: sid(&format!("S-1-5-21-9-9-{number}")),
        forest_root: None,
    }
}

/// S1: a service of a tenant gets none of the names that AD, the installation or another tenant answers at, by any
/// operation.
#[tokio::test]
async fn services_are_refused_names_that_others_answer_at() {
    let world = World::new().await;
    let d = &world.directory;
    let tenant = world.tenant("contoso").await.id;
    let other = world.tenant("fabrikam").await.id;
    d.register_domain(&by(), tenant, &corp()).await.unwrap();
    let foreign = NewDomain {
        forest_root: Some("root.example".to_owned()),
        ..domain("ad.root.example", 1)
    };
    d.register_domain(&by(), other, &foreign).await.unwrap();
    account(d, other, "share.fabrikam.com", FREE).await.unwrap();
    let new = StorageAccountCreate {
        name: "kept".to_owned(),
        aliases: Vec::new(),
    };
    d.create_storage_account(&by(), tenant, new, OWN)
        .await
        .unwrap();
    for (name, expected) in [
        ("dc1.corp.contoso.com", "name_in_ad_domain"),
        ("DC1.Corp.Contoso.COM", "name_in_ad_domain"),
        ("corp.contoso.com", "name_in_ad_domain"),
        ("contoso.com", "name_in_ad_domain"),
        ("dc.root.example", "name_in_ad_domain"),
        ("dc1", "name_reserved"),
        ("login.cloud.example", "name_reserved"),
        ("cloud.example", "name_reserved"),
        ("share.fabrikam.com", "name_of_other_tenant"),
        ("acct1.file.fabrikam.cloud.example", "name_of_other_tenant"),
    ] {
        assert_eq!(code(account(d, tenant, name, FREE).await), expected);
        let added = d.add_alias(&by(), tenant, "kept", name, FREE).await;
        assert_eq!(code(added), expected, "{name}");
        let spn = format!("host/{name}");
        let made = d.create_service_principal(&by(), tenant, &spn, FREE).await;
        assert_eq!(code(made), expected, "{name}");
    }
    assert_fails!(
        d.storage_account(tenant, "acct1").await,
        DirectoryError::NotFound { .. }
    );
    // What nobody answers at: a global administrator's decision.
    let alias = "files.contoso.com";
    assert_eq!(
        code(account(d, tenant, alias, OWN).await),
        "name_outside_tenant"
    );
    let made = account(d, tenant, alias, FREE).await.unwrap();
    assert_eq!(made.aliases, [alias]);
    d.create_service_principal(&by(), tenant, "http/www.contoso.cloud.example", OWN)
        .await
        .unwrap();
}

/// S1, the other way: an AD domain is not registered over names that a tenant holds, by any operation.
#[tokio::test]
async fn ad_domains_are_refused_over_names_of_tenants() {
    let world = World::new().await;
    let d = &world.directory;
    let tenant = world.tenant("contoso").await.id;
    let other = world.tenant("fabrikam").await.id;
    account(d, tenant, "files.contoso.com", FREE).await.unwrap();
    for (number, name) in [
        "contoso.com",
        "files.contoso.com",
        "ad.files.contoso.com",
        "contoso.cloud.example",
        "ad.contoso.cloud.example",
    ]
    .into_iter()
    .enumerate()
    {
        let new = domain(name, u32::try_from(number).unwrap());
        let root = NewDomain {
            dns_name: "child.example".to_owned(),
            forest_root: Some(name.to_owned()),
            ..new.clone()
        };
        for by_tenant in [tenant, other] {
            for new in [&new, &root] {
                let registered = d.register_domain(&by(), by_tenant, new).await;
                assert_eq!(code(registered), "ad_domain_covers_name", "{name}");
            }
            let trust = PrepareTrust {
                realm: name.to_uppercase(),
                flat_name: new.flat_name.clone(),
                sid: new.sid.clone(),
                ..corp_trust()
            };
            let prepared = d.prepare_trust(&by(), by_tenant, name, &trust).await;
            assert_eq!(code(prepared), "ad_domain_covers_name", "{name}");
            let synced = ApplyIdentities {
                domain: new.clone(),
                ..run(Vec::new())
            };
            let synced = d.apply_identities(&by(), by_tenant, synced).await;
            assert_eq!(code(synced), "ad_domain_covers_name", "{name}");
            let server = NewKerberosServer {
                domain: new.clone(),
                number: 1,
                display_name: "krbtgt_1".to_owned(),
                key_version: 1,
                key_updated_at: 0,
                account: None,
                computer: None,
            };
            let recorded = d.record_kerberos_server(&by(), by_tenant, &server).await;
            assert_eq!(code(recorded), "ad_domain_covers_name", "{name}");
        }
    }
    assert_eq!(d.domains(tenant).await.unwrap(), []);
    // Two tenants may serve one forest, and a domain of it may be added later.
    for by_tenant in [tenant, other] {
        d.register_domain(&by(), by_tenant, &corp()).await.unwrap();
        let child = domain("emea.corp.contoso.com", 7);
        d.register_domain(&by(), by_tenant, &child).await.unwrap();
    }
}

/// S1: a tenant or a trust gets no suffix that somebody else holds.
#[tokio::test]
async fn suffixes_of_others_are_refused() {
    let world = World::new().await;
    let d = &world.directory;
    let tenant = world.tenant("contoso").await.id;
    let other = world.tenant("fabrikam").await.id;
    d.prepare_trust(&by(), tenant, "corp.contoso.com", &corp_trust())
        .await
        .unwrap();
    account(d, tenant, "files.contoso.com", FREE).await.unwrap();
    for (name, expected) in [
        ("corp.contoso.com", "name_in_ad_domain"),
        ("cloud.corp.contoso.com", "name_in_ad_domain"),
        ("files.contoso.com", "name_of_other_tenant"),
        ("contoso.cloud.example", "name_of_other_tenant"),
        ("x.contoso.cloud.example", "name_of_other_tenant"),
        ("cloud.example", "name_reserved"),
        ("login.cloud.example", "name_reserved"),
    ] {
        let named = || NewTenant::named("third", "cloud.example");
        let by_suffix = NewTenant {
            top_level_names: vec![name.to_owned()],
            ..named()
        };
        let by_domain = NewTenant {
            domain: name.to_owned(),
            ..named()
        };
        let by_realm = NewTenant {
            realm: Some(name.to_uppercase()),
            ..named()
        };
        assert_eq!(code(d.create_tenant(&by(), by_suffix).await), expected);
        assert_eq!(code(d.create_tenant(&by(), by_realm).await), expected);
        if name != "contoso.cloud.example" {
            // Else it is taken before the rule is asked.
            assert_eq!(code(d.create_tenant(&by(), by_domain).await), expected);
        }
        let trust = PrepareTrust {
            top_level_names: vec![name.to_owned()],
            ..corp_trust()
        };
        let prepared = d
            .prepare_trust(&by(), other, "corp.contoso.com", &trust)
            .await;
        assert_eq!(code(prepared), expected, "{name}");
    }
    d.prepare_trust(&by(), other, "corp.contoso.com", &corp_trust())
        .await
        .unwrap();
    let confirmed = ["contoso.cloud.example".to_owned()];
    let confirmed = d
        .confirm_trust(&by(), other, "corp.contoso.com", 1, &confirmed)
        .await;
    assert_eq!(code(confirmed), "name_of_other_tenant");
    // A top-level name of a trust belongs to the tenant from then on.
    let wanted = PrepareTrust {
        top_level_names: vec!["storage.fabrikam.net".to_owned()],
        ..corp_trust()
    };
    d.prepare_trust(&by(), other, "corp.contoso.com", &wanted)
        .await
        .unwrap();
    account(d, other, "a.storage.fabrikam.net", OWN)
        .await
        .unwrap();
    let taken = d
        .add_alias(&by(), tenant, "acct1", "b.storage.fabrikam.net", FREE)
        .await;
    assert_eq!(code(taken), "name_of_other_tenant");
}

/// S1: what an earlier version accepted is served on, and is named so that no client is configured for it.
#[tokio::test]
async fn names_of_an_earlier_version_are_served_and_not_mapped() {
    let world = World::new().await;
    let d = &world.directory;
    let tenant = world.tenant("contoso").await.id;
    let made = account(d, tenant, "files.contoso.com", FREE).await.unwrap();
    d.register_domain(&by(), tenant, &corp()).await.unwrap();
    for (class, host) in [("cifs", "dc1.corp.contoso.com"), ("cifs", "dc1")] {
        sqlx::query(
            "INSERT INTO service_names (tenant_id, class, host, owner_kind, owner_id)
             SELECT tenant_id, $1, $2, 'account', id FROM storage_accounts",
        )
        .bind(class)
        .bind(host)
        .execute(&mut world.raw().await)
        .await
        .unwrap();
    }
    let shown = d.storage_account(tenant, "acct1").await.unwrap();
    let mut hosts = shown.aliases;
    assert_eq!(hosts, ["dc1", "dc1.corp.contoso.com", "files.contoso.com"]);
    hosts.push(made.host);
    let unmapped = d.unmappable_hosts(tenant, &hosts).await.unwrap();
    let unmapped: Vec<(&str, &str)> = unmapped
        .iter()
        .map(|(host, why)| (host.as_str(), why.code()))
        .collect();
    assert_eq!(
        unmapped,
        [
            ("dc1", "name_reserved"),
            ("dc1.corp.contoso.com", "name_in_ad_domain"),
        ]
    );
    // They can be removed, and the domain that they lie in is registered still.
    d.remove_alias(&by(), tenant, "acct1", "dc1").await.unwrap();
    apply(d, tenant, Vec::new()).await;
}

/// F11: aliases come and go while the account stays, with its keys.
#[tokio::test]
async fn aliases_are_added_and_removed() {
    let world = World::new().await;
    let d = &world.directory;
    let tenant = world.tenant("contoso").await.id;
    let made = account(d, tenant, "a.contoso.cloud.example", OWN)
        .await
        .unwrap();
    let add = async |alias: &str| d.add_alias(&by(), tenant, "acct1", alias, OWN).await;
    let added = add("B.contoso.cloud.example").await.unwrap();
    let aliases = ["a.contoso.cloud.example", "b.contoso.cloud.example"];
    assert_eq!(
        (added.aliases.as_slice(), added.keys),
        (&aliases.map(str::to_owned)[..], made.keys)
    );
    let events = "SELECT COUNT(*) FROM events WHERE action = 'storage-account.add-alias' AND detail = 'b.contoso.cloud.example'";
    assert_eq!(world.count(events).await, 1);
    // Again, and the account's own host: nothing to do.
    add("b.contoso.cloud.example").await.unwrap();
    add(&made.host).await.unwrap();
    assert_eq!(world.count(events).await, 1);
    let principals = d
        .host_state(tenant, "acct1")
        .await
        .unwrap()
        .keytab
        .principals;
    assert!(
        principals.contains(&"cifs/b.contoso.cloud.example".to_owned()),
        "{principals:?}"
    );
    let before = d.host_state(tenant, "acct1").await.unwrap().version;
    d.remove_alias(&by(), tenant, "acct1", "A.contoso.cloud.example")
        .await
        .unwrap();
    let after = d.host_state(tenant, "acct1").await.unwrap();
    assert_ne!(before, after.version);
    assert_eq!(after.account.aliases, ["b.contoso.cloud.example"]);
    for absent in ["a.contoso.cloud.example", made.host.as_str()] {
        assert_fails!(
            d.remove_alias(&by(), tenant, "acct1", absent).await,
            DirectoryError::NotFound {
                kind: RecordKind::Alias,
                ..
            }
        );
    }
    for number in 1..50 {
        add(&format!("n{number}.contoso.cloud.example"))
            .await
            .unwrap();
    }
    assert_fails!(
        add("one-more.contoso.cloud.example").await,
        DirectoryError::Refused(Refusal::TooManyAliases { most: 50, .. })
    );
}

/// F11: a service principal for SMB would have keys that no storage account serves with.
#[tokio::test]
async fn a_service_principal_for_smb_is_refused() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let spn = "CIFS/files.contoso.cloud.example";
    let made = world
        .directory
        .create_service_principal(&by(), tenant, spn, FREE)
        .await;
    assert_eq!(code(made), "spn_of_storage_accounts");
}
