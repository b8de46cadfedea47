//! The plan: what the tenant must change to have what AD has. Pure.

use super::model::{Account, CloudObject, CloudState, Object, Observed, Seen, SkipReason, Skipped};
use crossrealm_types::{IdentityKind, Sid};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// So many removals are always accepted: in a small directory they can be a large part.
const FREE_LOSSES: usize = 10;

/// More removals than this are never accepted unasked.
const MAX_LOSSES: usize = 500;

/// What the tenant must change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncPlan {
    /// Objects that the tenant does not have, or has as deleted.
    pub creates: Vec<Account>,
    /// Objects whose attributes changed.
    pub updates: Vec<Update>,
    /// Changes of direct members.
    pub memberships: Vec<Membership>,
    /// Objects that were deleted in AD, or that a rule now leaves out.
    pub deletes: Vec<Account>,
    /// Objects that are left out, and the reasons.
    pub skipped: Vec<Skipped>,
    /// Objects that failed before and need no change now: written once more, which clears the failure in the tenant.
    pub repeats: Vec<Account>,
    /// Objects that failed before, were deleted meanwhile, and are unknown to the tenant.
    pub forgotten: Vec<Uuid>,
    /// Objects that the tenant keeps although it is not known whether AD takes something away from them, by `objectGUID`: it
    /// may grant them more than AD does.
    pub exceeding: BTreeSet<Uuid>,
    /// Objects and those of their attributes whose values cannot be stored as they are.
    pub normalized: Vec<(String, &'static str)>,
    /// The number of objects that need no change.
    pub unchanged: usize,
    /// The number of objects that the tenant has, without deleted ones.
    pub held: usize,
}

/// A change of attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// As the tenant has it.
    pub before: Account,
    /// As AD has it.
    pub after: Account,
}

/// A change of a group's direct members, all by `objectGUID`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The group.
    pub group: Uuid,
    /// Its display name.
    pub name: String,
    /// New members.
    pub add: Vec<Uuid>,
    /// Former members.
    pub remove: Vec<Uuid>,
    /// Those of `add` that are in another domain of the forest, with the SID of that domain.
    pub elsewhere: BTreeMap<Uuid, Sid>,
}

/// One step of a plan, in the order in which they must be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyncChange<'a> {
    /// Create, update or restore.
    Upsert(&'a Account),
    /// Remove the former members of a group.
    Leave(&'a Membership),
    /// Add the new members of a group.
    Join(&'a Membership),
    /// Delete.
    Delete(&'a Account),
    /// Clear the failure of an object that the tenant never had, by `objectGUID`.
    Forget(Uuid),
}

impl SyncPlan {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.creates.is_empty()
            && self.updates.is_empty()
            && self.memberships.is_empty()
            && self.deletes.is_empty()
    }

    /// How many identities would lose access: deleted, or newly disabled.
    pub fn removals(&self) -> usize {
        let disables = |update: &&Update| update.disables();
        self.deletes.len() + self.updates.iter().filter(disables).count()
    }

    /// How many removals a run may cause unasked: a tenth of what the tenant has, at least 10 and at most 500. More are likely
    /// due to a lost right, a wrong domain controller or an accident.
    pub fn allowed_removals(&self) -> usize {
        (self.held / 10).clamp(FREE_LOSSES, MAX_LOSSES)
    }

    /// The steps in order. What takes rights away comes first, so that a run which is cut off leaves nobody with more than AD
    /// grants, and so that a name is free before another object gets it. Then users before groups, so that members exist.
    pub fn changes(&self) -> Vec<SyncChange<'_>> {
        let (losses, others): (Vec<_>, Vec<_>) =
            self.updates.iter().partition(|update| update.takes_away());
        let losses = losses.into_iter().map(|update| &update.after);
        let upserts = || {
            let updated = others.iter().map(|update| &update.after);
            self.creates.iter().chain(updated).chain(&self.repeats)
        };
        let of = |kind: IdentityKind| upserts().filter(move |account| account.kind == kind);
        let leaves = self.memberships.iter().filter(|one| !one.remove.is_empty());
        let joins = self.memberships.iter().filter(|one| !one.add.is_empty());
        let deletes = self.deletes.iter().map(SyncChange::Delete);
        deletes
            .chain(losses.map(SyncChange::Upsert))
            .chain(leaves.map(SyncChange::Leave))
            .chain(of(IdentityKind::User).map(SyncChange::Upsert))
            .chain(of(IdentityKind::Group).map(SyncChange::Upsert))
            .chain(joins.map(SyncChange::Join))
            .chain(self.forgotten.iter().copied().map(SyncChange::Forget))
            .collect()
    }
}

impl Update {
    /// Whether the user may no longer sign in.
    pub fn disables(&self) -> bool {
        self.before.disabled.is_none() && self.after.disabled.is_some()
    }

    /// Whether the user loses something: the sign-in, or the rights of the former primary group.
    pub fn takes_away(&self) -> bool {
        self.disables() || self.before.primary_group_rid != self.after.primary_group_rid
    }

    /// The names of the attributes that differ.
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

/// The objects that are new to the tenant. In an incremental sync their groups must be read, and passed to [`plan`] as
/// [`Observed::groups_of`]: a group need not have changed when an object comes into scope.
pub fn newcomers(observed: &Observed, cloud: &CloudState) -> BTreeSet<Uuid> {
    if observed.complete {
        return BTreeSet::new();
    }
    observed
        .present()
        .map(|object| object.account.guid)
        .filter(|guid| live(cloud, guid).is_none())
        .collect()
}

/// The objects whose state in the tenant [`plan`] needs and `cloud` does not have yet. In an incremental sync, `cloud` has
/// what was looked up: first what was read, then these.
pub fn unknown(observed: &Observed, cloud: &CloudState) -> BTreeSet<Uuid> {
    let mut wanted = BTreeSet::new();
    if observed.complete {
        return wanted;
    }
    let nobody = BTreeSet::new();
    for object in observed.present() {
        let held = live(cloud, &object.account.guid).map_or(&nobody, |held| &held.members);
        wanted.extend(object.members.guids.difference(held));
    }
    wanted.extend(observed.groups_of.values().flatten());
    wanted.retain(|guid| !observed.seen.contains_key(guid) && !cloud.objects.contains_key(guid));
    wanted
}

fn live<'a>(cloud: &'a CloudState, guid: &Uuid) -> Option<&'a CloudObject> {
    cloud.objects.get(guid).filter(|held| !held.deleted)
}

