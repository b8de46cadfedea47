//! Deep nestings and many groups at once. Performance at the size of a large organisation is measured by `cargo xtask
//! bench load`.

use crate::support::{World, apply, domain_users, group, identity_of, members, rid_sid, user};
use crossrealm_directory::IdentityChange;

const GROUPS: u32 = 300;
const FIRST_GROUP: u32 = 200_000;
const USER: u32 = 1;

#[tokio::test]
async fn hundreds_of_nested_groups_are_resolved_and_cut_in_time() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    let groups =
        (0..GROUPS).map(|n| IdentityChange::Upsert(group(FIRST_GROUP + n, &format!("group{n}"))));
    let mut all: Vec<IdentityChange> = groups.collect();
    all.push(IdentityChange::Upsert(user(USER, "deep")));
    all.push(IdentityChange::Upsert(domain_users(300_000)));
    apply(d, tenant, all.clone()).await;
    // Each group is in the one before it; the user is in the last.
    let mut nested: Vec<IdentityChange> = (1..GROUPS)
        .map(|n| members(FIRST_GROUP + n - 1, &[FIRST_GROUP + n], &[]))
        .collect();
    nested.push(members(FIRST_GROUP + GROUPS - 1, &[USER], &[]));
    for chunk in nested.chunks(20) {
        apply(d, tenant, chunk.to_vec()).await;
    }
    let sids = |from: u32| {
        let nested = (from..GROUPS).map(|n| rid_sid(FIRST_GROUP + n));
        let mut all: Vec<String> = nested.map(|sid| sid.to_string()).collect();
        all.push("S-1-5-21-1-2-3-513".to_owned());
        all.sort();
        all
    };
    let is_in = async || {
        let record = identity_of(d, tenant, USER).await.unwrap();
        let mut all: Vec<String> = record.groups.iter().map(ToString::to_string).collect();
        all.sort();
        all
    };
    assert_eq!(is_in().await, sids(0));
    // A repetition changes nothing.
    apply(d, tenant, all).await;
    assert_eq!(is_in().await, sids(0));
    let middle = FIRST_GROUP + GROUPS / 2;
    apply(d, tenant, vec![members(middle - 1, &[], &[middle])]).await;
    assert_eq!(is_in().await, sids(GROUPS / 2));
}
