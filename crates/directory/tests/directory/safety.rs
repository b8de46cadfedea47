//! Tampering, concurrent writers, and a killed process.

use crate::support::{CORP, World, by, corp_trust, grant_of, guid, open, path, rid_sid, run, user};
use crossrealm_directory::{Directory, DirectoryError, IdentityChange, NameScope, NewTenant, Page};
use crossrealm_kdc::{Lookups, Records, TenantId, Wanted};
use crossrealm_types::StorageAccountCreate;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

async fn account(d: &Directory, tenant: TenantId, name: &str) -> crossrealm_directory::Result<()> {
    let new = StorageAccountCreate {
        name: name.to_owned(),
        aliases: Vec::new(),
    };
    d.create_storage_account(&by(), tenant, new, NameScope::Free)
        .await
        .map(drop)
}

#[tokio::test]
async fn sealed_keys_of_another_record_are_not_unsealed() {
    let world = World::new().await;
    let d = &world.directory;
    let (a, b) = (world.tenant("a").await.id, world.tenant("b").await.id);
    for tenant in [a, b] {
        account(d, tenant, "acct1").await.unwrap();
        d.prepare_trust(&by(), tenant, CORP, &corp_trust())
            .await
            .unwrap();
    }
    let krbtgt = "owner_kind = 'krbtgt'";
    let account_key = "owner_kind = 'account' AND kvno = 1";
    let swaps = [
        // The value of another tenant, kind, or version.
        format!("UPDATE kerberos_keys SET sealed = (SELECT sealed FROM kerberos_keys WHERE {krbtgt} AND tenant_id = $2) WHERE {krbtgt} AND tenant_id = $1"),
        format!("UPDATE kerberos_keys SET sealed = (SELECT sealed FROM kerberos_keys WHERE {account_key} AND tenant_id = $1) WHERE {krbtgt} AND tenant_id = $1 AND $2 IS NOT NULL"),
        format!("UPDATE kerberos_keys SET sealed = (SELECT sealed FROM kerberos_keys WHERE owner_kind = 'account' AND kvno = 2 AND tenant_id = $1) WHERE {account_key} AND tenant_id = $1 AND $2 IS NOT NULL"),
        format!("UPDATE kerberos_keys SET sealed = (SELECT sealed FROM kerberos_keys WHERE {account_key} AND tenant_id = $2) WHERE {account_key} AND tenant_id = $1"),
        "UPDATE trust_secrets SET sealed = (SELECT s.sealed FROM trust_secrets s JOIN trusts t ON t.id = s.trust_id WHERE t.tenant_id = $2)
         WHERE trust_id = (SELECT id FROM trusts WHERE tenant_id = $1)".to_owned(),
        "UPDATE trust_secrets SET version = 2 WHERE trust_id = (SELECT id FROM trusts WHERE tenant_id = $1 AND $2 IS NOT NULL)".to_owned(),
    ];
    for swap in swaps {
        let mut raw = world.raw().await;
        let mut tx = sqlx::Connection::begin(&mut raw).await.unwrap();
        let done = sqlx::query(sqlx::AssertSqlSafe(swap.clone()))
            .bind(a.as_bytes().to_vec())
            .bind(b.as_bytes().to_vec())
            .execute(&mut *tx)
            .await
            .unwrap();
        assert_eq!(done.rows_affected(), 1, "{swap}");
        tx.commit().await.unwrap();
        let node = world.other_node().await;
        let parties = Lookups {
            tenant: a,
            wanted: Wanted::Parties {
                issuer: CORP.to_uppercase(),
            },
        };
        let grant = Lookups {
            tenant: a,
            wanted: Wanted::Grant {
                sid: rid_sid(1),
                service: crossrealm_kdc::ServiceName::new("cifs", "acct1.file.a.cloud.example"),
            },
        };
        let answers = [node.records(&parties).await, node.records(&grant).await];
        let refused = answers.iter().any(|answer| match answer {
            Records::Unavailable(text) => text.contains("cannot unseal"),
            _ => false,
        });
        assert!(refused, "{swap}");
        // The other tenant is not affected.
        let other = grant_of(&node, b, &rid_sid(1), "cifs/acct1.file.b.cloud.example").await;
        assert!(other.1.is_some());
        node.close().await;
        restore(&world, a).await;
    }
}

