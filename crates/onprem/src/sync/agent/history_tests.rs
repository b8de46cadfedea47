//! The rules and the planner against a real tenant, on SQLite, with a model of AD between them (findings F1, F2).
//!
//! Random edits with hostile values, swaps and circles of names, deletions and re-creations, and runs of the agent between
//! them. After each run nobody has more rights in the tenant than in AD; after two quiet runs the tenant holds what AD holds,
//! but for objects that are reported, each of which has a reason of its own, and nobody keeps another one from a name that is
//! free. `CROSSREALM_SYNC_HISTORIES` sets how many histories are tried; the first of them are always the same.

use super::read::{Read, unusable};
use crate::ldap::{AllValues, Entry};
use crate::sync::model::{CloudObject, CloudState, Domain, Observed, Seen, Skipped};
use crate::sync::planner::{SyncChange, SyncPlan, Update, newcomers, plan, unknown};
use crate::sync::rules::{NORMAL_USER, Rules};
use crate::sync::scope::Scope;
use crossrealm_directory::{
    Actor, ApplyIdentities, Directory, IdentityChange, InstallationNames, MasterKey, NewDomain,
    NewTenant, Page,
};
use crossrealm_kdc::{Lookups, Records, ServiceName, TenantId, Wanted};
use crossrealm_types::{
    ActorKind, IdentityKind, IdentityState, Sid, SyncedIdentity, Upn, is_sam_account_name,
    normalized_display_name,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

const DOMAIN: &str = "corp.contoso.com";
const DOMAIN_SID: &str = "S-1-5-21-1-2-3";
/// The objects that edits pick from; the first half are users.
const SLOTS: usize = 8;
/// How many histories are tried.
const HISTORIES: u32 = 32;

/// A value that AD may hold, however unlikely: any bytes that LDAP carries.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let fixed: [&[u8]; 14] = [
        b"",
        b" ",
        b"\0",
        b"a\r\nb",
        b"\x7f",
        b"no-at-sign",
        b"@",
        b"x@",
        b"x@corp.contoso.com",
        // An unpaired surrogate of UTF-16, alone and within a name.
        b"\xed\xa0\x80",
        b"zo\xed\xb0\x80e@corp.contoso.com",
        // A name in composed and decomposed form, and one that looks like `alice`.
        "zo\u{eb}@corp.contoso.com".as_bytes(),
        "zoe\u{308}@corp.contoso.com".as_bytes(),
        "\u{430}lice\u{202e}@corp.contoso.com".as_bytes(),
    ];
    prop_oneof![
        8 => prop::sample::select(fixed.map(<[u8]>::to_vec).to_vec()),
        1 => Just(vec![b'x'; 20_480]),
        2 => prop::collection::vec(any::<u8>(), 0..8),
    ]
}

#[derive(Clone, Debug)]
enum Edit {
    Create(usize),
    Delete(usize),
    /// Deletes an object, and creates another one under its names.
    Recreate(usize),
    DisplayName(usize, Vec<u8>),
    AccountName(usize, Vec<u8>),
    Upn(usize, Option<Vec<u8>>),
    /// Gives an object its ordinary names again.
    Mend(usize),
    /// The names of these move on, each to the next one.
    Rotate(Vec<usize>),
    Disable(usize, bool),
    Expire(usize, bool),
    PrimaryGroup(usize, Option<usize>),
    Join(usize, usize),
    Leave(usize, usize),
    /// A run of the agent; a full sync with the flag.
    Run(bool),
    /// A full sync that ends after so many changes.
    Killed(usize),
}

