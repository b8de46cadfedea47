//! Storage accounts, service principals and their keys.

use crate::support::assert_fails;
use crate::support::{World, by, code, grant_of, path, sid};
use crossrealm_directory::{DirectoryError, NameScope, Page, RecordKind};
use crossrealm_kdc::{Service, TenantId};
use crossrealm_types::{KeySlot, ShareRole, StorageAccount, StorageAccountCreate};
use std::sync::Arc;

const HOST: &str = "acct1.file.contoso.cloud.example";

async fn account(
    world: &World,
    tenant: TenantId,
    name: &str,
    aliases: &[&str],
) -> crossrealm_directory::Result<StorageAccount> {
    let new = StorageAccountCreate {
        name: name.to_owned(),
        aliases: aliases.iter().map(|a| (*a).to_owned()).collect(),
    };
    world
        .directory
        .create_storage_account(&by(), tenant, new, NameScope::Free)
        .await
}

async fn service(world: &World, tenant: TenantId, name: &str) -> Option<Arc<Service>> {
    grant_of(&world.directory, tenant, &sid("S-1-5-21-1-2-3-1001"), name)
        .await
        .1
}

#[tokio::test]
async fn an_account_is_found_by_its_host_and_aliases() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let made = account(&world, tenant, "acct1", &["Files.Contoso.com"])
        .await
        .unwrap();
    assert_eq!(
        (made.host.as_str(), made.aliases.as_slice()),
        (HOST, &["files.contoso.com".to_owned()][..])
    );
    let keys: Vec<(KeySlot, u32, bool)> = made
        .keys
        .iter()
        .map(|k| (k.slot, k.kvno, k.encrypts))
        .collect();
    assert_eq!(
        keys,
        [(KeySlot::Kerb1, 1, true), (KeySlot::Kerb2, 2, false)]
    );
    for name in [
        format!("CIFS/{HOST}"),
        format!("cifs/{}", HOST.to_uppercase()),
        format!("host/{HOST}"),
        "cifs/files.contoso.com".into(),
    ] {
        let found = service(&world, tenant, &name).await.unwrap();
        assert_eq!(
            (found.name.as_str(), found.keys[0].kvno, found.keys.len()),
            ("acct1", 1, 2),
            "{name}"
        );
    }
    for name in [
        "cifs/acct2.file.contoso.cloud.example",
        "http/acct1.file.contoso.cloud.example",
        "cifs/contoso.com",
        "cifs/a\0b",
        "cifs/",
    ] {
        assert!(service(&world, tenant, name).await.is_none(), "{name}");
    }
}

#[tokio::test]
async fn no_two_services_share_a_name() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    account(&world, tenant, "acct1", &["files.contoso.com"])
        .await
        .unwrap();
    assert_fails!(
        account(&world, tenant, "acct1", &[]).await,
        DirectoryError::Exists {
            kind: RecordKind::StorageAccount,
            ..
        }
    );
    for alias in ["files.contoso.com", HOST] {
        assert_fails!(
            account(&world, tenant, "acct2", &[alias]).await,
            DirectoryError::Exists { by: Some(_), .. }
        );
    }
    let d = &world.directory;
    assert_fails!(
        d.storage_account(tenant, "acct2").await,
        DirectoryError::NotFound { .. }
    );
    assert_fails!(
        d.create_service_principal(&by(), tenant, "HOST/files.contoso.com", NameScope::Free)
            .await,
        DirectoryError::Exists { by: Some(_), .. }
    );
    d.create_service_principal(&by(), tenant, "postgres/db1.contoso.com", NameScope::Free)
        .await
        .unwrap();
    assert_fails!(
        d.create_service_principal(&by(), tenant, "POSTGRES/db1.contoso.com", NameScope::Free)
            .await,
        DirectoryError::Exists { .. }
    );
    d.create_service_principal(&by(), tenant, "host/db1.contoso.com", NameScope::Free)
        .await
        .unwrap();
    assert_fails!(
        account(&world, tenant, "acct3", &["db1.contoso.com"]).await,
        DirectoryError::Exists { .. }
    );
    for bad in ["A", "acct_1", "../../x"] {
        assert_fails!(
            account(&world, tenant, bad, &[]).await,
            DirectoryError::Invalid { .. }
        );
    }
    assert_fails!(
        account(&world, tenant, "acct4", &["not a name"]).await,
        DirectoryError::Invalid { .. }
    );
    let other = world.tenant("other").await.id;
    account(&world, other, "acct1", &[]).await.unwrap();
}

