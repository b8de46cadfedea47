//! Changes of one request share statements. The result equals that of each change by itself, in order; but names are judged
//! on the state after the request, so the objects here have names of their own (see `changing_names`).

use crate::support::{CORP, World, by, few_cases, group, guid, rid_sid, run, user};
use crossrealm_directory::{Directory, IdentityChange, IdentityFilter, NewCloudIdentity, Page};
use crossrealm_kdc::TenantId;
use crossrealm_types::{
    ApplyIdentitiesResult, DisabledReason, IdentityKind, IdentityState, SyncedIdentity,
};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use sqlx::Row;
use std::cell::Cell;
use std::collections::HashSet;

/// Few objects and names, so that conflicts are frequent.
const OBJECTS: u32 = 8;
const NAMES: u32 = 6;

fn kind(n: u32) -> IdentityKind {
    match n < OBJECTS / 2 {
        true => IdentityKind::Group,
        false => IdentityKind::User,
    }
}

fn upsert() -> impl Strategy<Value = IdentityChange> {
    let who = (0..OBJECTS, 0..10_u32, 0..20_u32);
    let names = (0..NAMES, prop::option::weighted(0.6, 0..=NAMES), 0..30_u32);
    let state = (0..4_u32, 1000..1003_u32);
    (who, names, state).prop_map(|((n, other, odd), (account, upn, bad), (state, primary))| {
        // Sometimes with the SID of another object, or with another kind.
        let sid = if other == 0 {
            rid_sid((n + 1) % OBJECTS)
        } else {
            rid_sid(n)
        };
        let kind = if odd == 0 {
            kind(OBJECTS - 1 - n)
        } else {
            kind(n)
        };
        let disabled = state == 0;
        let account_name = match bad {
            0 => "line\nbreak".to_owned(),
            1 => "zero\0".to_owned(),
            2 => format!("{n}name{account}"),
            _ => format!("{n}NAME{account}"),
        };
        IdentityChange::Upsert(SyncedIdentity {
            object_guid: guid(n),
            sid,
            kind,
            account_name,
            upn: match upn {
                // The name of a cloud-only identity.
                Some(NAMES) => format!("upn{NAMES}@{CORP}"),
                Some(upn) => format!("{n}upn{upn}@{CORP}"),
                None => String::new(),
            },
            state: if disabled {
                IdentityState::Disabled
            } else {
                IdentityState::Enabled
            },
            disabled_reason: disabled.then_some(DisabledReason::Disabled),
            primary_group_rid: if kind == IdentityKind::User {
                primary
            } else {
                0
            },
            ..user(n, "anybody")
        })
    })
}

fn members() -> impl Strategy<Value = IdentityChange> {
    let some = || prop::collection::vec(0..OBJECTS, 0..4);
    (0..=OBJECTS / 2, some(), some()).prop_map(|(group, add, remove)| IdentityChange::Members {
        group: guid(group),
        add: add.into_iter().map(guid).collect(),
        remove: remove.into_iter().map(guid).collect(),
        elsewhere: None,
    })
}

/// Changes in any order, often many of one kind in a row.
fn changes() -> impl Strategy<Value = Vec<IdentityChange>> {
    let stretch = prop_oneof![
        4 => prop::collection::vec(upsert(), 1..12),
        4 => prop::collection::vec(members(), 1..16),
        1 => (0..OBJECTS).prop_map(|n| vec![IdentityChange::Delete(guid(n))]),
        // More than fit into one statement.
        1 => (41..90_u32).prop_map(|crowd| {
            let crowd = (100..100 + crowd).map(|n| user(n, &format!("crowd{n}")));
            crowd.map(IdentityChange::Upsert).collect()
        }),
    ];
    // Some of the groups, so that others are written by the changes.
    let groups = (0..OBJECTS / 4).map(|n| IdentityChange::Upsert(group(n, &format!("group{n}"))));
    let groups: Vec<IdentityChange> = groups.collect();
    prop::collection::vec(stretch, 1..6)
        .prop_map(move |stretches| each_written_once([groups.clone(), stretches.concat()].concat()))
}

/// The changes without all but the first upsert of each object: the last one of a request would be written in its place. An
/// object that wants the name of another identity is not deleted: then it would not want it in the end. Its SID is its own:
/// of two reasons to refuse it, each is true, and the first to come about would be given.
fn each_written_once(mut changes: Vec<IdentityChange>) -> Vec<IdentityChange> {
    let mut written = HashSet::new();
    changes.retain(|change| match change {
        IdentityChange::Upsert(object) => written.insert(object.object_guid),
        _ => true,
    });
    let refused: HashSet<u32> = changes.iter().filter_map(wants_anothers_upn).collect();
    let guids: HashSet<_> = refused.iter().copied().map(guid).collect();
    let sids: HashSet<_> = refused.iter().copied().map(rid_sid).collect();
    changes.retain(|change| match change {
        IdentityChange::Upsert(object) => {
            let is_own =
                (0..OBJECTS).any(|n| object.object_guid == guid(n) && object.sid == rid_sid(n));
            is_own || !(guids.contains(&object.object_guid) || sids.contains(&object.sid))
        }
        IdentityChange::Delete(guid) => !guids.contains(guid),
        IdentityChange::Members { .. } => true,
    });
    changes
}

