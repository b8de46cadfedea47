//! A plan in the API's terms: its changes in requests of bounded size, and identities between the API's type and AD's.

use crate::error::AgentError;
use crossrealm_api as api;
use crossrealm_onprem::sync::{Account, CloudObject, Observed, SyncChange, SyncPlan};
use crossrealm_types::{DisabledReason, IdentityState};
use std::collections::BTreeSet;

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

/// Objects whose values the agent could not use.
pub(super) fn failures(observed: &Observed) -> Vec<api::SyncFailure> {
    let failed = observed
        .skipped
        .iter()
        .filter(|one| one.reason.keeps_existing());
    failed
        .map(|one| api::SyncFailure {
            object_guid: one.guid.clone(),
            name: one.name.clone(),
            reason: one.reason.to_string(),
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
pub(super) fn objects(changes: &[api::IdentityChange]) -> impl Iterator<Item = String> {
    changes.iter().filter_map(|change| match change {
        api::IdentityChange::Upsert { identity } => Some(identity.object_guid.clone()),
        api::IdentityChange::Members { object_guid, .. } => Some(object_guid.clone()),
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
                batch.len() >= api::MAX_CHANGES || members + weight > MAX_MEMBERS_PER_REQUEST
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
            let identity = identity(account);
            vec![(api::IdentityChange::Upsert { identity }, 0)]
        }
        SyncChange::Delete(account) => {
            let object_guid = account.guid.clone();
            vec![(api::IdentityChange::Delete { object_guid }, 0)]
        }
        SyncChange::Forget(guid) => {
            let object_guid = (*guid).to_owned();
            vec![(api::IdentityChange::Delete { object_guid }, 0)]
        }
        SyncChange::Members(membership) => {
            let part = |add: &[String], remove: &[String]| {
                let weight = add.len() + remove.len();
                let change = api::IdentityChange::Members {
                    object_guid: membership.group.clone(),
                    add: add.to_vec(),
                    remove: remove.to_vec(),
                };
                (change, weight)
            };
            let added = membership
                .add
                .chunks(api::MAX_MEMBER_CHANGES)
                .map(|chunk| part(chunk, &[]));
            let removed = membership
                .remove
                .chunks(api::MAX_MEMBER_CHANGES)
                .map(|chunk| part(&[], chunk));
            added.chain(removed).collect()
        }
    }
}

fn identity(account: &Account) -> api::SyncedIdentity {
    api::SyncedIdentity {
        object_guid: account.guid.clone(),
        kind: account.kind,
        sid: account.sid.to_string(),
        account_name: account.account_name.clone(),
        upn: account.upn.clone(),
        display_name: account.display_name.clone(),
        state: match account.disabled {
            None => IdentityState::Enabled,
            Some(_) => IdentityState::Disabled,
        },
        disabled_reason: account.disabled,
        primary_group_rid: account.primary_group_rid,
        members: Vec::new(),
        more_members: false,
    }
}

/// An identity of the tenant as the planner takes it, with its `objectGUID`.
pub(super) fn cloud_object(held: api::SyncedIdentity) -> Result<(String, CloudObject), AgentError> {
    let parsed = held.sid.parse();
    let sid = parsed.map_err(|_| AgentError::BadSid(held.sid.clone()))?;
    let disabled = (held.state == IdentityState::Disabled)
        .then(|| held.disabled_reason.unwrap_or(DisabledReason::Disabled));
    let object = CloudObject {
        account: Account {
            guid: held.object_guid.clone(),
            kind: held.kind,
            sid,
            account_name: held.account_name,
            upn: held.upn,
            display_name: held.display_name,
            disabled,
            primary_group_rid: held.primary_group_rid,
        },
        deleted: held.state == IdentityState::Deleted,
        members: held.members.into_iter().collect::<BTreeSet<_>>(),
    };
    Ok((held.object_guid, object))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossrealm_onprem::sync::Membership;

    fn account(number: usize) -> Account {
        Account {
            guid: format!("guid-{number}"),
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
            let (guid, object) = cloud_object(identity(&account)).unwrap();
            assert_eq!(
                (guid, object.account, object.deleted),
                (account.guid.clone(), account, false)
            );
        }
    }

    #[test]
    fn batches_keep_the_bounds_and_the_order() {
        let plan = SyncPlan {
            creates: (0..2500).map(account).collect(),
            memberships: vec![Membership {
                group: "g".into(),
                name: "g".into(),
                add: (0..12_001).map(|n| n.to_string()).collect(),
                remove: vec!["x".into()],
            }],
            ..SyncPlan::default()
        };
        let batches = batches(&plan);
        let mut members = 0;
        for batch in &batches {
            assert!(batch.len() <= api::MAX_CHANGES);
            let in_batch: usize = batch
                .iter()
                .map(|change| match change {
                    api::IdentityChange::Members { add, remove, .. } => {
                        assert!(add.len() + remove.len() <= api::MAX_MEMBER_CHANGES);
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
        assert!(matches!(batches[0][0], api::IdentityChange::Upsert { .. }));
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
