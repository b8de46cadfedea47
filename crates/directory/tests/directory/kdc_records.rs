//! The answers to the KDC: the right tenant, freshness, and that nothing is written.

use crate::support::{
    CORP, World, apply, by, corp_trust, grant_of, guid, identity_of, people, rid_sid, run,
    trust_of, user,
};
use crossrealm_directory::{ApplyIdentities, Directory, IdentityChange, NameScope};
use crossrealm_kdc::{Lookups, Records, ServiceName, TenantId, Wanted};
use crossrealm_types::{IdentityState, KeySlot, StorageAccountCreate, SyncedIdentity};
use std::time::{Duration, Instant};

async fn furnish(d: &Directory, tenant: TenantId) {
    furnish_at(d, tenant, "files.contoso.com").await;
}

async fn furnish_at(d: &Directory, tenant: TenantId, alias: &str) {
    d.prepare_trust(&by(), tenant, CORP, &corp_trust())
        .await
        .unwrap();
    people(d, tenant).await;
    let new = StorageAccountCreate {
        name: "acct1".into(),
        aliases: vec![alias.into()],
    };
    d.create_storage_account(&by(), tenant, new, NameScope::Free)
        .await
        .unwrap();
}

#[tokio::test]
async fn two_tenants_never_answer_for_each_other() {
    let world = World::new().await;
    let (a, b) = (world.tenant("a").await, world.tenant("b").await);
    let d = &world.directory;
    furnish(d, a.id).await;
    // b is empty: nothing of a is found there, in any order of requests.
    for _ in 0..2 {
        assert!(trust_of(d, a.id).await.is_some());
        assert!(trust_of(d, b.id).await.is_none());
        let (identity, service) = grant_of(d, a.id, &rid_sid(1), "cifs/files.contoso.com").await;
        assert!(identity.is_some() && service.is_some());
        let (identity, service) = grant_of(d, b.id, &rid_sid(1), "cifs/files.contoso.com").await;
        assert!(identity.is_none() && service.is_none());
    }
    // b has the same names, with other keys; the alias as an earlier version let it have.
    furnish_at(d, b.id, "share.contoso.com").await;
    sqlx::query(
        "UPDATE service_names SET host = 'files.contoso.com' WHERE host = 'share.contoso.com'",
    )
    .execute(&mut world.raw().await)
    .await
    .unwrap();
    let (ta, tb) = (
        trust_of(d, a.id).await.unwrap(),
        trust_of(d, b.id).await.unwrap(),
    );
    assert_ne!(ta.keys[0].keys[0].as_bytes(), tb.keys[0].keys[0].as_bytes());
    let service = |tenant| async move {
        grant_of(d, tenant, &rid_sid(1), "cifs/files.contoso.com")
            .await
            .1
            .unwrap()
    };
    assert_ne!(
        service(a.id).await.keys[0].key.as_bytes(),
        service(b.id).await.keys[0].key.as_bytes()
    );
    apply(d, b.id, vec![IdentityChange::Delete(guid(1))]).await;
    assert_eq!(
        identity_of(d, a.id, 1).await.unwrap().state,
        IdentityState::Enabled
    );
    assert_eq!(
        identity_of(d, b.id, 1).await.unwrap().state,
        IdentityState::Deleted
    );
}

#[tokio::test]
async fn the_tenant_and_its_keys_are_in_the_answer() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await;
    let issuer = tenant.realm.clone();
    let lookups = Lookups {
        tenant: tenant.id,
        wanted: Wanted::Parties { issuer },
    };
    match world.directory.records(&lookups).await {
        Records::Parties {
            tenant: record,
            trust,
        } => {
            assert!(trust.is_none());
            assert_eq!(
                (record.realm.as_str(), record.id),
                (tenant.realm.as_str(), tenant.id)
            );
            assert_eq!(
                (record.krbtgt_keys.len(), record.krbtgt_keys[0].kvno),
                (1, 1)
            );
        }
        other => panic!("{other:?}"),
    }
    let unknown = Lookups {
        tenant: TenantId([1; 16]),
        ..lookups
    };
    assert!(matches!(
        world.directory.records(&unknown).await,
        Records::Unavailable(_)
    ));
}

#[tokio::test]
async fn a_change_by_this_node_is_seen_at_once() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    furnish(d, tenant).await;
    for n in 0..20 {
        let state = [IdentityState::Disabled, IdentityState::Enabled][n % 2];
        apply(
            d,
            tenant,
            vec![IdentityChange::Upsert(SyncedIdentity {
                state,
                ..user(1, "alice")
            })],
        )
        .await;
        assert_eq!(identity_of(d, tenant, 1).await.unwrap().state, state);
    }
    let before = grant_of(d, tenant, &rid_sid(1), "cifs/files.contoso.com")
        .await
        .1
        .unwrap();
    d.rotate_storage_key(&by(), tenant, "acct1", KeySlot::Kerb1, false)
        .await
        .unwrap();
    let after = grant_of(d, tenant, &rid_sid(1), "cifs/files.contoso.com")
        .await
        .1
        .unwrap();
    assert_ne!(before.keys[0].kvno, after.keys[0].kvno);
}

