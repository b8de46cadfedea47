//! A plan in the API's terms: its changes in requests of bounded size, and identities between the API's type and AD's.

use crossrealm_api as api;
use crossrealm_onprem::sync::{Membership, Observed, SyncChange, SyncPlan};
use std::collections::BTreeSet;
use uuid::Uuid;

/// The most members that one request carries, over all its changes: keeps a request below about one megabyte.
const MAX_MEMBERS_PER_REQUEST: usize = 10_000;

/// The most changes of the request that carries the cursor: should the agent die before it learns which of them were
/// refused, they are all looked at again.
const MAX_LAST: usize = 100;

/// The plan's changes in requests that the API takes; at least one, since the last one ends the run.
pub(super) fn requests(plan: &SyncPlan) -> Vec<Vec<api::IdentityChange>> {
    let mut batches = batches(plan);
    split_last(&mut batches);
    batches
}

/// The changes of these objects' own attributes once more, in requests that the API takes.
pub(super) fn upserts(plan: &SyncPlan, of: &BTreeSet<Uuid>) -> Vec<Vec<api::IdentityChange>> {
    let changes = plan.changes();
    let again = changes.iter().filter(|change| match change {
        SyncChange::Upsert(account) => of.contains(&account.guid),
        _ => false,
    });
    let again: Vec<_> = again.flat_map(wire).map(|(change, _)| change).collect();
    again
        .chunks(crossrealm_types::MAX_CHANGES)
        .map(<[_]>::to_vec)
        .collect()
}

/// Objects whose values the agent could not use.
pub(super) fn failures(observed: &Observed, plan: &SyncPlan) -> Vec<crossrealm_types::SyncFailure> {
    let failed = observed
        .skipped
        .iter()
        .filter(|one| one.reason.keeps_existing());
    failed
        .map(|one| crossrealm_types::SyncFailure {
            object_guid: one.guid,
            name: one.name.clone(),
            reason: one.reason.to_string(),
            exceeds: one.guid.is_some_and(|guid| plan.exceeding.contains(&guid)),
        })
        .collect()
}

/// Moves all but the last few changes of the last request into one before it.
fn split_last(batches: &mut Vec<Vec<api::IdentityChange>>) {
    if let Some(last) = batches.last_mut()
        && last.len() > MAX_LAST
    {
        let few = last.split_off(last.len() - MAX_LAST);
        batches.push(few);
    }
}

/// The objects that changes write, by `objectGUID`.
pub(super) fn objects(changes: &[api::IdentityChange]) -> impl Iterator<Item = Uuid> {
    changes.iter().filter_map(|change| match change {
        api::IdentityChange::Upsert { identity } => Some(identity.object_guid),
        api::IdentityChange::Members { object_guid, .. } => Some(*object_guid),
        api::IdentityChange::Delete { .. } => None,
    })
}

/// The plan's changes in batches as large as the API takes.
fn batches(plan: &SyncPlan) -> Vec<Vec<api::IdentityChange>> {
    let mut batches = vec![Vec::new()];
    let mut members = 0;
    for change in plan.changes() {
        for (change, weight) in wire(&change) {
            let full = batches.last().is_some_and(|batch| {
                batch.len() >= crossrealm_types::MAX_CHANGES
                    || members + weight > MAX_MEMBERS_PER_REQUEST
            });
            if full {
                batches.push(Vec::new());
                members = 0;
            }
            members += weight;
            if let Some(batch) = batches.last_mut() {
                batch.push(change);
            }
        }
    }
    batches
}

/// A change as the API has it, with the number of members it carries; large groups become several.
fn wire(change: &SyncChange<'_>) -> Vec<(api::IdentityChange, usize)> {
    match change {
        SyncChange::Upsert(account) => {
            let identity = account.to_identity();
            vec![(api::IdentityChange::Upsert { identity }, 0)]
        }
        SyncChange::Delete(account) => {
            let object_guid = account.guid;
            vec![(api::IdentityChange::Delete { object_guid }, 0)]
        }
        SyncChange::Forget(guid) => {
            let object_guid = *guid;
            vec![(api::IdentityChange::Delete { object_guid }, 0)]
        }
        SyncChange::Leave(membership) => membership
            .remove
            .chunks(crossrealm_types::MAX_MEMBER_CHANGES)
            .map(|chunk| members(membership, &[], chunk))
            .collect(),
        SyncChange::Join(membership) => membership
            .add
            .chunks(crossrealm_types::MAX_MEMBER_CHANGES)
            .map(|chunk| members(membership, chunk, &[]))
            .collect(),
    }
}

