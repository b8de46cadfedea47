//! Nested groups: cycles, depth, and any sequence of changes against a naive walk.

use crate::support::{
    World, apply, domain_users, few_cases, group, guid, identity_of, members, people, rid_sid, sid,
    user,
};
use crossrealm_directory::{Directory, IdentityChange};
use crossrealm_kdc::TenantId;
use crossrealm_types::Sid;
use proptest::prelude::*;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

#[tokio::test]
async fn direct_nested_and_primary_groups_count() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    people(d, tenant).await;
    let domain_users_sid = domain_users(12).sid;
    let alice = identity_of(d, tenant, 1).await.unwrap();
    assert_eq!(
        alice.groups,
        [rid_sid(10), rid_sid(11), domain_users_sid.clone()]
    );
    let bob = identity_of(d, tenant, 2).await.unwrap();
    assert_eq!(bob.groups, [domain_users_sid]);

    let groups = d.effective_groups(tenant, guid(1)).await.unwrap();
    let paths: Vec<(String, bool)> = groups
        .iter()
        .map(|g| {
            let names: Vec<&str> = g.path.iter().map(|p| p.name.as_str()).collect();
            (names.join(" in "), g.by_primary_group)
        })
        .collect();
    let expected = [
        ("Sales in AllStaff", false),
        ("Domain Users", true),
        ("Sales", false),
    ];
    assert_eq!(
        paths,
        expected.map(|(text, primary)| (text.to_owned(), primary))
    );
    // A primary group may be nested too.
    apply(
        d,
        tenant,
        vec![
            IdentityChange::Upsert(group(13, "Everyone here")),
            members(13, &[12], &[]),
        ],
    )
    .await;
    assert!(
        identity_of(d, tenant, 2)
            .await
            .unwrap()
            .groups
            .contains(&rid_sid(13))
    );
    let via = d.effective_groups(tenant, guid(2)).await.unwrap();
    assert!(via.iter().all(|g| g.by_primary_group));
}

#[tokio::test]
async fn cycles_of_groups_are_resolved_and_broken() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    let ring = vec![
        IdentityChange::Upsert(user(1, "alice")),
        IdentityChange::Upsert(group(10, "A")),
        IdentityChange::Upsert(group(11, "B")),
        IdentityChange::Upsert(group(12, "C")),
        members(10, &[1, 12, 10], &[]),
        members(11, &[10], &[]),
        members(12, &[11], &[]),
    ];
    apply(d, tenant, ring).await;
    let all = [rid_sid(10), rid_sid(11), rid_sid(12)];
    assert_eq!(identity_of(d, tenant, 1).await.unwrap().groups, all);
    assert_eq!(d.effective_groups(tenant, guid(1)).await.unwrap().len(), 3);
    assert_eq!(identity_of(d, tenant, 10).await.unwrap().groups, all[1..]);
    apply(d, tenant, vec![members(12, &[], &[11])]).await;
    assert_eq!(identity_of(d, tenant, 1).await.unwrap().groups, all[..2]);
    assert_eq!(identity_of(d, tenant, 11).await.unwrap().groups, []);
    apply(
        d,
        tenant,
        vec![members(12, &[11], &[]), IdentityChange::Delete(guid(10))],
    )
    .await;
    assert_eq!(identity_of(d, tenant, 1).await.unwrap().groups, []);
    assert_eq!(
        identity_of(d, tenant, 11).await.unwrap().groups,
        [rid_sid(12)]
    );
}

#[tokio::test]
async fn a_restored_identity_has_no_membership_of_the_time_it_was_deleted() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    let inner = || IdentityChange::Upsert(group(10, "Inner"));
    apply(
        d,
        tenant,
        vec![inner(), IdentityChange::Upsert(group(11, "Outer"))],
    )
    .await;
    apply(
        d,
        tenant,
        vec![IdentityChange::Delete(guid(10)), members(11, &[10], &[])],
    )
    .await;
    let again = apply(d, tenant, vec![IdentityChange::Delete(guid(10))]).await;
    assert_eq!(
        (again.deleted, again.unchanged, again.memberships_removed),
        (0, 1, 1)
    );
    apply(d, tenant, vec![inner()]).await;
    assert_eq!(identity_of(d, tenant, 10).await.unwrap().groups, []);
}

#[tokio::test]
async fn a_deep_nesting_is_read_at_once() {
    const DEPTH: u32 = 300;
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    let mut changes = vec![IdentityChange::Upsert(user(1, "alice"))];
    changes.extend((0..DEPTH).map(|n| IdentityChange::Upsert(group(100 + n, &format!("G{n}")))));
    changes.push(members(100, &[1], &[]));
    changes.extend((1..DEPTH).map(|n| members(100 + n, &[99 + n], &[])));
    apply(d, tenant, changes).await;
    assert_eq!(identity_of(d, tenant, 1).await.unwrap().groups.len(), 300);
    let groups = d.effective_groups(tenant, guid(1)).await.unwrap();
    // Every path has its length and its ends; the inner steps of the longest are omitted if all together are too many.
    let mut depths: Vec<usize> = groups.iter().map(|g| g.path.len() + g.omitted).collect();
    depths.sort_unstable();
    assert_eq!(depths, (1..=300).collect::<Vec<_>>());
    let steps: usize = groups.iter().map(|g| g.path.len()).sum();
    assert!((10_000..22_000).contains(&steps), "{steps}");
    for way in &groups {
        assert_eq!(
            (&*way.path[0].name, way.path.last()),
            ("G0", Some(&way.group))
        );
    }
    apply(
        d,
        tenant,
        vec![members(100 + DEPTH / 2, &[], &[99 + DEPTH / 2])],
    )
    .await;
    assert_eq!(identity_of(d, tenant, 1).await.unwrap().groups.len(), 150);
}