#[tokio::test]
async fn a_change_by_another_node_is_seen_within_a_second() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    furnish(&world.directory, tenant).await;
    let other = world.other_node().await;
    assert_eq!(
        identity_of(&other, tenant, 1).await.unwrap().state,
        IdentityState::Enabled
    );
    assert!(trust_of(&other, tenant).await.is_some());
    let disabled = SyncedIdentity {
        state: IdentityState::Disabled,
        ..user(1, "alice")
    };
    apply(
        &world.directory,
        tenant,
        vec![IdentityChange::Upsert(disabled)],
    )
    .await;
    world
        .directory
        .delete_trust(&by(), tenant, CORP)
        .await
        .unwrap();
    let start = Instant::now();
    while identity_of(&other, tenant, 1).await.unwrap().state == IdentityState::Enabled
        || trust_of(&other, tenant).await.is_some()
    {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "the changes are not seen"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn repeated_answers_read_no_database() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    furnish(d, tenant).await;
    let round = || async {
        trust_of(d, tenant).await.unwrap();
        grant_of(d, tenant, &rid_sid(1), "cifs/files.contoso.com")
            .await
            .1
            .unwrap();
    };
    round().await;
    let first = trust_of(d, tenant).await.unwrap();
    for _ in 0..2000 {
        round().await;
        // Nothing was derived again: it is the same object.
        let again = trust_of(d, tenant).await.unwrap();
        assert!(std::sync::Arc::ptr_eq(&first, &again));
    }
}

#[tokio::test]
async fn a_user_without_upn_gets_the_implicit_one() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let no_upn = SyncedIdentity {
        upn: String::new(),
        ..user(1, "alice")
    };
    apply(
        &world.directory,
        tenant,
        vec![IdentityChange::Upsert(no_upn)],
    )
    .await;
    assert_eq!(
        identity_of(&world.directory, tenant, 1).await.unwrap().upn,
        "alice@corp.contoso.com"
    );
}

/// R2: after a failover to a replica that was behind, the database may hold another content for a change that this node has
/// seen. What this node remembers of the lost content is not used.
#[tokio::test]
async fn what_was_read_before_the_database_went_back_is_not_used() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    people(&world.directory, tenant).await;
    let mut raw = world.raw().await;
    let (configuration, identities): (i64, i64) =
        sqlx::query_as("SELECT parties_change, identities_change FROM tenants")
            .fetch_one(&mut raw)
            .await
            .unwrap();
    // A change of which the replica knows nothing; the node remembers what it read after it.
    apply(
        &world.directory,
        tenant,
        vec![IdentityChange::Upsert(user(2, "bob"))],
    )
    .await;
    let alice = identity_of(&world.directory, tenant, 1).await.unwrap();
    assert_eq!(alice.state, IdentityState::Enabled);
    // The replica takes over: it has the marks from before, and another change is made there.
    sqlx::query("UPDATE tenants SET parties_change = $1, identities_change = $2")
        .bind(configuration)
        .bind(identities)
        .execute(&mut raw)
        .await
        .unwrap();
    let disabled = SyncedIdentity {
        state: IdentityState::Disabled,
        ..user(1, "alice")
    };
    let other = world.other_node().await;
    apply(&other, tenant, vec![IdentityChange::Upsert(disabled)]).await;
    let began = Instant::now();
    while identity_of(&world.directory, tenant, 1)
        .await
        .unwrap()
        .state
        == IdentityState::Enabled
    {
        assert!(began.elapsed() < Duration::from_secs(30), "still enabled");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    other.close().await;
}

/// R12: a node that finds its database without what it wrote lets the domains that were synchronized wait for a full sync, and
/// says so in an event.
#[tokio::test]
async fn a_database_that_went_back_issues_no_tickets_before_a_full_sync() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    people(d, tenant).await;
    let complete = |incremental| ApplyIdentities {
        last: true,
        cursor: Some("1".into()),
        incremental,
        ..run(vec![])
    };
    d.apply_identities(&by(), tenant, complete(false))
        .await
        .unwrap();
    for _ in 0..3 {
        d.probe_write(Duration::ZERO).await.unwrap();
    }
    assert!(identity_of(d, tenant, 1).await.is_some());
    sqlx::query("UPDATE meta SET value = $1 WHERE name = 'heartbeats'")
        .bind(1_i64.to_be_bytes().to_vec())
        .execute(&mut world.raw().await)
        .await
        .unwrap();
    let wanted = Wanted::Grant {
        sid: rid_sid(1),
        service: ServiceName::new("cifs", "none.example"),
    };
    let lookups = Lookups { tenant, wanted };
    let waits = async || match d.records(&lookups).await {
        Records::Unavailable(why) => why.contains("waits for a full sync"),
        Records::Grant { .. } => false,
        other => panic!("{other:?}"),
    };
    // R2: also before the next heartbeat, as soon as the database is read again.
    let began = Instant::now();
    loop {
        match d.records(&lookups).await {
            Records::Unavailable(why) if why.contains("lacks what this node wrote") => break,
            Records::Grant { .. } => {}
            other => panic!("{other:?}"),
        }
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "tickets by an older database"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    d.probe_write(Duration::ZERO).await.unwrap();
    assert!(waits().await);
    assert!(d.sync_state(tenant, CORP).await.unwrap().awaits_full_sync);
    assert_eq!(
        world
            .count("SELECT COUNT(*) FROM events WHERE action = 'store.went-back'")
            .await,
        1
    );
    // An incremental sync brings nothing back.
    d.apply_identities(&by(), tenant, complete(true))
        .await
        .unwrap();
    assert!(waits().await);
    d.apply_identities(&by(), tenant, complete(false))
        .await
        .unwrap();
    assert!(!waits().await);
    // Once.
    d.probe_write(Duration::ZERO).await.unwrap();
    assert!(!waits().await);
}