/// Recreates tenant `a`'s records for the next case.
async fn restore(world: &World, a: TenantId) {
    let d = &world.directory;
    d.delete_trust(&by(), a, CORP).await.unwrap();
    d.prepare_trust(&by(), a, CORP, &corp_trust())
        .await
        .unwrap();
    d.delete_storage_account(&by(), a, "acct1", false)
        .await
        .unwrap();
    account(d, a, "acct1").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_writers_on_two_nodes_lose_no_change() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let nodes = [world.directory.clone(), world.other_node().await];
    let mut tasks = Vec::new();
    for writer in 0..8u32 {
        let node = nodes[writer as usize % 2].clone();
        tasks.push(tokio::spawn(async move {
            for n in 0..10u32 {
                let number = writer * 10 + n;
                account(&node, tenant, &format!("acct{number}"))
                    .await
                    .unwrap();
                let change = IdentityChange::Upsert(user(number, &format!("u{number}")));
                let outcome = node
                    .apply_identities(&by(), tenant, run(vec![change]))
                    .await
                    .unwrap();
                assert_eq!(outcome.created, 1);
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    for node in &nodes {
        assert_eq!(
            node.storage_accounts(tenant, &Page::first())
                .await
                .unwrap()
                .items
                .len(),
            80
        );
        assert_eq!(node.sync_state(tenant, CORP).await.unwrap().users, 80);
    }
    assert_eq!(
        world
            .count("SELECT COUNT(*) FROM events WHERE action = 'storage-account.create'")
            .await,
        80
    );
    // Two writers of the same name: one succeeds.
    let (one, two) = tokio::join!(
        account(&nodes[0], tenant, "same"),
        account(&nodes[1], tenant, "same")
    );
    assert_eq!(
        [one.is_ok(), two.is_ok()].iter().filter(|ok| **ok).count(),
        1
    );
}

#[tokio::test]
async fn a_dropped_request_leaves_no_partial_change() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = world.directory.clone();
    for wait_us in (0..20_000).step_by(1_000) {
        let changes = (0..200)
            .map(|n| IdentityChange::Upsert(user(n, &format!("u{n}"))))
            .collect();
        let actor = by();
        let apply = d.apply_identities(&actor, tenant, run(changes));
        let _ = tokio::time::timeout(Duration::from_micros(wait_us), apply).await;
        let users = d.sync_state(tenant, CORP).await.unwrap().users;
        assert!(users == 0 || users == 200, "{users} of 200");
        let deletions = (0..200).map(|n| IdentityChange::Delete(guid(n))).collect();
        d.apply_identities(&by(), tenant, run(deletions))
            .await
            .unwrap();
    }
}

const CHILD: &str = "CROSSREALM_TEST_KILLED_WRITER";

/// Not a test by itself: the process that the next test kills.
#[tokio::test]
async fn writer_that_is_killed() {
    let Ok(url) = std::env::var(CHILD) else {
        return;
    };
    let d = open(&url, 7).await.unwrap();
    let tenant = d.find_tenant("contoso").await.unwrap().id;
    for n in 0.. {
        let name = format!("a{}x{n}", std::process::id());
        account(&d, tenant, &name).await.unwrap();
        d.create_share(&by(), tenant, path(&name, "projects"), None)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_killed_process_leaves_a_sound_database() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    for wait_ms in [0, 3, 11, 27] {
        let accounts = "SELECT COUNT(*) FROM storage_accounts";
        let before = world.count(accounts).await;
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "safety::writer_that_is_killed"])
            .env(CHILD, world.url())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Killed at some point while it writes.
        let deadline = Instant::now() + Duration::from_secs(60);
        while world.count(accounts).await == before {
            assert!(Instant::now() < deadline, "the writer did not get to write");
        }
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let accounts = world.count("SELECT COUNT(*) FROM storage_accounts").await;
    assert_eq!(
        world
            .count("SELECT COUNT(*) FROM kerberos_keys WHERE owner_kind = 'account'")
            .await,
        accounts * 2
    );
    assert_eq!(
        world.count("SELECT COUNT(*) FROM service_names").await,
        accounts * 2
    );
    assert_eq!(
        world
            .count("SELECT COUNT(*) FROM events WHERE action = 'storage-account.create'")
            .await,
        accounts
    );
    assert_eq!(
        world.count("SELECT COUNT(*) FROM shares").await,
        world
            .count("SELECT COUNT(*) FROM events WHERE action = 'share.create'")
            .await
    );
    let d = open(world.url(), 7).await.unwrap();
    let first = d
        .storage_accounts(tenant, &Page::first())
        .await
        .unwrap()
        .items
        .remove(0);
    assert_eq!(
        d.storage_account_keytab(&by(), tenant, &first.name)
            .await
            .unwrap()
            .keys
            .len(),
        2
    );
}

#[tokio::test]
async fn a_closed_directory_returns_errors() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await;
    world.directory.close().await;
    let new = NewTenant::named("x", "cloud.example");
    assert!(matches!(
        world.directory.create_tenant(&by(), new).await,
        Err(DirectoryError::Database(_))
    ));
    let parties = Lookups {
        tenant: tenant.id,
        wanted: Wanted::Parties { issuer: "X".into() },
    };
    assert!(matches!(
        world.directory.records(&parties).await,
        Records::Unavailable(_)
    ));
}
