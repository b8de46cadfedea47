//! Names that go round among more objects than one request carries.
//!
//! The tenant judges names by what one request leaves. Where no request holds the whole circle, each of its objects waits for the
//! next one. So one of them gets names for the moment that nobody else has, and the circle is a row with a free end.

use crossrealm_api as api;
use crossrealm_onprem::sync::{Account, SyncPlan, Update};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// An object of a circle among those that wait for a name. `parked` have let go of theirs.
pub(super) fn on_a_circle(
    plan: &SyncPlan,
    waiting: &BTreeSet<Uuid>,
    parked: &BTreeSet<Uuid>,
) -> Option<Uuid> {
    let updates = || {
        let all = plan.updates.iter();
        all.filter(|update| waiting.contains(&update.after.guid))
    };
    let holding = updates().filter(|update| !parked.contains(&update.after.guid));
    let holders: BTreeMap<String, Uuid> = holding
        .flat_map(|update| names(&update.before).map(|name| (name, update.before.guid)))
        .collect();
    let mut next: BTreeMap<Uuid, Vec<Uuid>> = BTreeMap::new();
    for update in updates() {
        let guid = update.after.guid;
        let holders = names(&update.after).filter_map(|name| holders.get(&name));
        next.insert(guid, holders.copied().filter(|one| *one != guid).collect());
    }
    first_met_again(&next)
}

/// The object under names for the moment: its GUID, and no UPN. All else is as AD has it.
pub(super) fn parked(plan: &SyncPlan, guid: Uuid) -> Option<api::IdentityChange> {
    let after = &update_of(plan, guid)?.after;
    Some(upsert(&Account {
        account_name: guid.simple().to_string(),
        upn: String::new(),
        ..after.clone()
    }))
}

/// The object under the names that it had. All else is as AD has it.
pub(super) fn with_former_names(plan: &SyncPlan, guid: Uuid) -> Option<api::IdentityChange> {
    let Update { before, after } = update_of(plan, guid)?;
    Some(upsert(&Account {
        account_name: before.account_name.clone(),
        upn: before.upn.clone(),
        ..after.clone()
    }))
}

fn update_of(plan: &SyncPlan, guid: Uuid) -> Option<&Update> {
    plan.updates.iter().find(|update| update.after.guid == guid)
}

fn upsert(account: &Account) -> api::IdentityChange {
    let identity = account.to_identity();
    api::IdentityChange::Upsert { identity }
}

/// The names that no other object may have, for comparison without case.
fn names(account: &Account) -> impl Iterator<Item = String> {
    let upn = Some(&account.upn).filter(|upn| !upn.is_empty());
    let upn = upn.map(|upn| format!("upn {}", upn.to_lowercase()));
    let account = format!("account {}", account.account_name.to_lowercase());
    std::iter::once(account).chain(upn)
}

/// The first object that a walk along these edges meets for the second time.
fn first_met_again(next: &BTreeMap<Uuid, Vec<Uuid>>) -> Option<Uuid> {
    let mut done = BTreeSet::new();
    for start in next.keys() {
        let mut path = vec![(*start, 0)];
        let mut on_path = BTreeSet::from([*start]);
        while let Some((at, edge)) = path.last_mut() {
            let at = *at;
            let to = next.get(&at).and_then(|edges| edges.get(*edge)).copied();
            *edge += 1;
            match to {
                None => {
                    path.pop();
                    on_path.remove(&at);
                    done.insert(at);
                }
                Some(to) if on_path.contains(&to) => return Some(to),
                Some(to) if done.contains(&to) => {}
                Some(to) => {
                    path.push((to, 0));
                    on_path.insert(to);
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossrealm_types::IdentityKind;

    fn account(number: u128, name: u128) -> Account {
        Account {
            guid: Uuid::from_u128(number),
            kind: IdentityKind::User,
            sid: format!("S-1-5-21-1-2-3-{}", 1000 + number).parse().unwrap(),
            account_name: format!("User{name}"),
            upn: format!("user{name}@corp.contoso.com"),
            display_name: String::new(),
            disabled: None,
            primary_group_rid: 513,
        }
    }

    fn plan(moves: &[(u128, u128)]) -> (SyncPlan, BTreeSet<Uuid>) {
        let updates = moves.iter().map(|(number, name)| Update {
            before: account(*number, *number),
            after: account(*number, *name),
        });
        let plan = SyncPlan {
            updates: updates.collect(),
            ..SyncPlan::default()
        };
        let waiting = plan.updates.iter().map(|one| one.after.guid).collect();
        (plan, waiting)
    }

    /// F2: a row of names has an end and needs nothing; a circle is found, also behind a row, and is one no more when one of its
    /// objects is parked.
    #[test]
    fn a_circle_is_found_and_opened() {
        let nobody = BTreeSet::new();
        let (row, waiting) = plan(&[(1, 2), (2, 3), (3, 4)]);
        assert_eq!(on_a_circle(&row, &waiting, &nobody), None);
        let (circle, waiting) = plan(&[(1, 2), (2, 3), (3, 4), (4, 2)]);
        let found = on_a_circle(&circle, &waiting, &nobody).unwrap();
        assert!((2..=4).contains(&found.as_u128()), "{found}");
        assert_eq!(
            on_a_circle(&circle, &waiting, &BTreeSet::from([found])),
            None
        );
        // Who does not wait is no part of it.
        let others: BTreeSet<Uuid> = waiting.into_iter().filter(|one| *one != found).collect();
        assert_eq!(on_a_circle(&circle, &others, &nobody), None);
    }

    /// F2: a parked object has names that nobody else has, and is in all else what AD has.
    #[test]
    fn a_parked_object_differs_in_its_names_alone() {
        let (plan, _) = plan(&[(1, 2)]);
        let identity = |change: Option<api::IdentityChange>| match change {
            Some(api::IdentityChange::Upsert { identity }) => identity,
            other => panic!("{other:?}"),
        };
        let guid = Uuid::from_u128(1);
        let after = plan.updates[0].after.to_identity();
        let parked = identity(parked(&plan, guid));
        assert!(crossrealm_types::is_sam_account_name(&parked.account_name));
        assert_eq!(parked.upn, "");
        assert_eq!(
            crossrealm_types::SyncedIdentity {
                account_name: after.account_name.clone(),
                upn: after.upn.clone(),
                ..parked
            },
            after
        );
        let former = identity(with_former_names(&plan, guid));
        assert_eq!(former.account_name, "User1");
        assert_eq!(former.upn, "user1@corp.contoso.com");
    }
}