fn edit() -> impl Strategy<Value = Edit> {
    let any_of = || 0..SLOTS;
    let user = || 0..SLOTS / 2;
    let group = || SLOTS / 2..SLOTS;
    prop_oneof![
        3 => any_of().prop_map(Edit::Create),
        1 => any_of().prop_map(Edit::Delete),
        1 => any_of().prop_map(Edit::Recreate),
        1 => (any_of(), hostile()).prop_map(|(who, value)| Edit::DisplayName(who, value)),
        1 => (any_of(), hostile()).prop_map(|(who, value)| Edit::AccountName(who, value)),
        1 => (user(), prop::option::of(hostile())).prop_map(|(who, value)| Edit::Upn(who, value)),
        1 => any_of().prop_map(Edit::Mend),
        2 => prop::sample::subsequence((0..SLOTS / 2).collect::<Vec<_>>(), 2..=4)
            .prop_shuffle()
            .prop_map(Edit::Rotate),
        1 => prop::sample::subsequence((SLOTS / 2..SLOTS).collect::<Vec<_>>(), 2..=3)
            .prop_shuffle()
            .prop_map(Edit::Rotate),
        2 => (user(), any::<bool>()).prop_map(|(who, off)| Edit::Disable(who, off)),
        1 => (user(), any::<bool>()).prop_map(|(who, off)| Edit::Expire(who, off)),
        1 => (user(), prop::option::of(group())).prop_map(|(who, to)| Edit::PrimaryGroup(who, to)),
        3 => (group(), any_of()).prop_map(|(group, who)| Edit::Join(group, who)),
        2 => (group(), any_of()).prop_map(|(group, who)| Edit::Leave(group, who)),
        3 => prop::bool::weighted(0.3).prop_map(Edit::Run),
        1 => (0..6_usize).prop_map(Edit::Killed),
    ]
}

/// An object of AD, with the values as bytes.
#[derive(Clone)]
struct AdObject {
    rid: u32,
    kind: IdentityKind,
    account_name: Vec<u8>,
    upn: Option<Vec<u8>>,
    display_name: Vec<u8>,
    is_disabled: bool,
    has_expired: bool,
    primary_group_rid: u32,
    members: BTreeSet<Uuid>,
}

fn guid_of(rid: u32) -> Uuid {
    Uuid::from_u128(u128::from(rid))
}

fn sid_of(rid: u32) -> Sid {
    let domain: Sid = DOMAIN_SID.parse().unwrap();
    domain.with_rid(rid).unwrap()
}

impl AdObject {
    fn entry(&self) -> Entry {
        // AD sends the first three fields of a GUID in reverse order of bytes.
        let guid = guid_of(self.rid).to_bytes_le();
        let sid = sid_of(self.rid).to_bytes();
        let primary = self.primary_group_rid.to_string();
        let member = |guid: &Uuid| format!("<GUID={guid}>;CN=x,DC=corp,DC=contoso,DC=com");
        let members: Vec<String> = self.members.iter().map(member).collect();
        let members: Vec<&[u8]> = members.iter().map(String::as_bytes).collect();
        let single = [
            ("objectGUID", guid.as_slice()),
            ("objectSid", &sid),
            ("sAMAccountName", &self.account_name),
            ("displayName", &self.display_name),
        ];
        let class: &[u8] = match self.kind {
            IdentityKind::User => b"user",
            IdentityKind::Group => b"group",
        };
        let values: Vec<[&[u8]; 1]> = single.iter().map(|(_, value)| [*value]).collect();
        let names = single.iter().map(|(name, _)| *name);
        let mut attributes: Vec<(&str, &[&[u8]])> =
            names.zip(values.iter().map(|one| one.as_slice())).collect();
        let class = [class];
        let normal_user: [&[u8]; 1] = [NORMAL_USER.as_bytes()];
        attributes.push(("objectClass", &class));
        let control: [&[u8]; 1] = [if self.is_disabled { b"514" } else { b"512" }];
        let primary: [&[u8]; 1] = [primary.as_bytes()];
        let upn: Vec<&[u8]> = self.upn.iter().map(Vec::as_slice).collect();
        match self.kind {
            IdentityKind::User => {
                attributes.extend([
                    ("sAMAccountType", normal_user.as_slice()),
                    ("userAccountControl", &control),
                    ("primaryGroupID", &primary),
                    ("userPrincipalName", &upn),
                ]);
                if self.has_expired {
                    attributes.push(("accountExpires", &[b"116444736010000000"]));
                }
            }
            IdentityKind::Group => {
                attributes.push(("groupType", &[b"-2147483646"]));
                attributes.push(("member", &members));
            }
        }
        Entry::from_parts("CN=x,DC=corp,DC=contoso,DC=com", &attributes)
    }

    fn may_sign_in(&self) -> bool {
        !self.is_disabled && !self.has_expired
    }

