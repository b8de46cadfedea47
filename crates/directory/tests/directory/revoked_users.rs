//! Users that the hosts of a tenant refuse although their tickets are valid.

use crate::support::{World, apply, by, guid, people, rid_sid, user};
use crossrealm_directory::{IdentityChange, MAX_REVOKED_USERS, NameScope};
use crossrealm_types::{DisabledReason, IdentityState, StorageAccountCreate, SyncedIdentity};

pub(crate) async fn account(world: &World) -> crossrealm_kdc::TenantId {
    let tenant = world.tenant("contoso").await.id;
    let account = StorageAccountCreate {
        name: "acct1".into(),
        aliases: vec![],
    };
    let d = &world.directory;
    d.create_storage_account(&by(), tenant, account, NameScope::Free)
        .await
        .unwrap();
    tenant
}

/// Locked out after wrong passwords.
fn locked(n: u32, name: &str) -> IdentityChange {
    IdentityChange::Upsert(SyncedIdentity {
        state: IdentityState::Disabled,
        disabled_reason: Some(DisabledReason::Locked),
        ..user(n, name)
    })
}

fn disabled(n: u32, name: &str) -> IdentityChange {
    IdentityChange::Upsert(SyncedIdentity {
        state: IdentityState::Disabled,
        ..user(n, name)
    })
}

#[tokio::test]
async fn users_who_may_no_longer_sign_in_are_revoked_until_the_last_ticket_expires() {
    let world = World::new().await;
    let tenant = account(&world).await;
    let d = &world.directory;
    people(d, tenant).await;
    let state = async || d.host_state(tenant, "acct1").await.unwrap();
    let revoked = async || state().await.revoked_users.sids;
    // mallory was synced disabled and never had a ticket.
    let before = state().await;
    assert_eq!(before.revoked_users.sids, []);
    apply(
        d,
        tenant,
        vec![disabled(1, "alice"), IdentityChange::Delete(guid(2))],
    )
    .await;
    assert_eq!(revoked().await, [rid_sid(1), rid_sid(2)]);
    assert_ne!(state().await.version, before.version);
    apply(d, tenant, vec![IdentityChange::Upsert(user(4, "dora"))]).await;
    apply(d, tenant, vec![locked(4, "dora")]).await;
    assert_eq!(revoked().await, [rid_sid(1), rid_sid(2)]);
    apply(d, tenant, vec![disabled(4, "dora")]).await;
    assert_eq!(revoked().await, [rid_sid(1), rid_sid(2), rid_sid(4)]);
    apply(d, tenant, vec![IdentityChange::Upsert(user(4, "dora"))]).await;
    // Later changes do not move the time of the revocation.
    let back = |seconds: i64| {
        let since = "UPDATE identities SET barred_at = barred_at - ";
        sqlx::query(sqlx::AssertSqlSafe(format!("{since}{seconds}")))
    };
    back(10 * 3600)
        .execute(&mut world.raw().await)
        .await
        .unwrap();
    apply(
        d,
        tenant,
        vec![
            IdentityChange::Delete(guid(1)),
            disabled(3, "mallory the second"),
        ],
    )
    .await;
    assert_eq!(revoked().await, [rid_sid(1), rid_sid(2)]);
    // Enabled again: new tickets are issued, and older ones are accepted again.
    apply(d, tenant, vec![IdentityChange::Upsert(user(2, "bob"))]).await;
    assert_eq!(revoked().await, [rid_sid(1)]);
    let last = state().await.version;
    back(700).execute(&mut world.raw().await).await.unwrap();
    let after = state().await;
    assert_eq!(after.revoked_users.sids, []);
    assert_ne!(after.version, last);
}

#[tokio::test]
async fn the_list_of_revoked_users_is_bounded_and_counts_the_rest() {
    let world = World::new().await;
    let tenant = account(&world).await;
    let d = &world.directory;
    let count = u32::try_from(MAX_REVOKED_USERS).unwrap() + 2;
    let all = |change: fn(u32, &str) -> IdentityChange| {
        let changes = (1..=count).map(|n| change(n, &format!("u{n}")));
        changes.collect::<Vec<_>>()
    };
    for chunk in all(|n, name| IdentityChange::Upsert(user(n, name))).chunks(500) {
        apply(d, tenant, chunk.to_vec()).await;
    }
    for chunk in all(disabled).chunks(500) {
        apply(d, tenant, chunk.to_vec()).await;
    }
    let first =
        "UPDATE identities SET barred_at = barred_at - 60 WHERE account_name IN ('u7', 'u700')";
    sqlx::query(first)
        .execute(&mut world.raw().await)
        .await
        .unwrap();
    let revoked = d.host_state(tenant, "acct1").await.unwrap().revoked_users;
    assert_eq!((revoked.sids.len(), revoked.beyond), (MAX_REVOKED_USERS, 2));
    for early in [7, 700] {
        assert!(!revoked.sids.contains(&rid_sid(early)));
    }
}