/// The number of the object that this change wants to give the UPN of the cloud-only identity.
fn wants_anothers_upn(change: &IdentityChange) -> Option<u32> {
    let IdentityChange::Upsert(object) = change else {
        return None;
    };
    let wants = object.upn == format!("upn{NAMES}@{CORP}");
    (0..OBJECTS).find(|n| wants && object.object_guid == guid(*n))
}

/// A tenant in which a cloud-only identity has a name that objects of AD have, with the SID of that identity.
async fn tenant(world: &World, name: &str) -> (TenantId, String) {
    let tenant = world.tenant(name).await.id;
    let new = NewCloudIdentity {
        kind: IdentityKind::User,
        upn: format!("upn{NAMES}@{CORP}"),
        account_name: "cloud".to_owned(),
        display_name: String::new(),
    };
    let actor = by();
    let made = world.directory.create_cloud_identity(&actor, tenant, new);
    (tenant, made.await.unwrap().sid.to_string())
}

async fn apply(
    d: &Directory,
    tenant: TenantId,
    changes: &[IdentityChange],
) -> ApplyIdentitiesResult {
    let wanted = run(changes.to_vec());
    d.apply_identities(&by(), tenant, wanted).await.unwrap()
}

fn sum(all: Vec<ApplyIdentitiesResult>) -> ApplyIdentitiesResult {
    let mut sum = ApplyIdentitiesResult::default();
    for one in all {
        sum.created += one.created;
        sum.updated += one.updated;
        sum.deleted += one.deleted;
        sum.disabled += one.disabled;
        sum.unchanged += one.unchanged;
        sum.memberships_added += one.memberships_added;
        sum.memberships_removed += one.memberships_removed;
        sum.refused.extend(one.refused);
    }
    sum
}

/// Everything stored of AD's objects, without times.
async fn state(world: &World, tenant: TenantId) -> String {
    let d = &world.directory;
    let held = d
        .domain_identities(tenant, CORP, &Page::first())
        .await
        .unwrap();
    let refusals = d.sync_refusals(tenant, CORP).await.unwrap();
    let mut text = format!("{:#?}\n{refusals:#?}\n", held.identities.items);
    for item in &held.identities.items {
        let groups = d.effective_groups(tenant, item.object_guid).await.unwrap();
        let record = crate::support::grant_of(d, tenant, &item.sid, "cifs/none.example")
            .await
            .0;
        let groups_in_ticket = record.map(|record| record.groups.clone());
        text += &format!("{groups:?}\n{groups_in_ticket:?}\n");
    }
    let everybody = IdentityFilter {
        deleted: true,
        ..IdentityFilter::default()
    };
    let infos = d
        .identities(tenant, &everybody, &Page::first())
        .await
        .unwrap();
    for info in infos.items {
        let mut provenance = Vec::new();
        for source in info.provenance() {
            let of = (source.changed_by, source.run_id);
            provenance.extend(source.attributes.into_iter().map(|name| (name, of.clone())));
        }
        provenance.sort();
        text += &format!("{} {:?} {provenance:?}\n", info.account_name, info.source);
    }
    let ended = "SELECT group_guid, member_guid FROM ended_memberships WHERE tenant_id = $1
                 ORDER BY group_guid, member_guid";
    let ended = sqlx::query(ended).bind(tenant.as_bytes().to_vec());
    for row in ended.fetch_all(&mut world.raw().await).await.unwrap() {
        let (group, member): (Vec<u8>, Vec<u8>) = (row.get(0), row.get(1));
        text += &format!("ended: {member:?} in {group:?}\n");
    }
    text
}

/// Reports the first line that differs; the whole text would be unreadable.
fn same(at_once: &str, alone: &str) -> Result<(), TestCaseError> {
    let mut lines = at_once.lines().zip(alone.lines());
    match lines.find(|(at_once, alone)| at_once != alone) {
        Some((at_once, alone)) => Err(TestCaseError::fail(format!(
            "at once: {at_once}\nalone:   {alone}"
        ))),
        None => {
            prop_assert_eq!(at_once.lines().count(), alone.lines().count());
            Ok(())
        }
    }
}

#[test]
fn a_batch_of_changes_equals_the_changes_one_by_one() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let world = runtime.block_on(World::new());
    let case = Cell::new(0);
    few_cases(24)
        .run(&changes(), |changes| {
            case.set(case.get() + 1);
            runtime.block_on(async {
                let d = &world.directory;
                let (at_once, cloud_sid) = tenant(&world, &format!("once{}", case.get())).await;
                let (alone, other_cloud_sid) =
                    tenant(&world, &format!("alone{}", case.get())).await;
                let outcome = apply(d, at_once, &changes).await;
                let mut outcomes = Vec::new();
                for change in changes.chunks(1) {
                    outcomes.push(apply(d, alone, change).await);
                }
                let masked = |text: String| {
                    let text = text.replace(&cloud_sid, "(cloud)");
                    // Deleted by a later change of the same request.
                    let text = text.replace("the deleted ", "the ");
                    text.replace(&other_cloud_sid, "(cloud)")
                };
                let outcome = masked(format!("{outcome:#?}"));
                same(&outcome, &masked(format!("{:#?}", sum(outcomes))))?;
                let (at_once, alone) = (state(&world, at_once).await, state(&world, alone).await);
                same(&masked(at_once), &masked(alone))
            })
        })
        .unwrap();
}