    /// The account name that a tenant can store.
    fn usable_account_name(&self) -> Option<&str> {
        let text = std::str::from_utf8(&self.account_name).ok()?;
        is_sam_account_name(text).then_some(text)
    }

    fn wanted_upn(&self) -> String {
        let given = self
            .upn
            .as_deref()
            .and_then(|upn| std::str::from_utf8(upn).ok());
        match (self.kind, given) {
            (IdentityKind::Group, _) => String::new(),
            (IdentityKind::User, Some(upn)) if upn.parse::<Upn>().is_ok() => upn.to_owned(),
            (IdentityKind::User, _) => {
                let name = self.usable_account_name().unwrap_or_default();
                format!("{name}@{DOMAIN}")
            }
        }
    }

    /// The names that no other object may hold, for comparison.
    fn wanted_names(&self) -> Vec<String> {
        let account = self.usable_account_name().unwrap_or_default();
        let names = [
            format!("account {account}"),
            format!("upn {}", self.wanted_upn()),
        ];
        let names = names.iter().map(|name| name.to_lowercase());
        names.filter(|name| name != "upn ").collect()
    }
}

/// AD, a tenant, and an agent between them.
struct Play<'a> {
    directory: &'a Directory,
    tenant: TenantId,
    rules: Rules,
    /// The objects by slot; a slot that was deleted is empty.
    objects: BTreeMap<usize, AdObject>,
    next_rid: u32,
    changed: BTreeSet<Uuid>,
    pending: BTreeSet<Uuid>,
    reported: BTreeSet<Uuid>,
    runs: u128,
}