#[tokio::test]
async fn rotation_encrypts_with_a_key_that_hosts_already_hold() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    account(&world, tenant, "acct1", &[]).await.unwrap();
    let d = &world.directory;
    let name = format!("cifs/{HOST}");
    let before = d
        .storage_account_keytab(&by(), tenant, "acct1")
        .await
        .unwrap();
    assert_eq!(
        before.principals,
        [format!("cifs/{HOST}"), format!("host/{HOST}")]
    );
    let mut held = before.keys;
    for (slot, expected) in [
        (KeySlot::Kerb1, 2),
        (KeySlot::Kerb1, 2),
        (KeySlot::Kerb2, 4),
        (KeySlot::Kerb1, 5),
    ] {
        let opened_before = service(&world, tenant, &name).await.unwrap().keys[0].clone();
        d.rotate_storage_key(&by(), tenant, "acct1", slot, false)
            .await
            .unwrap();
        let sealing = service(&world, tenant, &name).await.unwrap().keys[0].clone();
        assert_eq!(sealing.kvno, expected);
        assert!(
            held.iter()
                .any(|k| k.kvno == sealing.kvno && k.key.as_bytes() == sealing.key.as_bytes())
        );
        held = d.host_state(tenant, "acct1").await.unwrap().keytab.keys;
        // A ticket encrypted just before the rotation is still decrypted by the host.
        assert!(
            held.iter().any(|k| k.kvno == opened_before.kvno
                && k.key.as_bytes() == opened_before.key.as_bytes())
        );
    }
    assert_eq!(
        world
            .count("SELECT COUNT(*) FROM events WHERE action = 'storage-account.keytab'")
            .await,
        1
    );
    sqlx::query("UPDATE kerberos_keys SET retires_at = 1 WHERE retires_at IS NOT NULL")
        .execute(&mut world.raw().await)
        .await
        .unwrap();
    assert_eq!(
        d.storage_account(tenant, "acct1").await.unwrap().keys.len(),
        2
    );
    d.rotate_storage_key(&by(), tenant, "acct1", KeySlot::Kerb2, false)
        .await
        .unwrap();
    assert_eq!(
        d.storage_account(tenant, "acct1").await.unwrap().keys.len(),
        3
    );
    assert_eq!(
        world
            .count("SELECT COUNT(*) FROM kerberos_keys WHERE owner_kind = 'account'")
            .await,
        3
    );
}

#[tokio::test]
async fn an_account_with_shares_is_not_deleted() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    account(&world, tenant, "acct1", &[]).await.unwrap();
    d.create_share(&by(), tenant, path("acct1", "projects"), None)
        .await
        .unwrap();
    assert_eq!(
        code(
            d.delete_storage_account(&by(), tenant, "acct1", false)
                .await
        ),
        "account_has_shares"
    );
    d.delete_share(&by(), tenant, path("acct1", "projects"))
        .await
        .unwrap();
    d.delete_storage_account(&by(), tenant, "acct1", false)
        .await
        .unwrap();
    assert!(
        service(&world, tenant, &format!("cifs/{HOST}"))
            .await
            .is_none()
    );
    assert_eq!(
        world
            .count("SELECT COUNT(*) FROM kerberos_keys WHERE owner_kind = 'account'")
            .await,
        0
    );
    let again = account(&world, tenant, "acct1", &[]).await.unwrap();
    assert_eq!(again.keys[0].kvno, 1);
    d.set_default_role(&by(), tenant, "acct1", Some(ShareRole::Reader))
        .await
        .unwrap();
    let list = d.storage_accounts(tenant, &Page::first()).await.unwrap();
    assert_eq!(list.items[0].default_role, Some(ShareRole::Reader));
}

