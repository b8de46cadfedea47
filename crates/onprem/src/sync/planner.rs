//! The plan: what the tenant must change to hold what the directory holds. Pure.

use super::model::{Account, CloudState, Kind, Observed, SkipReason, Skipped};
use std::collections::BTreeSet;

/// Losses up to this many are never asked about: small directories change by large parts.
const FREE_LOSSES: usize = 10;

/// Losses above this many are always asked about.
const MAX_LOSSES: usize = 500;

/// What the tenant must change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncPlan {
    /// Objects the tenant does not hold, or holds as deleted.
    pub creates: Vec<Account>,
    /// Objects whose facts changed.
    pub updates: Vec<Update>,
    /// Changes of direct memberships.
    pub memberships: Vec<Membership>,
    /// Objects that the directory no longer holds, or that a rule now leaves out.
    pub deletes: Vec<Account>,
    /// What is left out, and why.
    pub skipped: Vec<Skipped>,
    /// Objects that are as they should be.
    pub unchanged: usize,
    /// How many objects the tenant holds now, deleted ones aside.
    pub held: usize,
}

/// A change of facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// As the tenant has it.
    pub before: Account,
    /// As the directory has it.
    pub after: Account,
}

/// A change of a group's direct members, all by `objectGUID`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The group.
    pub group: String,
    /// Its name for people.
    pub name: String,
    /// New members.
    pub add: Vec<String>,
    /// Members that are none any more.
    pub remove: Vec<String>,
}

/// One step of a plan, in the order in which they must be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// Create, update or revive.
    Upsert(&'a Account),
    /// Change memberships.
    Members(&'a Membership),
    /// Delete.
    Delete(&'a Account),
}

impl SyncPlan {
    /// Whether nothing needs to change.
    pub fn is_empty(&self) -> bool {
        self.creates.is_empty()
            && self.updates.is_empty()
            && self.memberships.is_empty()
            && self.deletes.is_empty()
    }

    /// How many identities would lose their access: deleted, or newly disabled.
    pub fn losses(&self) -> usize {
        let disables =
            |update: &&Update| update.before.disabled.is_none() && update.after.disabled.is_some();
        self.deletes.len() + self.updates.iter().filter(disables).count()
    }

    /// How many losses a run may bring unasked: a tenth of what the tenant holds, at least 10 and at most 500. More is
    /// rather a lost right, a wrong domain controller or an accident than a day's work.
    pub fn allowed_losses(&self) -> usize {
        (self.held / 10).clamp(FREE_LOSSES, MAX_LOSSES)
    }

    /// The steps in order: users, then groups, so that memberships find both; deletions last, so that nobody loses
    /// access to something that is about to be given anew.
    pub fn changes(&self) -> Vec<Change<'_>> {
        let upserts = || {
            let updated = self.updates.iter().map(|update| &update.after);
            self.creates.iter().chain(updated)
        };
        let of = |kind: Kind| upserts().filter(move |account| account.kind == kind);
        of(Kind::User)
            .chain(of(Kind::Group))
            .map(Change::Upsert)
            .chain(self.memberships.iter().map(Change::Members))
            .chain(self.deletes.iter().map(Change::Delete))
            .collect()
    }
}

impl Update {
    /// The names of the facts that differ.
    pub fn changed(&self) -> Vec<&'static str> {
        let (a, b) = (&self.before, &self.after);
        [
            ("kind", a.kind != b.kind),
            ("sid", a.sid != b.sid),
            ("account_name", a.account_name != b.account_name),
            ("upn", a.upn != b.upn),
            ("display_name", a.display_name != b.display_name),
            ("state", a.disabled != b.disabled),
            (
                "primary_group_rid",
                a.primary_group_rid != b.primary_group_rid,
            ),
        ]
        .into_iter()
        .filter_map(|(name, differs)| differs.then_some(name))
        .collect()
    }
}

/// Compares the two states.
pub fn plan(observed: &Observed, cloud: &CloudState) -> SyncPlan {
    let mut plan = SyncPlan {
        skipped: observed.skipped.clone(),
        held: cloud.objects.values().filter(|held| !held.deleted).count(),
        ..SyncPlan::default()
    };
    for (guid, object) in &observed.objects {
        match cloud.objects.get(guid).filter(|held| !held.deleted) {
            None => plan.creates.push(object.account.clone()),
            Some(held) if held.account != object.account => plan.updates.push(Update {
                before: held.account.clone(),
                after: object.account.clone(),
            }),
            Some(_) => plan.unchanged += 1,
        }
    }
    let kept: BTreeSet<&str> = observed
        .skipped
        .iter()
        .filter(|skipped| skipped.reason.keeps_existing())
        .filter_map(|skipped| skipped.guid.as_deref())
        .collect();
    for (guid, held) in &cloud.objects {
        if !held.deleted && !observed.objects.contains_key(guid) && !kept.contains(guid.as_str()) {
            plan.deletes.push(held.account.clone());
        }
    }
    plan_memberships(observed, cloud, &kept, &mut plan);
    plan
}