impl Play<'_> {
    fn ordinary(&mut self, slot: usize) -> AdObject {
        self.next_rid += 1;
        let is_user = slot < SLOTS / 2;
        AdObject {
            rid: self.next_rid,
            kind: if is_user {
                IdentityKind::User
            } else {
                IdentityKind::Group
            },
            account_name: format!("name{slot}").into_bytes(),
            upn: is_user.then(|| format!("name{slot}@{DOMAIN}").into_bytes()),
            display_name: b"Somebody".to_vec(),
            is_disabled: false,
            has_expired: false,
            primary_group_rid: if is_user { 513 } else { 0 },
            members: BTreeSet::new(),
        }
    }

    fn touch(&mut self, slot: usize, how: impl FnOnce(&mut AdObject)) {
        if let Some(object) = self.objects.get_mut(&slot) {
            how(object);
            self.changed.insert(guid_of(object.rid));
        }
    }

    /// Whether AD would refuse an account name: another object has it.
    fn is_taken(&self, slot: usize, name: &[u8]) -> bool {
        let folded = |name: &[u8]| String::from_utf8_lossy(name).to_lowercase();
        let mut others = self.objects.iter().filter(|(other, _)| **other != slot);
        others.any(|(_, object)| folded(&object.account_name) == folded(name))
    }

    fn create(&mut self, slot: usize) {
        if self.objects.contains_key(&slot) {
            return;
        }
        let mut object = self.ordinary(slot);
        while self.is_taken(slot, &object.account_name) {
            object.account_name.push(b'\'');
        }
        self.changed.insert(guid_of(object.rid));
        self.objects.insert(slot, object);
    }

    fn delete(&mut self, slot: usize) -> Option<AdObject> {
        let object = self.objects.remove(&slot)?;
        let guid = guid_of(object.rid);
        self.changed.insert(guid);
        // The links of a deleted object vanish without a change of the groups.
        for other in self.objects.values_mut() {
            other.members.remove(&guid);
        }
        Some(object)
    }

    fn edit(&mut self, edit: &Edit) {
        match edit {
            Edit::Create(slot) => self.create(*slot),
            Edit::Delete(slot) => {
                self.delete(*slot);
            }
            Edit::Recreate(slot) => {
                if let Some(before) = self.delete(*slot) {
                    let object = AdObject {
                        account_name: before.account_name,
                        upn: before.upn,
                        ..self.ordinary(*slot)
                    };
                    self.changed.insert(guid_of(object.rid));
                    self.objects.insert(*slot, object);
                }
            }
            Edit::DisplayName(slot, value) => {
                self.touch(*slot, |object| object.display_name = value.clone());
            }
            Edit::AccountName(slot, value) if !self.is_taken(*slot, value) => {
                self.touch(*slot, |object| object.account_name = value.clone());
            }
            Edit::AccountName(..) => {}
            Edit::Upn(slot, value) => self.touch(*slot, |object| object.upn = value.clone()),
            Edit::Mend(slot) => {
                let name = format!("name{slot}").into_bytes();
                if !self.is_taken(*slot, &name) {
                    self.touch(*slot, |object| {
                        let upn = [name.clone(), format!("@{DOMAIN}").into_bytes()].concat();
                        object.upn = object.upn.is_some().then_some(upn);
                        object.account_name = name;
                    });
                }
            }
            Edit::Rotate(slots) => self.rotate(slots),
            Edit::Disable(slot, off) => self.touch(*slot, |object| object.is_disabled = *off),
            Edit::Expire(slot, off) => self.touch(*slot, |object| object.has_expired = *off),
            Edit::PrimaryGroup(slot, to) => {
                let rid = to.and_then(|to| Some(self.objects.get(&to)?.rid));
                self.touch(*slot, |object| {
                    object.primary_group_rid = rid.unwrap_or(513)
                });
            }
            Edit::Join(group, who) => {
                if let Some(member) = self.objects.get(who).map(|who| guid_of(who.rid)) {
                    self.touch(*group, |group| {
                        group.members.insert(member);
                    });
                }
            }
            Edit::Leave(group, who) => {
                if let Some(member) = self.objects.get(who).map(|who| guid_of(who.rid)) {
                    self.touch(*group, |group| {
                        group.members.remove(&member);
                    });
                }
            }
            Edit::Run(_) | Edit::Killed(_) => {}
        }
    }

    fn rotate(&mut self, slots: &[usize]) {
        let present = slots.iter().filter(|slot| self.objects.contains_key(*slot));
        let present: Vec<usize> = present.copied().collect();
        let names = present.iter().filter_map(|slot| self.objects.get(slot));
        let names: Vec<_> = names
            .map(|object| (object.account_name.clone(), object.upn.clone()))
            .collect();
        for (index, slot) in present.iter().enumerate() {
            let (account_name, upn) = names[(index + 1) % names.len()].clone();
            self.touch(*slot, |object| {
                object.account_name = account_name;
                object.upn = upn;
            });
        }
    }

    fn look(&self, guid: Uuid) -> (Seen, Vec<Skipped>) {
        let found = self.objects.values().find(|one| guid_of(one.rid) == guid);
        let Some(object) = found else {
            return (Seen::Gone, Vec::new());
        };
        let entry = object.entry();
        let mut read = Read::default();
        read.take(&self.rules, &entry);
        if object.kind == IdentityKind::Group {
            let members = AllValues {
                values: entry.values("member").to_vec(),
                steady: true,
            };
            read.complete(&self.rules, guid, &members);
        }
        (read.seen.remove(&guid).unwrap(), read.skipped)
    }

    fn observe(&self, complete: bool) -> Observed {
        let guids: BTreeSet<Uuid> = match complete {
            true => self.objects.values().map(|one| guid_of(one.rid)).collect(),
            false => self.changed.union(&self.pending).copied().collect(),
        };
        let mut observed = Observed {
            domain: self.rules.domain.clone(),
            seen: BTreeMap::new(),
            complete,
            groups_of: BTreeMap::new(),
            failed_before: self.pending.clone(),
            skipped: Vec::new(),
        };
        for guid in guids {
            let (seen, skipped) = self.look(guid);
            observed.seen.insert(guid, seen);
            observed.skipped.extend(skipped);
        }
        observed
    }

    async fn held(&self) -> Vec<SyncedIdentity> {
        let page = Page::first();
        let held = self
            .directory
            .domain_identities(self.tenant, DOMAIN, &page)
            .await;
        held.unwrap().identities.items
    }

    /// What the tenant holds of these objects; of all if the run reads everything.
    async fn known(&self, observed: &mut Observed) -> CloudState {
        let all = self.held().await.into_iter();
        let all: BTreeMap<Uuid, CloudObject> =
            all.map(|held| (held.object_guid, held.into())).collect();
        let held = all.values().filter(|one| !one.deleted).count();
        if observed.complete {
            return CloudState { objects: all, held };
        }
        let of = |guids: &mut dyn Iterator<Item = &Uuid>| -> BTreeMap<Uuid, CloudObject> {
            guids
                .filter_map(|guid| Some((*guid, all.get(guid)?.clone())))
                .collect()
        };
        let objects = of(&mut observed.seen.keys());
        let mut known = CloudState { objects, held };
        for guid in newcomers(observed, &known) {
            let groups = self
                .objects
                .values()
                .filter(|one| one.members.contains(&guid));
            let groups = groups.map(|one| guid_of(one.rid)).collect();
            observed.groups_of.insert(guid, groups);
        }
        let missing = unknown(observed, &known);
        known.objects.extend(of(&mut missing.iter()));
        known
    }

    /// A run whose agent is killed after so many changes, if a number is given. How many changes that take something away it
    /// made, if it made all of them.
    async fn run(&mut self, complete: bool, killed_after: Option<usize>) -> Option<usize> {
        let mut observed = self.observe(complete);
        let known = self.known(&mut observed).await;
        let plan = plan(&observed, &known);
        let changes = plan.changes();
        let takes = changes.iter().filter(|change| takes_away(&plan, change));
        let takes = takes.count();
        // What takes away comes first.
        let is_behind = killed_after.is_none_or(|after| takes <= after);
        let changes = changes.iter().take(killed_after.unwrap_or(usize::MAX));
        self.runs += 1;
        let wanted = ApplyIdentities {
            run_id: Uuid::from_u128(self.runs),
            domain: NewDomain {
                dns_name: DOMAIN.to_owned(),
                flat_name: "CORP".to_owned(),
                sid: self.rules.domain.sid.clone(),
                forest_root: None,
            },
            changes: changes.map(on_the_wire).collect(),
            skipped: 0,
            cursor: None,
            last: false,
            holder: None,
            previous_cursor: None,
            failures: Vec::new(),
            failed: 0,
            incremental: !complete,
            accept_deletions: Some(1_000_000),
        };
        let actor = Actor {
            kind: ActorKind::Administrator,
            name: "agent".to_owned(),
            address: None,
        };
        let outcome = self
            .directory
            .apply_identities(&actor, self.tenant, wanted)
            .await
            .unwrap();
        if killed_after.is_some() {
            return is_behind.then_some(takes);
        }
        self.pending = unusable(&observed.skipped);
        self.pending
            .extend(outcome.refused.iter().map(|one| one.object_guid));
        self.reported = self.pending.clone();
        self.changed.clear();
        Some(takes)
    }

    /// The SIDs of the groups that AD has a user in, directly and through others.
    fn groups_in_ad(&self, user: &AdObject) -> BTreeSet<Sid> {
        let mut found = BTreeSet::from([user.primary_group_rid]);
        let mut inner = BTreeSet::from([guid_of(user.rid), guid_of(user.primary_group_rid)]);
        loop {
            let outer = self
                .objects
                .values()
                .filter(|group| !found.contains(&group.rid) && !group.members.is_disjoint(&inner));
            let outer: Vec<u32> = outer.map(|group| group.rid).collect();
            if outer.is_empty() {
                return found.into_iter().map(sid_of).collect();
            }
            inner.extend(outer.iter().map(|rid| guid_of(*rid)));
            found.extend(outer);
        }
    }

    /// Nobody has more in the tenant than in AD.
    async fn check_rights(&self) -> Result<(), TestCaseError> {
        for held in self.held().await {
            if held.kind != IdentityKind::User || held.state != IdentityState::Enabled {
                continue;
            }
            let in_ad = self
                .objects
                .values()
                .find(|one| sid_of(one.rid) == held.sid);
            let Some(in_ad) = in_ad else {
                return Err(TestCaseError::fail(format!("AD has no {}", held.sid)));
            };
            prop_assert!(in_ad.may_sign_in(), "{} may not sign in to AD", held.sid);
            let lookup = Lookups {
                tenant: self.tenant,
                wanted: Wanted::Grant {
                    sid: held.sid.clone(),
                    service: ServiceName::new("cifs", "none.example"),
                },
            };
            let Records::Grant { identity, .. } = self.directory.records(&lookup).await else {
                return Err(TestCaseError::fail("no record"));
            };
            let groups: BTreeSet<Sid> = identity.unwrap().groups.iter().cloned().collect();
            let more: Vec<_> = groups
                .difference(&self.groups_in_ad(in_ad))
                .cloned()
                .collect();
            prop_assert!(more.is_empty(), "{} has {more:?} more than in AD", held.sid);
        }
        Ok(())
    }

    /// After quiet runs, the tenant has what AD has, but for reported objects.
    async fn check_equal(&self) -> Result<(), TestCaseError> {
        let held: BTreeMap<Uuid, SyncedIdentity> = self
            .held()
            .await
            .into_iter()
            .filter(|one| one.state != IdentityState::Deleted)
            .map(|one| (one.object_guid, one))
            .collect();
        for object in self.objects.values() {
            let guid = guid_of(object.rid);
            if self.reported.contains(&guid) {
                prop_assert!(self.may_be_reported(object, &held), "{guid} has no reason");
                continue;
            }
            let Some(held) = held.get(&guid) else {
                return Err(TestCaseError::fail(format!("{guid} did not arrive")));
            };
            let expected = (
                object.usable_account_name().unwrap_or_default(),
                object.wanted_upn(),
                normalized_display_name(&String::from_utf8_lossy(&object.display_name)),
                object.may_sign_in(),
                object.primary_group_rid,
            );
            let is_enabled = held.state == IdentityState::Enabled;
            let (name, upn) = (held.account_name.as_str(), held.upn.clone());
            let primary = held.primary_group_rid;
            let actual = (name, upn, held.display_name.clone(), is_enabled, primary);
            prop_assert_eq!(actual, expected);
            let members: BTreeSet<Uuid> = held.members.iter().copied().collect();
            prop_assert_eq!(&members, &object.members);
        }
        let in_ad: BTreeSet<Uuid> = self.objects.values().map(|one| guid_of(one.rid)).collect();
        prop_assert!(held.keys().all(|guid| in_ad.contains(guid)));
        self.check_names(&held)
    }

    /// Every name that an object wants is somebody's, unless each that wants it waits for another name, too: those who want one
    /// name do not keep each other from it for ever.
    fn check_names(&self, held: &BTreeMap<Uuid, SyncedIdentity>) -> Result<(), TestCaseError> {
        let names = held.values().flat_map(|one| {
            [
                format!("account {}", one.account_name),
                format!("upn {}", one.upn),
            ]
            .map(|name| (name.to_lowercase(), one.object_guid))
        });
        let holders: BTreeMap<String, Uuid> = names.collect();
        let is_usable = |one: &&AdObject| one.usable_account_name().is_some();
        for object in self.objects.values().filter(is_usable) {
            let names = object.wanted_names();
            let holder = |name: &String| holders.get(name).copied();
            let is_others =
                |name: &String| holder(name).is_some_and(|other| other != guid_of(object.rid));
            let nobodys = names.iter().find(|name| holder(name).is_none());
            prop_assert!(
                nobodys.is_none() || names.iter().any(is_others),
                "nobody has {nobodys:?}, which {} wants",
                sid_of(object.rid)
            );
        }
        Ok(())
    }

    /// Whether there is a reason to report an object: its name cannot be used, or another one has it.
    fn may_be_reported(&self, object: &AdObject, held: &BTreeMap<Uuid, SyncedIdentity>) -> bool {
        let names = object.wanted_names();
        let others = self.objects.values().filter(|one| one.rid != object.rid);
        let mut wanted = others.flat_map(AdObject::wanted_names);
        let mut kept = held
            .values()
            .filter(|one| one.object_guid != guid_of(object.rid))
            .filter(|one| self.reported.contains(&one.object_guid))
            .flat_map(|one| {
                [
                    format!("account {}", one.account_name),
                    format!("upn {}", one.upn),
                ]
                .map(|name| name.to_lowercase())
            });
        object.usable_account_name().is_none()
            || wanted.any(|name| names.contains(&name))
            || kept.any(|name| names.contains(&name))
    }
}

