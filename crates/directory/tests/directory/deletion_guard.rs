//! The deletion guard: how much a sync may delete, and who may let it delete more.

use crate::support::{CORP, World, apply, by, code, guid, run, user};
use crossrealm_directory::{ApplyIdentities, Directory, IdentityChange, Result};
use crossrealm_kdc::TenantId;
use crossrealm_types::{ApplyIdentitiesResult, DisabledReason, IdentityState, SyncedIdentity};
use std::ops::Range;

/// A thousand users.
async fn thousand(d: &Directory, tenant: TenantId) {
    let everybody: Vec<IdentityChange> = (0..1000)
        .map(|n| IdentityChange::Upsert(user(n, &format!("u{n}"))))
        .collect();
    apply(d, tenant, everybody).await;
}

fn delete(range: Range<u32>) -> Vec<IdentityChange> {
    range.map(|n| IdentityChange::Delete(guid(n))).collect()
}

/// A request of a run, with the deletions that an administrator declared.
async fn take(
    d: &Directory,
    tenant: TenantId,
    run_id: u32,
    accept_deletions: Option<u64>,
    changes: Vec<IdentityChange>,
) -> Result<ApplyIdentitiesResult> {
    let wanted = ApplyIdentities {
        run_id: guid(9000 + run_id),
        accept_deletions,
        ..run(changes)
    };
    d.apply_identities(&by(), tenant, wanted).await
}

/// Deletions without a declaration, with one, and their audit.
#[tokio::test]
async fn many_deletions_without_a_declaration_are_refused() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    thousand(d, tenant).await;
    let disable = |n| {
        IdentityChange::Upsert(SyncedIdentity {
            state: IdentityState::Disabled,
            disabled_reason: Some(DisabledReason::Disabled),
            ..user(n, &format!("u{n}"))
        })
    };
    let take = async |run, accepted, changes| take(d, tenant, run, accepted, changes).await;
    // A tenth of a thousand, in any number of requests and runs.
    take(1, None, delete(0..60)).await.unwrap();
    take(2, None, (60..100).map(disable).collect())
        .await
        .unwrap();
    let mut one_more = vec![IdentityChange::Upsert(user(5000, "newcomer"))];
    one_more.push(disable(100));
    assert_eq!(
        code(take(3, None, one_more.clone()).await),
        "too_many_deletions"
    );
    assert_eq!(code(take(4, Some(0), one_more).await), "too_many_deletions");
    let state = d.sync_state(tenant, CORP).await.unwrap();
    assert_eq!(state.users, 940, "the request changed nothing at all");
    // Identities that are disabled already do not count.
    take(5, None, (60..100).map(disable).collect())
        .await
        .unwrap();

    // Declared: as many as the run declared, and not one more.
    take(6, Some(300), delete(100..300)).await.unwrap();
    take(6, Some(300), delete(300..400)).await.unwrap();
    assert_eq!(
        code(take(6, Some(300), delete(400..401)).await),
        "too_many_deletions"
    );
    assert_eq!(
        code(take(7, None, delete(400..401)).await),
        "too_many_deletions"
    );

    // The limit is renewed after a day; a clock that was set back does not block it forever.
    for moved in [
        "UPDATE domains SET losses_since = losses_since - 86401",
        "UPDATE domains SET losses_since = losses_since + 1000000, losses = 500",
    ] {
        sqlx::query(moved)
            .execute(&mut world.raw().await)
            .await
            .unwrap();
        let first = if moved.contains('-') { 400 } else { 410 };
        take(8, None, delete(first..first + 10)).await.unwrap();
    }
    let refused = "SELECT COUNT(*) FROM events WHERE action = 'sync.refuse' AND reason = 'too_many_deletions'";
    assert_eq!(world.count(refused).await, 4);
    let taken = "SELECT COUNT(*) FROM events WHERE action = 'sync.take_away'";
    assert_eq!(world.count(taken).await, 6);
    let declared = "SELECT COUNT(*) FROM events WHERE action = 'sync.take_away' AND detail LIKE '%300 were declared'";
    assert_eq!(world.count(declared).await, 2);
}

/// S8: only an administrator lifts the guard, for one run, until the permit expires.
#[tokio::test]
async fn a_permit_counts_for_one_run_and_expires() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    thousand(d, tenant).await;
    let take = async |run, changes| take(d, tenant, run, None, changes).await;
    // A tenth needs none.
    take(1, delete(0..100)).await.unwrap();
    let allow = async |deletions, life_s| {
        d.allow_deletions(&by(), tenant, CORP, deletions, life_s)
            .await
    };
    allow(20, 3600).await.unwrap();
    assert_eq!(
        d.sync_state(tenant, CORP).await.unwrap().deletions_allowed,
        20
    );
    assert_eq!(code(take(20, delete(400..421)).await), "too_many_deletions");
    take(21, delete(420..430)).await.unwrap();
    assert_eq!(
        d.sync_state(tenant, CORP).await.unwrap().deletions_allowed,
        0
    );
    assert_eq!(code(take(22, delete(430..431)).await), "too_many_deletions");
    take(21, delete(430..440)).await.unwrap();
    assert_eq!(code(take(21, delete(440..441)).await), "too_many_deletions");
    for change in [
        "UPDATE deletion_permits SET expires_at = 1",
        // S10: nobody makes or stretches a permit in the database.
        "UPDATE deletion_permits SET deletions = 500",
        "UPDATE deletion_permits SET expires_at = expires_at + 1",
        "UPDATE deletion_permits SET tag = NULL",
    ] {
        allow(20, 3600).await.unwrap();
        sqlx::query(change)
            .execute(&mut world.raw().await)
            .await
            .unwrap();
        assert_eq!(
            code(take(23, delete(440..441)).await),
            "too_many_deletions",
            "{change}"
        );
    }
    for (deletions, life_s) in [(0, 60), (1, 59), (1, 86_401), (u64::MAX, 60)] {
        assert!(allow(deletions, life_s).await.is_err());
    }
}
