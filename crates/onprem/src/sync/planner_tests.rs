//! The planner against a small tenant: full runs, runs of changes, crashes between any two steps.

use super::super::model::{Domain, Members};
use super::*;
use crossrealm_types::DisabledReason;
use proptest::prelude::*;

const DOMAIN: &str = "S-1-5-21-1-2-3";

/// A GUID that holds the name of a test's object.
pub(in crate::sync) fn guid(name: &str) -> Uuid {
    let mut bytes = [0; 16];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    Uuid::from_bytes(bytes)
}

fn account(name: &str, kind: IdentityKind) -> Account {
    let rid = name.bytes().fold(1000, |sum, byte| sum + u32::from(byte));
    Account {
        guid: guid(name),
        kind,
        sid: DOMAIN
            .parse::<crossrealm_types::Sid>()
            .unwrap()
            .with_rid(rid)
            .unwrap(),
        account_name: name.to_owned(),
        upn: String::new(),
        display_name: String::new(),
        disabled: None,
        primary_group_rid: 0,
    }
}

fn object(name: &str, kind: IdentityKind, members: &[&str]) -> Object {
    Object {
        members: Members {
            guids: members.iter().map(|name| guid(name)).collect(),
            ..Members::default()
        },
        ..Object::of(account(name, kind))
    }
}

fn change(state: &mut Observed, name: &str, how: impl FnOnce(&mut Account)) {
    match state.seen.get_mut(&guid(name)) {
        Some(Seen::Present(object)) => how(&mut object.account),
        other => panic!("{name}: {other:?}"),
    }
}

fn observed(objects: &[(&str, IdentityKind, &[&str])]) -> Observed {
    Observed {
        domain: Domain {
            dns_name: "corp.contoso.com".into(),
            flat_name: "CORP".into(),
            sid: DOMAIN.parse().unwrap(),
        },
        seen: objects
            .iter()
            .map(|(name, kind, members)| {
                (
                    guid(name),
                    Seen::Present(Box::new(object(name, *kind, members))),
                )
            })
            .collect(),
        complete: true,
        groups_of: BTreeMap::new(),
        failed_before: BTreeSet::new(),
        skipped: Vec::new(),
    }
}

