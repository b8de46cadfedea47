//! F2: names that change hands arrive with the request that brings all of it.

use crate::support::{CORP, World, apply, by, guid, identity_of, people, rid_sid, run, user};
use crossrealm_directory::{Directory, IdentityChange, NewCloudIdentity, Page};
use crossrealm_kdc::TenantId;
use crossrealm_types::{IdentityKind, IdentityState, RefusedChangeCode, SyncedIdentity};

fn upserts(users: &[(u32, &str)]) -> Vec<IdentityChange> {
    let users = users.iter();
    users
        .map(|(n, name)| IdentityChange::Upsert(user(*n, name)))
        .collect()
}

/// The account names of users 1 to `count`, whose UPNs must be theirs.
async fn names(d: &Directory, tenant: TenantId, count: u32) -> Vec<String> {
    let mut names = Vec::new();
    for n in 1..=count {
        let held = identity_of(d, tenant, n).await.unwrap();
        assert_eq!(held.upn, format!("{}@{CORP}", held.account_name));
        let found = d.find_identity(tenant, &held.upn, None).await.unwrap();
        assert_eq!(found.guid, guid(n), "{}", held.upn);
        names.push(held.account_name.clone());
    }
    names
}

/// F2: a swap, a circle of three, and a circle of all, in any order.
#[tokio::test]
async fn any_permutation_of_names_arrives_in_one_request() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    apply(
        d,
        tenant,
        upserts(&[(1, "a"), (2, "b"), (3, "c"), (4, "d")]),
    )
    .await;
    for wanted in [
        [(2, "a"), (1, "b"), (3, "c"), (4, "d")],
        [(1, "c"), (2, "b"), (3, "a"), (4, "d")],
        [(4, "c"), (3, "B"), (2, "A"), (1, "d")],
        [(1, "a"), (2, "b"), (3, "c"), (4, "d")],
    ] {
        apply(d, tenant, upserts(&wanted)).await;
        let mut expected = wanted;
        expected.sort_unstable();
        assert_eq!(
            names(d, tenant, 4).await,
            expected.map(|(_, name)| name.to_owned())
        );
    }
    // More than are looked up or written by one statement: everyone gets the name of the next.
    let crowd = |shift: u32| -> Vec<IdentityChange> {
        let users = (1..=100).map(|n| user(n, &format!("u{}", (n + shift) % 100)));
        users.map(IdentityChange::Upsert).collect()
    };
    apply(d, tenant, crowd(0)).await;
    assert_eq!(apply(d, tenant, crowd(1)).await.updated, 100);
    assert_eq!(names(d, tenant, 2).await, ["u2", "u3"]);
}

/// F2: a name is handed on, also from an object that is deleted in the same request, before or after.
#[tokio::test]
async fn a_name_is_handed_on_and_an_object_created_again_in_one_request() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    apply(d, tenant, upserts(&[(1, "alice"), (2, "bob")])).await;
    apply(d, tenant, upserts(&[(3, "alice"), (1, "alice.old")])).await;
    assert_eq!(names(d, tenant, 3).await, ["alice.old", "bob", "alice"]);
    let mut again = upserts(&[(4, "alice")]);
    again.push(IdentityChange::Delete(guid(3)));
    apply(d, tenant, again).await;
    let mut again = vec![IdentityChange::Delete(guid(4))];
    again.extend(upserts(&[(5, "alice")]));
    apply(d, tenant, again).await;
    assert_eq!(
        identity_of(d, tenant, 5).await.unwrap().account_name,
        "alice"
    );
    assert_eq!(
        identity_of(d, tenant, 4).await.unwrap().state,
        IdentityState::Deleted
    );
}

/// F2: a name that somebody keeps is refused, and so is all that depends on it; both objects are named by their SIDs.
#[tokio::test]
async fn a_conflict_names_both_objects_and_what_waits_for_it_is_refused() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    people(d, tenant).await;
    let send = async |changes| {
        let outcome = d.apply_identities(&by(), tenant, run(changes)).await;
        outcome.unwrap().refused
    };
    // alice → bob, whose owner stays; eve waits for alice's name.
    let refused = send(upserts(&[(5, "alice"), (1, "bob")])).await;
    let mut codes: Vec<_> = refused
        .iter()
        .map(|one| (one.object_guid, one.code))
        .collect();
    codes.sort_unstable_by_key(|(guid, _)| *guid);
    let conflict = RefusedChangeCode::UpnConflict;
    assert_eq!(codes, [(guid(1), conflict), (guid(5), conflict)]);
    let of_alice = refused.iter().find(|one| one.object_guid == guid(1));
    let message = &of_alice.unwrap().message;
    for sid in [rid_sid(1), rid_sid(2)] {
        assert!(message.contains(&format!("`{sid}`")), "{message}");
    }
    assert_eq!(
        identity_of(d, tenant, 1).await.unwrap().account_name,
        "alice"
    );
    assert!(identity_of(d, tenant, 5).await.is_none());
    // Two new objects want one name: the first gets it.
    let refused = send(upserts(&[(6, "new"), (7, "NEW")])).await;
    assert_eq!(refused[0].object_guid, guid(7));
    assert!(refused[0].message.contains(&rid_sid(6).to_string()));
    // A swap with a cloud-only identity is none.
    let carol = NewCloudIdentity {
        kind: IdentityKind::User,
        upn: format!("carol@{CORP}"),
        account_name: String::new(),
        display_name: String::new(),
    };
    d.create_cloud_identity(&by(), tenant, carol).await.unwrap();
    let refused = send(upserts(&[(1, "carol")])).await;
    assert_eq!(refused[0].code, RefusedChangeCode::CloudOnly);
}

/// F2: the last word of a request on an object counts, and no name is left behind by the others.
#[tokio::test]
async fn an_object_that_is_written_twice_is_written_as_the_last_time() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    let mut changes = upserts(&[(1, "a"), (2, "a"), (1, "b"), (3, "c")]);
    changes.push(IdentityChange::Delete(guid(3)));
    changes.extend(upserts(&[(4, "c")]));
    apply(d, tenant, changes).await;
    assert_eq!(names(d, tenant, 2).await, ["b", "a"]);
    let held = d
        .domain_identities(tenant, CORP, &Page::first())
        .await
        .unwrap();
    let held: Vec<_> = held.identities.items.iter().collect();
    let c: Vec<&&SyncedIdentity> = held.iter().filter(|one| one.account_name == "c").collect();
    assert_eq!(c.len(), 2);
    assert_eq!(
        identity_of(d, tenant, 3).await.unwrap().state,
        IdentityState::Deleted
    );
    assert_eq!(
        identity_of(d, tenant, 4).await.unwrap().state,
        IdentityState::Enabled
    );
}