/// Whether a change takes rights away.
fn takes_away(plan: &SyncPlan, change: &SyncChange<'_>) -> bool {
    match change {
        SyncChange::Delete(_) | SyncChange::Leave(_) => true,
        SyncChange::Upsert(account) => {
            let mut updates = plan.updates.iter();
            let update = updates.find(|update| update.after.guid == account.guid);
            update.is_some_and(Update::takes_away)
        }
        SyncChange::Join(_) | SyncChange::Forget(_) => false,
    }
}

fn on_the_wire(change: &SyncChange<'_>) -> IdentityChange {
    let members = |group: Uuid, add: &[Uuid], remove: &[Uuid]| IdentityChange::Members {
        group,
        add: add.to_vec(),
        remove: remove.to_vec(),
        elsewhere: Some(Default::default()),
    };
    match change {
        SyncChange::Upsert(account) => IdentityChange::Upsert(account.to_identity()),
        SyncChange::Leave(change) => members(change.group, &[], &change.remove),
        SyncChange::Join(change) => members(change.group, &change.add, &[]),
        SyncChange::Delete(account) => IdentityChange::Delete(account.guid),
        SyncChange::Forget(guid) => IdentityChange::Delete(*guid),
    }
}

async fn play(
    directory: &Directory,
    tenant: TenantId,
    edits: &[Edit],
) -> Result<usize, TestCaseError> {
    let mut play = Play {
        directory,
        tenant,
        rules: Rules {
            domain: Domain {
                dns_name: DOMAIN.to_owned(),
                flat_name: "CORP".to_owned(),
                sid: DOMAIN_SID.parse().unwrap(),
            },
            base: "dc=corp,dc=contoso,dc=com".to_owned(),
            lockout_s: Some(1800),
            now_s: 1_700_000_000,
            scope: Scope::default(),
        },
        objects: BTreeMap::new(),
        next_rid: 1000,
        changed: BTreeSet::new(),
        pending: BTreeSet::new(),
        reported: BTreeSet::new(),
        runs: 0,
    };
    for slot in 0..SLOTS {
        play.create(slot);
    }
    play.run(true, None).await;
    let mut kills = 0;
    for edit in edits {
        play.edit(edit);
        match edit {
            Edit::Run(complete) => {
                play.run(*complete, None).await;
                play.check_rights().await?;
            }
            Edit::Killed(after) => {
                if let Some(takes) = play.run(true, Some(*after)).await {
                    play.check_rights().await?;
                    kills += usize::from(takes > 0);
                }
            }
            _ => {}
        }
    }
    for _ in 0..2 {
        play.run(false, None).await;
        play.check_rights().await?;
    }
    play.check_equal().await?;
    play.run(true, None).await;
    play.check_equal().await?;
    Ok(kills)
}