/// A part of a group's changes, with the number of members it carries.
fn members(membership: &Membership, add: &[Uuid], remove: &[Uuid]) -> (api::IdentityChange, usize) {
    let elsewhere = add.iter().filter_map(|guid| {
        let domain = membership.elsewhere.get(guid)?;
        Some(api::MemberElsewhere {
            object_guid: *guid,
            domain_sid: domain.clone(),
        })
    });
    let change = api::IdentityChange::Members {
        object_guid: membership.group,
        add: add.to_vec(),
        remove: remove.to_vec(),
        elsewhere: Some(elsewhere.collect()),
    };
    (change, add.len() + remove.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossrealm_onprem::sync::{Account, CloudObject};
    use crossrealm_types::DisabledReason;

    fn account(number: usize) -> Account {
        Account {
            guid: Uuid::from_u128(number as u128),
            kind: crossrealm_types::IdentityKind::User,
            sid: format!("S-1-5-21-1-2-3-{}", 1000 + number).parse().unwrap(),
            account_name: format!("user{number}"),
            upn: format!("user{number}@corp.contoso.com"),
            display_name: String::new(),
            disabled: (number == 1).then_some(DisabledReason::Locked),
            primary_group_rid: 513,
        }
    }

    #[test]
    fn identities_survive_the_way_to_the_api_and_back() {
        for number in 0..2 {
            let account = account(number);
            let identity = account.to_identity();
            let guid = identity.object_guid;
            let object = CloudObject::from(identity);
            assert_eq!(
                (guid, object.account, object.deleted),
                (account.guid, account, false)
            );
        }
    }

    #[test]
    fn batches_keep_the_bounds_and_the_order() {
        let plan = SyncPlan {
            creates: (0..2500).map(account).collect(),
            memberships: vec![Membership {
                group: Uuid::nil(),
                name: "g".into(),
                add: (0..12_001).map(Uuid::from_u128).collect(),
                remove: vec![Uuid::max()],
                elsewhere: Default::default(),
            }],
            ..SyncPlan::default()
        };
        let batches = batches(&plan);
        let mut members = 0;
        for batch in &batches {
            assert!(batch.len() <= crossrealm_types::MAX_CHANGES);
            let in_batch: usize = batch
                .iter()
                .map(|change| match change {
                    api::IdentityChange::Members { add, remove, .. } => {
                        assert!(add.len() + remove.len() <= crossrealm_types::MAX_MEMBER_CHANGES);
                        add.len() + remove.len()
                    }
                    _ => 0,
                })
                .sum();
            assert!(in_batch <= MAX_MEMBERS_PER_REQUEST);
            members += in_batch;
        }
        assert_eq!(members, 12_002);
        assert_eq!(batches.iter().map(Vec::len).sum::<usize>(), 2500 + 4);
        // What takes away comes first.
        let first = &batches[0][0];
        assert!(matches!(first, api::IdentityChange::Members { remove, .. } if remove.len() == 1));
    }

    /// F2: what is sent again of a run is each object that was refused, once, and nothing else.
    #[test]
    fn refused_objects_are_sent_again() {
        let plan = SyncPlan {
            creates: (0..1500).map(account).collect(),
            deletes: vec![account(1600)],
            ..SyncPlan::default()
        };
        let refused = (400..1700).map(|n| account(n).guid).collect();
        let again = upserts(&plan, &refused);
        let sizes: Vec<_> = again.iter().map(Vec::len).collect();
        assert_eq!(sizes, [1000, 100]);
        let sent: BTreeSet<Uuid> = again.iter().flat_map(|batch| objects(batch)).collect();
        let wanted: BTreeSet<Uuid> = (400..1500).map(|n| account(n).guid).collect();
        assert_eq!(sent, wanted);
    }

    #[test]
    fn the_request_with_the_cursor_carries_few_changes() {
        let plan = SyncPlan {
            creates: (0..1500).map(account).collect(),
            ..SyncPlan::default()
        };
        let mut batches = batches(&plan);
        split_last(&mut batches);
        let sizes: Vec<_> = batches.iter().map(Vec::len).collect();
        assert_eq!(sizes, [1000, 400, 100]);
        assert_eq!(objects(&batches[2]).count(), 100);
    }

    #[test]
    fn an_empty_plan_still_ends_the_run() {
        assert_eq!(batches(&SyncPlan::default()), [vec![]]);
    }
}
