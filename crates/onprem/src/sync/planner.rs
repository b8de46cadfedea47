//! The plan: what the tenant must change to hold what the directory holds. Pure.

use super::model::{Account, CloudObject, CloudState, Object, Observed, Seen, SkipReason, Skipped};
use crossrealm_types::IdentityKind;
use std::collections::{BTreeMap, BTreeSet};

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
    /// Objects that failed before and are as they should be now: written once more, so that the tenant forgets the failure.
    pub repeats: Vec<Account>,
    /// Objects that failed before, are gone now, and were never held.
    pub forgotten: Vec<String>,
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
    /// Its name for display.
    pub name: String,
    /// New members.
    pub add: Vec<String>,
    /// Members that are none any more.
    pub remove: Vec<String>,
}

/// One step of a plan, in the order in which they must be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyncChange<'a> {
    /// Create, update or revive.
    Upsert(&'a Account),
    /// Change memberships.
    Members(&'a Membership),
    /// Delete.
    Delete(&'a Account),
    /// Delete what was never held, by `objectGUID`.
    Forget(&'a str),
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

    /// The steps in order: users, then groups, so that memberships find both; deletions last, so that no user loses
    /// access to something that is about to be given anew.
    pub fn changes(&self) -> Vec<SyncChange<'_>> {
        let upserts = || {
            let updated = self.updates.iter().map(|update| &update.after);
            self.creates.iter().chain(updated).chain(&self.repeats)
        };
        let of = |kind: IdentityKind| upserts().filter(move |account| account.kind == kind);
        of(IdentityKind::User)
            .chain(of(IdentityKind::Group))
            .map(SyncChange::Upsert)
            .chain(self.memberships.iter().map(SyncChange::Members))
            .chain(self.deletes.iter().map(SyncChange::Delete))
            .chain(self.forgotten.iter().map(|guid| SyncChange::Forget(guid)))
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

/// The objects that are new to the tenant. Where not everything was seen, the groups they are in are to be read, and given
/// to [`plan`] as [`Observed::groups_of`]: a group need not have changed when a member comes into scope.
pub fn newcomers(observed: &Observed, cloud: &CloudState) -> BTreeSet<String> {
    if observed.complete {
        return BTreeSet::new();
    }
    observed
        .present()
        .map(|object| &object.account.guid)
        .filter(|guid| live(cloud, guid).is_none())
        .cloned()
        .collect()
}

/// The objects of which [`plan`] must know what the tenant holds, and that are not in `cloud` yet. Where not everything
/// was seen, `cloud` is what was looked up: first what was seen, then these.
pub fn unknown(observed: &Observed, cloud: &CloudState) -> BTreeSet<String> {
    let mut wanted = BTreeSet::new();
    if observed.complete {
        return wanted;
    }
    let nobody = BTreeSet::new();
    for object in observed.present() {
        let held = live(cloud, &object.account.guid).map_or(&nobody, |held| &held.members);
        wanted.extend(object.members.guids.difference(held).cloned());
    }
    wanted.extend(observed.groups_of.values().flatten().cloned());
    wanted.retain(|guid| !observed.seen.contains_key(guid) && !cloud.objects.contains_key(guid));
    wanted
}

fn live<'a>(cloud: &'a CloudState, guid: &str) -> Option<&'a CloudObject> {
    cloud.objects.get(guid).filter(|held| !held.deleted)
}

/// Compares the two states: all of both, or what changed with what the tenant holds of that.
pub fn plan(observed: &Observed, cloud: &CloudState) -> SyncPlan {
    let mut plan = SyncPlan {
        skipped: observed.skipped.clone(),
        held: match observed.complete {
            true => cloud.objects.values().filter(|held| !held.deleted).count(),
            false => cloud.held,
        },
        ..SyncPlan::default()
    };
    for (guid, seen) in &observed.seen {
        match (seen, live(cloud, guid)) {
            (Seen::Present(object), None) => plan.creates.push(object.account.clone()),
            (Seen::Present(object), Some(held)) if held.account != object.account => {
                plan.updates.push(Update {
                    before: held.account.clone(),
                    after: object.account.clone(),
                });
            }
            (Seen::Present(object), Some(_)) => {
                plan.unchanged += 1;
                if observed.failed_before.contains(guid) {
                    plan.repeats.push(object.account.clone());
                }
            }
            (Seen::Gone, Some(held)) => plan.deletes.push(held.account.clone()),
            (Seen::Gone, None) if observed.failed_before.contains(guid) => {
                plan.forgotten.push(guid.clone());
            }
            (Seen::Gone, None) | (Seen::Kept, _) => {}
        }
    }
    if observed.complete {
        let unseen = |(guid, held): &(&String, &CloudObject)| {
            !held.deleted && !observed.seen.contains_key(*guid)
        };
        let gone = cloud.objects.iter().filter(unseen);
        plan.deletes
            .extend(gone.map(|(_, held)| held.account.clone()));
    }
    plan_memberships(observed, cloud, &mut plan);
    plan_joins(observed, cloud, &mut plan);
    plan
}

/// Whether an object will be held by the tenant after the run.
fn will_be_held(observed: &Observed, cloud: &CloudState, guid: &str) -> bool {
    match observed.seen.get(guid) {
        Some(Seen::Present(_) | Seen::Kept) => true,
        Some(Seen::Gone) => false,
        None => !observed.complete && live(cloud, guid).is_some(),
    }
}

fn plan_memberships(observed: &Observed, cloud: &CloudState, plan: &mut SyncPlan) {
    let gone: BTreeSet<&str> = plan
        .deletes
        .iter()
        .map(|account| account.guid.as_str())
        .collect();
    let nobody = BTreeSet::new();
    let mut memberships = Vec::new();
    for object in observed.present() {
        if object.account.kind != IdentityKind::Group {
            continue;
        }
        let members = &object.members;
        let held = live(cloud, &object.account.guid).map_or(&nobody, |held| &held.members);
        let known = |member: &&String| {
            members.elsewhere.contains(*member) || will_be_held(observed, cloud, member)
        };
        let new = || members.guids.iter().filter(|m| !held.contains(*m));
        let add: Vec<String> = new().filter(known).cloned().collect();
        // A member that is about to be deleted takes its memberships along.
        let remove: Vec<String> = held
            .iter()
            .filter(|member| !members.guids.contains(*member) && !gone.contains(member.as_str()))
            .cloned()
            .collect();
        let unknown = new().filter(|member| !known(member)).count();
        plan.skipped.extend(left_out_of(object, unknown));
        if !add.is_empty() || !remove.is_empty() {
            memberships.push(Membership {
                group: object.account.guid.clone(),
                name: object.account.account_name.clone(),
                add,
                remove,
            });
        }
    }
    plan.memberships = memberships;
}

/// What is to be reported of a group's members that are not, or not yet, identities of the tenant.
fn left_out_of(group: &Object, unknown: usize) -> impl Iterator<Item = Skipped> {
    let name = &group.account.account_name;
    let one = |count: usize, reason: SkipReason| {
        (count > 0).then(|| Skipped {
            guid: None,
            name: format!("{count} in `{name}`"),
            reason,
        })
    };
    [
        one(unknown, SkipReason::ForeignMember),
        one(group.members.foreign.len(), SkipReason::ForeignPrincipal),
        one(group.members.elsewhere.len(), SkipReason::OtherDomain),
    ]
    .into_iter()
    .flatten()
}

/// The memberships of objects that are new to the tenant, in groups that did not change themselves.
fn plan_joins(observed: &Observed, cloud: &CloudState, plan: &mut SyncPlan) {
    let mut joins: BTreeMap<&String, Vec<String>> = BTreeMap::new();
    for guid in newcomers(observed, cloud) {
        for group in observed.groups_of.get(&guid).into_iter().flatten() {
            let held = live(cloud, group).filter(|held| held.account.kind == IdentityKind::Group);
            let unchanged = !observed.seen.contains_key(group);
            if unchanged && held.is_some_and(|held| !held.members.contains(&guid)) {
                joins.entry(group).or_default().push(guid.clone());
            }
        }
    }
    for (group, add) in joins {
        plan.memberships.push(Membership {
            group: group.clone(),
            name: live(cloud, group)
                .map_or_else(String::new, |held| held.account.account_name.clone()),
            add,
            remove: Vec::new(),
        });
    }
}

#[cfg(test)]
#[path = "planner_tests.rs"]
mod tests;