/// F1, F2: for anything that administrators and attackers write into AD, in any order and between any runs.
#[test]
fn no_history_of_ad_leaves_rights_behind_or_names_underway() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("directory.db").display());
    let names = InstallationNames::new("cloud.example", "login.cloud.example");
    let directory = Directory::create(&url, MasterKey::from_bytes([7; 32]), names);
    let directory = runtime.block_on(directory).unwrap();
    let actor = Actor {
        kind: ActorKind::Administrator,
        name: "admin".to_owned(),
        address: None,
    };
    let asked = std::env::var("CROSSREALM_SYNC_HISTORIES").ok();
    let config = Config {
        cases: asked.map_or(HISTORIES, |text| text.parse().unwrap()),
        failure_persistence: None,
        max_shrink_iters: 400,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[1; 32]);
    let case = Cell::new(0);
    // Runs that were killed when they had taken away all that AD did.
    let kills = Cell::new(0);
    TestRunner::new_with_rng(config, rng)
        .run(&prop::collection::vec(edit(), 5..50), |edits| {
            case.set(case.get() + 1);
            let new = NewTenant::named(&format!("t{}", case.get()), "cloud.example");
            runtime.block_on(async {
                let tenant = directory.create_tenant(&actor, new).await.unwrap().id;
                kills.set(kills.get() + play(&directory, tenant, &edits).await?);
                Ok(())
            })
        })
        .unwrap();
    assert!(kills.get() > 0, "no run was killed there");
}