/// F5: an acceptor looks for its own spelling in the keytab (`HTTP/web`, `MSSQLSvc/db1`, `TERMSRV/rd1`), so that is what a
/// principal is called; everything else compares without case. A principal of before has the spelling that is known of it.
#[tokio::test]
async fn a_service_principal_keeps_its_spelling() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    for given in [
        "HTTP/Web.contoso.com",
        "MSSQLSvc/db1.contoso.com",
        "TERMSRV/RD1.contoso.com",
    ] {
        let actor = by();
        let made = d.create_service_principal(&actor, tenant, given, NameScope::Free);
        assert_eq!(made.await.unwrap().spn, given);
        let other_case = given.to_uppercase();
        let found = d.service_principal(tenant, &other_case).await.unwrap();
        assert_eq!(found.spn, given);
        assert!(service(&world, tenant, &other_case).await.is_some());
        let keytab = d.service_principal_keytab(&actor, tenant, &other_case);
        assert_eq!(keytab.await.unwrap().principals, [given]);
        assert_fails!(
            d.create_service_principal(&by(), tenant, &given.to_lowercase(), NameScope::Free)
                .await,
            DirectoryError::Exists { .. }
        );
    }
    let page = |after: Option<String>| Page { after, limit: 1 };
    let (mut after, mut listed) = (None, Vec::new());
    loop {
        let found = d.service_principals(tenant, &page(after)).await.unwrap();
        listed.extend(found.items.into_iter().map(|one| one.spn));
        after = found.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(
        listed,
        [
            "HTTP/Web.contoso.com",
            "MSSQLSvc/db1.contoso.com",
            "TERMSRV/RD1.contoso.com"
        ]
    );
    sqlx::query("UPDATE service_principals SET spelling = ''")
        .execute(&mut world.raw().await)
        .await
        .unwrap();
    let before = d.service_principal(tenant, "HTTP/web.contoso.com").await;
    assert_eq!(before.unwrap().spn, "http/web.contoso.com");
}

#[tokio::test]
async fn service_principals_are_created_rotated_and_deleted() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    let made = d
        .create_service_principal(&by(), tenant, "Postgres/DB1.contoso.com", NameScope::Free)
        .await
        .unwrap();
    assert_eq!(
        service(&world, tenant, &made.spn).await.unwrap().name,
        "postgres/db1.contoso.com"
    );
    let rotated = d
        .rotate_service_principal_key(&by(), tenant, &made.spn, KeySlot::Kerb1)
        .await
        .unwrap();
    assert_eq!(rotated.keys[0].kvno, 2);
    let keytab = d
        .service_principal_keytab(&by(), tenant, &made.spn)
        .await
        .unwrap();
    assert_eq!((keytab.principals.len(), keytab.keys.len()), (1, 3));
    assert_eq!(
        d.service_principals(tenant, &Page::first())
            .await
            .unwrap()
            .items
            .len(),
        1
    );
    d.delete_service_principal(&by(), tenant, &made.spn)
        .await
        .unwrap();
    assert!(service(&world, tenant, &made.spn).await.is_none());
    assert_fails!(
        d.service_principal(tenant, &made.spn).await,
        DirectoryError::NotFound { .. }
    );
    assert_fails!(
        d.create_service_principal(&by(), tenant, "krbtgt/CONTOSO", NameScope::Free)
            .await,
        DirectoryError::Invalid { .. }
    );
}