fn plan_memberships(
    observed: &Observed,
    cloud: &CloudState,
    kept: &BTreeSet<&str>,
    plan: &mut SyncPlan,
) {
    let gone: BTreeSet<&str> = plan
        .deletes
        .iter()
        .map(|account| account.guid.as_str())
        .collect();
    let nobody = BTreeSet::new();
    for (guid, object) in &observed.objects {
        if object.account.kind != Kind::Group {
            continue;
        }
        let held = cloud
            .objects
            .get(guid)
            .filter(|held| !held.deleted)
            .map_or(&nobody, |held| &held.members);
        let known = |member: &&String| {
            observed.objects.contains_key(*member) || kept.contains(member.as_str())
        };
        let add: Vec<String> = object
            .members
            .iter()
            .filter(known)
            .filter(|m| !held.contains(*m))
            .cloned()
            .collect();
        // A member that is about to be deleted takes its memberships along.
        let remove: Vec<String> = held
            .iter()
            .filter(|member| !object.members.contains(*member) && !gone.contains(member.as_str()))
            .cloned()
            .collect();
        let foreign = object
            .members
            .iter()
            .filter(|member| !known(member))
            .count();
        if foreign > 0 {
            plan.skipped.push(Skipped {
                guid: None,
                name: format!("{foreign} in `{}`", object.account.account_name),
                reason: SkipReason::ForeignMember,
            });
        }
        if !add.is_empty() || !remove.is_empty() {
            plan.memberships.push(Membership {
                group: guid.clone(),
                name: object.account.account_name.clone(),
                add,
                remove,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::{CloudObject, DisabledReason, Domain, Object};
    use super::*;
    use std::collections::BTreeMap;

    const DOMAIN: &str = "S-1-5-21-1-2-3";

    fn account(guid: &str, kind: Kind) -> Account {
        let rid = guid.bytes().fold(1000, |sum, byte| sum + u32::from(byte));
        Account {
            guid: guid.to_owned(),
            kind,
            sid: DOMAIN
                .parse::<crossrealm_krb::sid::Sid>()
                .unwrap()
                .with_rid(rid)
                .unwrap(),
            account_name: guid.to_owned(),
            upn: String::new(),
            display_name: String::new(),
            disabled: None,
            primary_group_rid: 0,
        }
    }

    fn observed(objects: &[(&str, Kind, &[&str])]) -> Observed {
        Observed {
            domain: Domain {
                dns_name: "corp.contoso.com".into(),
                flat_name: "CORP".into(),
                sid: DOMAIN.parse().unwrap(),
            },
            objects: objects
                .iter()
                .map(|(guid, kind, members)| {
                    let object = Object {
                        account: account(guid, *kind),
                        members: members.iter().map(|m| (*m).to_owned()).collect(),
                    };
                    ((*guid).to_owned(), object)
                })
                .collect(),
            skipped: Vec::new(),
        }
    }

    /// What a tenant does with one change; the rest of the plan may never come.
    fn apply(cloud: &mut CloudState, change: &Change<'_>) {
        match change {
            Change::Upsert(account) => {
                let held = cloud
                    .objects
                    .entry(account.guid.clone())
                    .or_insert_with(|| CloudObject {
                        account: (*account).clone(),
                        deleted: false,
                        members: BTreeSet::new(),
                    });
                held.account = (*account).clone();
                held.deleted = false;
            }
            Change::Members(change) => {
                for member in &change.add {
                    assert!(!cloud.objects[member].deleted, "an unknown member");
                }
                let held = cloud.objects.get_mut(&change.group).unwrap();
                held.members.extend(change.add.iter().cloned());
                held.members
                    .retain(|member| !change.remove.contains(member));
            }
            Change::Delete(account) => {
                cloud.objects.get_mut(&account.guid).unwrap().deleted = true;
                cloud
                    .objects
                    .get_mut(&account.guid)
                    .unwrap()
                    .members
                    .clear();
                for held in cloud.objects.values_mut() {
                    held.members.remove(&account.guid);
                }
            }
        }
    }

    fn live(cloud: &CloudState) -> BTreeMap<String, (Account, BTreeSet<String>)> {
        let live = cloud.objects.iter().filter(|(_, held)| !held.deleted);
        live.map(|(guid, held)| (guid.clone(), (held.account.clone(), held.members.clone())))
            .collect()
    }

    use Kind::{Group, User};

    /// A history of a small directory: joins, cycles, renames, departures, returns.
    fn history() -> Vec<Observed> {
        let mut renamed = observed(&[
            ("alice", User, &[]),
            ("sales", Group, &["alice"]),
            ("all", Group, &["sales"]),
        ]);
        renamed
            .objects
            .get_mut("alice")
            .unwrap()
            .account
            .display_name = "Alice".into();
        let mut disabled = renamed.clone();
        disabled.objects.get_mut("alice").unwrap().account.disabled = Some(DisabledReason::Locked);
        vec![
            observed(&[]),
            observed(&[
                ("alice", User, &[]),
                ("bob", User, &[]),
                ("sales", Group, &["alice", "bob"]),
            ]),
            observed(&[
                ("alice", User, &[]),
                ("bob", User, &[]),
                ("sales", Group, &["alice", "all"]),
                ("all", Group, &["sales", "computer"]),
            ]),
            renamed,
            disabled,
            observed(&[("bob", User, &[]), ("all", Group, &["bob"])]),
            observed(&[
                ("alice", User, &[]),
                ("bob", User, &[]),
                ("sales", Group, &["alice", "bob"]),
                ("all", Group, &[]),
            ]),
        ]
    }

    #[test]
    fn every_history_with_crashes_ends_like_one_full_sync() {
        let history = history();
        // Each run is cut off after as many changes as the digit of `seed` says; the last one is not.
        for seed in 0..4usize.pow(6) {
            let mut cloud = CloudState::default();
            for (run, state) in history.iter().enumerate() {
                let cut = if run + 1 == history.len() {
                    usize::MAX
                } else {
                    seed / 4usize.pow(run as u32 % 6) % 4
                };
                let plan = plan(state, &cloud);
                for change in plan
                    .changes()
                    .iter()
                    .take(if cut == 3 { usize::MAX } else { cut })
                {
                    apply(&mut cloud, change);
                }
            }
            let mut fresh = CloudState::default();
            let last = history.last().unwrap();
            plan(last, &fresh.clone())
                .changes()
                .iter()
                .for_each(|change| apply(&mut fresh, change));
            assert_eq!(live(&cloud), live(&fresh), "seed {seed}");
            assert!(plan(last, &cloud).is_empty(), "seed {seed}");
        }
    }

    #[test]
    fn what_a_rule_leaves_out_goes_and_what_is_damaged_stays() {
        let before = observed(&[
            ("alice", User, &[]),
            ("bob", User, &[]),
            ("sales", Group, &["alice", "bob"]),
        ]);
        let mut cloud = CloudState::default();
        plan(&before, &cloud.clone())
            .changes()
            .iter()
            .for_each(|change| apply(&mut cloud, change));
        let mut after = observed(&[("sales", Group, &["alice", "bob"])]);
        for (guid, reason) in [
            ("alice", SkipReason::UnusableValue("sAMAccountName")),
            ("bob", SkipReason::ReservedRid),
        ] {
            after.skipped.push(Skipped {
                guid: Some(guid.into()),
                name: guid.into(),
                reason,
            });
        }
        let plan = plan(&after, &cloud);
        let deleted: Vec<_> = plan
            .deletes
            .iter()
            .map(|account| account.guid.as_str())
            .collect();
        assert_eq!(deleted, ["bob"]);
        assert!(plan.memberships.is_empty(), "{:?}", plan.memberships);
    }

    #[test]
    fn losses_are_counted_and_bounded() {
        let before = observed(&[
            ("alice", User, &[]),
            ("bob", User, &[]),
            ("carol", User, &[]),
        ]);
        let mut cloud = CloudState::default();
        let first = plan(&before, &cloud);
        assert_eq!((first.losses(), first.held), (0, 0));
        first
            .changes()
            .iter()
            .for_each(|change| apply(&mut cloud, change));
        let mut after = observed(&[("alice", User, &[]), ("bob", User, &[])]);
        after.objects.get_mut("bob").unwrap().account.disabled = Some(DisabledReason::Expired);
        let second = plan(&after, &cloud);
        assert_eq!(
            (second.losses(), second.held, second.allowed_losses()),
            (2, 3, 10)
        );
        let allowed = |held| {
            SyncPlan {
                held,
                ..SyncPlan::default()
            }
            .allowed_losses()
        };
        assert_eq!([allowed(200), allowed(100_000)], [20, 500]);
    }

    #[test]
    fn foreign_members_are_reported_once_per_group() {
        let state = observed(&[("sales", Group, &["computer", "contact"])]);
        let plan = plan(&state, &CloudState::default());
        assert_eq!(plan.skipped.len(), 1);
        assert_eq!(plan.skipped[0].name, "2 in `sales`");
        assert!(plan.memberships.is_empty());
    }

    #[test]
    fn an_update_says_what_differs() {
        let before = account("alice", User);
        let after = Account {
            disabled: Some(DisabledReason::Disabled),
            upn: "a@b".into(),
            ..before.clone()
        };
        assert_eq!(Update { before, after }.changed(), ["upn", "state"]);
    }
}