/// Compares the two states: all of both, or what changed with the tenant's state of it.
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
                plan.forgotten.push(*guid);
            }
            (Seen::Kept(Some(object)), Some(held)) => {
                let after = without_what_is_taken_away(&held.account, &object.account);
                if after != held.account {
                    let before = held.account.clone();
                    plan.updates.push(Update { before, after });
                }
            }
            (Seen::Kept(None), Some(held)) if held.account.disabled.is_none() => {
                plan.exceeding.insert(*guid);
            }
            (Seen::Gone, None) | (Seen::Kept(_), _) => {}
        }
    }
    for object in observed.present() {
        let name = &object.account.account_name;
        let normalized = object.normalized.iter().map(|what| (name.clone(), *what));
        plan.normalized.extend(normalized);
    }
    if observed.complete {
        let unseen = |(guid, held): &(&Uuid, &CloudObject)| {
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

/// What the tenant keeps of an object that AD has in a form that cannot be synchronized.
fn without_what_is_taken_away(held: &Account, in_ad: &Account) -> Account {
    Account {
        disabled: held.disabled.or(in_ad.disabled),
        primary_group_rid: match in_ad.primary_group_rid {
            0 => held.primary_group_rid,
            known => known,
        },
        ..held.clone()
    }
}

/// Whether the tenant will have an object after the run.
fn will_be_held(observed: &Observed, cloud: &CloudState, guid: &Uuid) -> bool {
    match observed.seen.get(guid) {
        Some(Seen::Present(_) | Seen::Kept(_)) => true,
        Some(Seen::Gone) => false,
        None => !observed.complete && live(cloud, guid).is_some(),
    }
}

fn plan_memberships(observed: &Observed, cloud: &CloudState, plan: &mut SyncPlan) {
    let gone: BTreeSet<Uuid> = plan.deletes.iter().map(|account| account.guid).collect();
    let nobody = BTreeSet::new();
    let mut memberships = Vec::new();
    for seen in observed.seen.values() {
        let (object, is_usable) = match seen {
            Seen::Present(object) => (object, true),
            // Only what is taken away counts of it.
            Seen::Kept(Some(object)) => (object, false),
            Seen::Kept(None) | Seen::Gone => continue,
        };
        if object.account.kind != IdentityKind::Group {
            continue;
        }
        let members = &object.members;
        let held = live(cloud, &object.account.guid).map_or(&nobody, |held| &held.members);
        let known = |member: &&Uuid| {
            members.elsewhere.contains_key(*member) || will_be_held(observed, cloud, member)
        };
        let new = || {
            let wanted = members.guids.iter().filter(|_| is_usable);
            wanted.filter(|m| !held.contains(*m))
        };
        let add: Vec<Uuid> = new().filter(known).copied().collect();
        // The deletion of a member also deletes its memberships.
        let remove: Vec<Uuid> = held
            .iter()
            .filter(|member| !members.guids.contains(*member) && !gone.contains(*member))
            .copied()
            .collect();
        let unknown = new().filter(|member| !known(member)).count();
        if is_usable {
            plan.skipped.extend(left_out_of(object, unknown));
        }
        if !add.is_empty() || !remove.is_empty() {
            memberships.push(Membership {
                group: object.account.guid,
                name: object.account.account_name.clone(),
                elsewhere: add
                    .iter()
                    .filter_map(|guid| {
                        let domain = members.elsewhere.get(guid)?.clone()?;
                        Some((*guid, domain))
                    })
                    .collect(),
                add,
                remove,
            });
        }
    }
    plan.memberships = memberships;
}

/// The members of a group that are to be reported because they are not, or not yet, identities of the tenant.
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

/// The memberships of objects that are new to the tenant in groups that did not change.
fn plan_joins(observed: &Observed, cloud: &CloudState, plan: &mut SyncPlan) {
    let mut joins: BTreeMap<Uuid, Vec<Uuid>> = BTreeMap::new();
    for guid in newcomers(observed, cloud) {
        for group in observed.groups_of.get(&guid).into_iter().flatten() {
            let held = live(cloud, group).filter(|held| held.account.kind == IdentityKind::Group);
            let unchanged = !observed.seen.contains_key(group);
            if unchanged && held.is_some_and(|held| !held.members.contains(&guid)) {
                joins.entry(*group).or_default().push(guid);
            }
        }
    }
    for (group, add) in joins {
        plan.memberships.push(Membership {
            group,
            name: live(cloud, &group)
                .map_or_else(String::new, |held| held.account.account_name.clone()),
            add,
            remove: Vec::new(),
            // Newcomers are of this domain.
            elsewhere: BTreeMap::new(),
        });
    }
}

#[cfg(test)]
#[path = "planner_tests.rs"]
pub(super) mod tests;