/// What a tenant does with one change; the rest of the plan may never come.
fn apply(cloud: &mut CloudState, change: &SyncChange<'_>) {
    match change {
        SyncChange::Upsert(account) => {
            let held = cloud
                .objects
                .entry(account.guid)
                .or_insert_with(|| CloudObject {
                    account: (*account).clone(),
                    deleted: false,
                    members: BTreeSet::new(),
                });
            held.account = (*account).clone();
            held.deleted = false;
        }
        SyncChange::Leave(change) => {
            let held = cloud.objects.get_mut(&change.group).unwrap();
            held.members
                .retain(|member| !change.remove.contains(member));
        }
        SyncChange::Join(change) => {
            let held = cloud.objects.get_mut(&change.group).unwrap();
            held.members.extend(&change.add);
        }
        SyncChange::Forget(guid) => assert!(live(cloud, guid).is_none()),
        SyncChange::Delete(account) => {
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

fn live_objects(cloud: &CloudState) -> BTreeMap<Uuid, (Account, BTreeSet<Uuid>)> {
    let live = cloud.objects.iter().filter(|(_, held)| !held.deleted);
    live.map(|(guid, held)| (*guid, (held.account.clone(), held.members.clone())))
        .collect()
}

use IdentityKind::{Group, User};

/// A history of a small directory: joins, cycles, renames, departures, returns.
fn history() -> Vec<Observed> {
    let mut renamed = observed(&[
        ("alice", User, &[]),
        ("sales", Group, &["alice"]),
        ("all", Group, &["sales"]),
    ]);
    change(&mut renamed, "alice", |alice| {
        alice.display_name = "Alice".into()
    });
    let mut disabled = renamed.clone();
    change(&mut disabled, "alice", |alice| {
        alice.disabled = Some(DisabledReason::Locked)
    });
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
        let last = history.last().unwrap();
        let fresh = synced(last);
        assert_eq!(live_objects(&cloud), live_objects(&fresh), "seed {seed}");
        assert!(plan(last, &cloud).is_empty(), "seed {seed}");
    }
}

/// A group and its two members.
const SALES: [(&str, IdentityKind, &[&str]); 3] = [
    ("alice", User, &[]),
    ("bob", User, &[]),
    ("sales", Group, &["alice", "bob"]),
];

/// The tenant after a first sync.
fn synced(seen: &Observed) -> CloudState {
    let mut cloud = CloudState::default();
    plan(seen, &cloud.clone())
        .changes()
        .iter()
        .for_each(|change| apply(&mut cloud, change));
    cloud
}

#[test]
fn what_a_rule_leaves_out_goes_and_what_is_damaged_stays() {
    let cloud = synced(&observed(&SALES));
    let mut after = observed(&[("sales", Group, &["alice", "bob"])]);
    for (name, reason) in [
        ("alice", SkipReason::UnusableValue("sAMAccountName")),
        ("bob", SkipReason::ReservedRid),
    ] {
        let seen = match reason.keeps_existing() {
            true => Seen::Kept(None),
            false => Seen::Gone,
        };
        after.seen.insert(guid(name), seen);
    }
    let plan = plan(&after, &cloud);
    let deleted: Vec<_> = plan
        .deletes
        .iter()
        .map(|account| account.account_name.as_str())
        .collect();
    assert_eq!(deleted, ["bob"]);
    assert!(plan.memberships.is_empty(), "{:?}", plan.memberships);
}

/// F1: of objects that cannot be synchronized as they are, what AD takes away is planned all the same, and what is not known
/// is reported.
#[test]
fn what_ad_takes_from_a_damaged_object_is_taken() {
    let cloud = synced(&observed(&SALES));
    let kept = |name: &str, kind, members: &[&str], disabled| {
        let mut object = object(name, kind, members);
        object.account.account_name = String::new();
        object.account.disabled = disabled;
        (guid(name), Seen::Kept(Some(Box::new(object))))
    };
    let mut after = observed(&[]);
    after.seen = BTreeMap::from([
        kept("alice", User, &[], Some(DisabledReason::Expired)),
        // AD has a new member: what is given waits until the group can be synchronized.
        kept("sales", Group, &["bob", "carol"], None),
        (guid("bob"), Seen::Kept(None)),
    ]);
    let plan = plan(&after, &cloud);
    assert_eq!((plan.updates.len(), plan.deletes.len()), (1, 0));
    assert_eq!(plan.updates[0].changed(), ["state"]);
    assert_eq!(plan.updates[0].after.account_name, "alice");
    assert_eq!(plan.memberships.len(), 1);
    assert_eq!(plan.memberships[0].remove, [guid("alice")]);
    assert!(plan.memberships[0].add.is_empty());
    assert_eq!(plan.exceeding, BTreeSet::from([guid("bob")]));
}

/// F1: what takes rights away is sent before anything else.
#[test]
fn what_takes_rights_away_comes_first() {
    let before = observed(&[
        ("alice", User, &[]),
        ("bob", User, &[]),
        ("carol", User, &[]),
        ("sales", Group, &["carol"]),
    ]);
    let cloud = synced(&before);
    let mut after = observed(&[
        ("alice", User, &[]),
        ("carol", User, &[]),
        ("dave", User, &[]),
        ("sales", Group, &["dave"]),
    ]);
    change(&mut after, "alice", |alice| {
        alice.disabled = Some(DisabledReason::Disabled)
    });
    let plan = plan(&after, &cloud);
    let kinds: Vec<_> = plan
        .changes()
        .iter()
        .map(|change| match change {
            SyncChange::Delete(account) => format!("delete {}", account.account_name),
            SyncChange::Upsert(account) => format!("upsert {}", account.account_name),
            SyncChange::Leave(change) => format!("leave {}", change.name),
            SyncChange::Join(change) => format!("join {}", change.name),
            SyncChange::Forget(_) => "forget".to_owned(),
        })
        .collect();
    assert_eq!(
        kinds,
        [
            "delete bob",
            "upsert alice",
            "leave sales",
            "upsert dave",
            "join sales"
        ]
    );
}

#[test]
fn removals_are_counted_and_bounded() {
    let before = observed(&[
        ("alice", User, &[]),
        ("bob", User, &[]),
        ("carol", User, &[]),
    ]);
    let mut cloud = CloudState::default();
    let first = plan(&before, &cloud);
    assert_eq!((first.removals(), first.held), (0, 0));
    first
        .changes()
        .iter()
        .for_each(|change| apply(&mut cloud, change));
    let mut after = observed(&[("alice", User, &[]), ("bob", User, &[])]);
    change(&mut after, "bob", |bob| {
        bob.disabled = Some(DisabledReason::Expired)
    });
    let second = plan(&after, &cloud);
    assert_eq!(
        (second.removals(), second.held, second.allowed_removals()),
        (2, 3, 10)
    );
    let allowed = |held| {
        SyncPlan {
            held,
            ..SyncPlan::default()
        }
        .allowed_removals()
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

#[test]
fn a_newcomer_joins_groups_that_did_not_change() {
    let before = observed(&[("sales", Group, &["alice"]), ("all", Group, &["sales"])]);
    let cloud = synced(&before);
    let mut now = observed(&[("alice", User, &[])]);
    now.complete = false;
    assert_eq!(newcomers(&now, &cloud), BTreeSet::from([guid("alice")]));
    now.groups_of = BTreeMap::from([(
        guid("alice"),
        BTreeSet::from([guid("sales"), guid("outside")]),
    )]);
    let looked_up = CloudState::default();
    assert_eq!(
        unknown(&now, &looked_up),
        BTreeSet::from([guid("sales"), guid("outside")])
    );
    let plan = plan(&now, &cloud);
    assert_eq!(plan.memberships.len(), 1);
    assert_eq!(
        (
            plan.memberships[0].group,
            plan.memberships[0].add.as_slice()
        ),
        (guid("sales"), [guid("alice")].as_slice())
    );
    assert!(plan.deletes.is_empty());
}

/// How many objects the small directory of the property test has: the first half are users.
const OBJECTS: usize = 8;

/// One thing that an administrator does, or that happens to the agent.
#[derive(Clone, Debug)]
enum Edit {
    Create(usize),
    Delete(usize),
    Rename(usize, u8),
    Disable(usize, bool),
    /// Moves an object out of the scope or back.
    Scope(usize, bool),
    /// Gives an object an unusable value, or mends it.
    Damage(usize, bool),
    Join(usize, usize),
    Leave(usize, usize),
    /// The tenant begins or ends to refuse an object.
    Refuse(usize, bool),
    /// A run that is killed after so many changes; with the flag, the sync cursor is lost before it.
    Run(usize, bool),
}

fn edit() -> impl Strategy<Value = Edit> {
    let someone = || 0..OBJECTS;
    let group = || OBJECTS / 2..OBJECTS;
    prop_oneof![
        someone().prop_map(Edit::Create),
        someone().prop_map(Edit::Delete),
        (someone(), 0..3u8).prop_map(|(who, name)| Edit::Rename(who, name)),
        (0..OBJECTS / 2, any::<bool>()).prop_map(|(who, off)| Edit::Disable(who, off)),
        (someone(), any::<bool>()).prop_map(|(who, inside)| Edit::Scope(who, inside)),
        (someone(), any::<bool>()).prop_map(|(who, bad)| Edit::Damage(who, bad)),
        (group(), someone()).prop_map(|(group, who)| Edit::Join(group, who)),
        (group(), someone()).prop_map(|(group, who)| Edit::Leave(group, who)),
        (someone(), any::<bool>()).prop_map(|(who, refused)| Edit::Refuse(who, refused)),
        (0..12usize, prop::bool::weighted(0.2)).prop_map(|(cut, lost)| Edit::Run(cut, lost)),
    ]
}

/// A small directory with its tenant and an agent between them.
#[derive(Default)]
struct Play {
    objects: BTreeMap<usize, Entry>,
    /// What the directory will report as changed.
    changed: BTreeSet<usize>,
    pending: BTreeSet<usize>,
    refused: BTreeSet<usize>,
    cloud: CloudState,
}

#[derive(Clone)]
struct Entry {
    account: Account,
    members: BTreeSet<usize>,
    outside: bool,
    damaged: bool,
}

/// The name of one of the objects, which is their number behind its kind.
fn named(who: usize) -> String {
    format!("{}{who}", if who < OBJECTS / 2 { "user" } else { "group" })
}

fn guid_of(who: usize) -> Uuid {
    guid(&named(who))
}

fn number(guid: Uuid) -> usize {
    (0..OBJECTS).find(|who| guid_of(*who) == guid).unwrap()
}

impl Play {
    fn edit(&mut self, edit: &Edit) {
        match *edit {
            Edit::Create(who) => {
                let kind = if who < OBJECTS / 2 { User } else { Group };
                let entry = Entry {
                    account: account(&named(who), kind),
                    members: BTreeSet::new(),
                    outside: false,
                    damaged: false,
                };
                self.objects.entry(who).or_insert(entry);
                self.changed.insert(who);
            }
            Edit::Delete(who) => {
                self.objects.remove(&who);
                self.changed.insert(who);
                // The links of a deleted object vanish without a change of the groups.
                for entry in self.objects.values_mut() {
                    entry.members.remove(&who);
                }
            }
            Edit::Rename(who, name) => self.touch(who, |entry| {
                entry.account.display_name = name.to_string();
            }),
            Edit::Disable(who, off) => self.touch(who, |entry| {
                entry.account.disabled = off.then_some(DisabledReason::Disabled);
            }),
            Edit::Scope(who, inside) => self.touch(who, |entry| entry.outside = !inside),
            Edit::Damage(who, bad) => self.touch(who, |entry| entry.damaged = bad),
            Edit::Join(group, who) => {
                let there = self.objects.contains_key(&who);
                self.touch(group, |entry| {
                    if there {
                        entry.members.insert(who);
                    }
                });
            }
            Edit::Leave(group, who) => self.touch(group, |entry| {
                entry.members.remove(&who);
            }),
            Edit::Refuse(who, refused) => {
                self.refused.remove(&who);
                if refused {
                    self.refused.insert(who);
                }
            }
            Edit::Run(cut, lost) => self.run(cut, lost),
        }
    }

    fn touch(&mut self, who: usize, how: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.objects.get_mut(&who) {
            how(entry);
            self.changed.insert(who);
        }
    }

    fn look(&self, who: usize) -> Seen {
        match self.objects.get(&who) {
            None => Seen::Gone,
            Some(entry) if entry.outside => Seen::Gone,
            Some(entry) if entry.damaged => Seen::Kept(None),
            Some(entry) => Seen::Present(Box::new(Object {
                account: entry.account.clone(),
                members: Members {
                    guids: entry.members.iter().map(|who| guid_of(*who)).collect(),
                    ..Members::default()
                },
                turns_at: None,
                normalized: Vec::new(),
            })),
        }
    }

    fn observe(&self, everything: bool) -> Observed {
        let mut observed = observed(&[]);
        observed.complete = everything;
        observed.failed_before = self.pending.iter().map(|who| guid_of(*who)).collect();
        let all = || (0..OBJECTS).filter(|who| self.objects.contains_key(who));
        let which: BTreeSet<usize> = match everything {
            true => all().collect(),
            false => self.changed.union(&self.pending).copied().collect(),
        };
        observed.seen = which
            .iter()
            .map(|who| (guid_of(*who), self.look(*who)))
            .collect();
        observed
    }

    fn look_up(&self, known: &mut CloudState, guids: impl IntoIterator<Item = Uuid>) {
        for guid in guids {
            if let Some(held) = self.cloud.objects.get(&guid) {
                known.objects.insert(guid, held.clone());
            }
        }
    }

    fn run(&mut self, cut: usize, lost: bool) {
        let mut observed = self.observe(lost);
        let mut known = CloudState::default();
        if lost {
            known = self.cloud.clone();
        } else {
            self.look_up(&mut known, observed.seen.keys().copied());
            for newcomer in newcomers(&observed, &known) {
                let who = number(newcomer);
                let groups = self
                    .objects
                    .iter()
                    .filter(|(_, entry)| entry.members.contains(&who));
                let groups = groups.map(|(group, _)| guid_of(*group)).collect();
                observed.groups_of.insert(newcomer, groups);
            }
            let wanted = unknown(&observed, &known);
            self.look_up(&mut known, wanted);
        }
        let plan = plan(&observed, &known);
        let mut pending: BTreeSet<usize> = observed
            .seen
            .iter()
            .filter(|(_, seen)| **seen == Seen::Kept(None))
            .map(|(guid, _)| number(*guid))
            .collect();
        for (index, change) in plan.changes().iter().enumerate() {
            if index >= cut {
                return; // Killed: neither cursor nor list of failures is stored.
            }
            let refused = match change {
                SyncChange::Upsert(account) => self.refused.contains(&number(account.guid)),
                // A tenant does not know the group, or holds it as deleted.
                SyncChange::Leave(change) | SyncChange::Join(change) => {
                    live(&self.cloud, &change.group).is_none()
                }
                SyncChange::Delete(_) | SyncChange::Forget(_) => false,
            };
            if !refused {
                apply(&mut self.cloud, change);
                continue;
            }
            pending.insert(match change {
                SyncChange::Upsert(account) | SyncChange::Delete(account) => number(account.guid),
                SyncChange::Leave(change) | SyncChange::Join(change) => number(change.group),
                SyncChange::Forget(guid) => number(*guid),
            });
        }
        self.changed.clear();
        self.pending = pending;
    }
}

/// What a tenant holds, memberships of those it does not hold aside.
fn effective(cloud: &CloudState) -> BTreeMap<Uuid, (Account, BTreeSet<Uuid>)> {
    let mut held = live_objects(cloud);
    let guids: BTreeSet<Uuid> = held.keys().copied().collect();
    for (_, members) in held.values_mut() {
        members.retain(|member| guids.contains(member));
    }
    held
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    /// Any sequence of edits, runs of changes, full runs, refusals and crashes ends like one full sync.
    #[test]
    fn any_history_ends_like_one_full_sync(edits in prop::collection::vec(edit(), 0..60)) {
        let mut play = Play::default();
        for edit in &edits {
            play.edit(edit);
        }
        // What is wrong is corrected, and the agent comes to an end twice: the second time for what waits for the first.
        play.refused.clear();
        for who in 0..OBJECTS {
            play.edit(&Edit::Damage(who, false));
        }
        play.run(usize::MAX, false);
        play.run(usize::MAX, false);
        let mut fresh = CloudState::default();
        for change in plan(&play.observe(true), &CloudState::default()).changes() {
            apply(&mut fresh, &change);
        }
        prop_assert_eq!(effective(&play.cloud), effective(&fresh));
        let rest = plan(&play.observe(true), &play.cloud);
        prop_assert!(rest.is_empty(), "{:?}", rest);
    }
}