const GROUPS: u32 = 7;
const USERS: u32 = 3;

#[derive(Clone, Debug)]
enum Op {
    Add(u32, u32),
    Remove(u32, u32),
    Delete(u32),
    Revive(u32),
}

fn op() -> impl Strategy<Value = Op> {
    let object = 0..GROUPS + USERS;
    let group = 0..GROUPS;
    prop_oneof![
        6 => (object.clone(), group.clone()).prop_map(|(m, g)| Op::Add(m, g)),
        3 => (object.clone(), group).prop_map(|(m, g)| Op::Remove(m, g)),
        1 => object.clone().prop_map(Op::Delete),
        1 => object.prop_map(Op::Revive),
    ]
}

/// A simple model of what the directory should hold.
#[derive(Default)]
struct Model {
    dead: BTreeSet<u32>,
    parents: BTreeMap<u32, BTreeSet<u32>>,
}

impl Model {
    fn apply(&mut self, op: &Op) -> Option<IdentityChange> {
        match *op {
            // A change of a deleted group is refused, so the model does not make it.
            Op::Add(_, g) | Op::Remove(_, g) if self.dead.contains(&g) => None,
            Op::Add(m, g) => {
                self.parents.entry(m).or_default().insert(g);
                Some(members(g, &[m], &[]))
            }
            Op::Remove(m, g) => {
                self.parents.entry(m).or_default().remove(&g);
                Some(members(g, &[], &[m]))
            }
            Op::Delete(x) => {
                self.dead.insert(x);
                self.parents.remove(&x);
                self.parents.values_mut().for_each(|groups| {
                    groups.remove(&x);
                });
                Some(IdentityChange::Delete(guid(x)))
            }
            Op::Revive(x) => {
                self.dead.remove(&x);
                Some(upsert(x))
            }
        }
    }

    fn groups(&self, of: u32) -> BTreeSet<Sid> {
        let mut seen = BTreeSet::new();
        let mut open = vec![of];
        while let Some(x) = open.pop() {
            for g in self.parents.get(&x).into_iter().flatten() {
                if !self.dead.contains(g) && seen.insert(*g) {
                    open.push(*g);
                }
            }
        }
        seen.remove(&of);
        seen.into_iter().map(rid_sid).collect()
    }
}

fn upsert(n: u32) -> IdentityChange {
    IdentityChange::Upsert(match n < GROUPS {
        true => group(n, &format!("G{n}")),
        false => crossrealm_types::SyncedIdentity {
            primary_group_rid: 0,
            ..user(n, &format!("u{n}"))
        },
    })
}

async fn check(d: &Directory, tenant: TenantId, model: &Model) -> Result<(), TestCaseError> {
    for n in 0..GROUPS + USERS {
        if model.dead.contains(&n) {
            continue;
        }
        let expected = model.groups(n);
        let record = identity_of(d, tenant, n).await.unwrap();
        let from_record: BTreeSet<Sid> = record.groups.iter().cloned().collect();
        prop_assert_eq!(&from_record, &expected, "records of {}", n);
        let walked = d.effective_groups(tenant, guid(n)).await.unwrap();
        let walked: BTreeSet<Sid> = walked.into_iter().map(|g| g.group.sid).collect();
        prop_assert_eq!(&walked, &expected, "paths of {}", n);
    }
    Ok(())
}

#[test]
fn the_closure_equals_a_naive_walk_after_any_changes() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let world = runtime.block_on(World::new());
    let case = Cell::new(0);
    let batches = prop::collection::vec(prop::collection::vec(op(), 1..8), 1..10);
    few_cases(48)
        .run(&batches, |batches| {
            case.set(case.get() + 1);
            runtime.block_on(async {
                let d = &world.directory;
                let tenant = world.tenant(&format!("case{}", case.get())).await.id;
                apply(d, tenant, (0..GROUPS + USERS).map(upsert).collect()).await;
                let mut model = Model::default();
                for batch in batches {
                    let changes = batch.iter().filter_map(|op| model.apply(op)).collect();
                    apply(d, tenant, changes).await;
                    check(d, tenant, &model).await?;
                }
                Ok(())
            })
        })
        .unwrap();
}

#[tokio::test]
async fn a_group_outside_the_domain_is_not_a_primary_group() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    // 513 of another domain is not alice's Domain Users.
    let foreign = crossrealm_directory::ApplyIdentities {
        domain: crossrealm_directory::NewDomain {
            dns_name: "second.example".into(),
            flat_name: "FAB".into(),
            sid: sid("S-1-5-21-4-5-6"),
            forest_root: None,
        },
        ..crate::support::run(vec![IdentityChange::Upsert(
            crossrealm_types::SyncedIdentity {
                sid: sid("S-1-5-21-4-5-6-513"),
                ..group(20, "Domain Users")
            },
        )])
    };
    d.apply_identities(&crate::support::by(), tenant, foreign)
        .await
        .unwrap();
    apply(d, tenant, vec![IdentityChange::Upsert(user(1, "alice"))]).await;
    assert_eq!(identity_of(d, tenant, 1).await.unwrap().groups, []);
}
