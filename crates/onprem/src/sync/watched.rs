//! The watched groups: AD's privileged groups, and the group of the scope. Their direct and nested members decide which
//! objects are synchronized. Pure.

use super::model::{Object, SkipReason};
use crossrealm_types::{IdentityKind, Sid};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// RIDs of the domain's privileged groups, [MS-DTYP] 2.4.2.4: Domain Admins, Domain Controllers, Schema Admins, Enterprise
/// Admins, Read-only Domain Controllers, Key Admins, Enterprise Key Admins.
const PRIVILEGED_RIDS: [u32; 7] = [512, 516, 518, 519, 521, 526, 527];

/// The built-in privileged groups: Administrators, Account, Server, Print and Backup Operators, Replicator.
const PRIVILEGED_BUILTIN: [&str; 6] = [
    "S-1-5-32-544",
    "S-1-5-32-548",
    "S-1-5-32-549",
    "S-1-5-32-550",
    "S-1-5-32-551",
    "S-1-5-32-552",
];

/// A group, as far as the watched sets depend on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    /// Its SID.
    pub(super) sid: Sid,
    /// Its account name, lower case.
    pub(super) name: String,
    /// The `objectGUID`s of its direct members.
    pub(super) members: BTreeSet<Uuid>,
}

/// Groups by `objectGUID`.
pub(super) type Graph = BTreeMap<Uuid, Node>;

/// All direct and nested members of a set of groups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Closure {
    /// The groups themselves, and all groups nested in them.
    pub(super) groups: BTreeSet<Uuid>,
    /// Every member, groups included.
    pub(super) all: BTreeSet<Uuid>,
    /// The RIDs of the groups: users whose primary group is one of them are members too.
    rids: BTreeSet<u32>,
}

/// The two watched sets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Watched {
    pub(super) privileged: Closure,
    /// `None` without a group in the scope.
    pub(super) scope: Option<Closure>,
}

/// The SIDs of the privileged groups of a domain.
pub(super) fn privileged_sids(domain: &Sid) -> Vec<Sid> {
    let own = PRIVILEGED_RIDS
        .iter()
        .filter_map(|rid| domain.with_rid(*rid).ok());
    let builtin = PRIVILEGED_BUILTIN.iter().filter_map(|sid| sid.parse().ok());
    own.chain(builtin).collect()
}

impl Closure {
    /// Follows memberships from the groups that `is_root` selects. AD permits cycles.
    pub(super) fn from(graph: &Graph, is_root: impl Fn(&Node) -> bool) -> Self {
        let mut found = Self::default();
        let mut open: Vec<&Uuid> = graph
            .iter()
            .filter(|(_, node)| is_root(node))
            .map(|(guid, _)| guid)
            .collect();
        while let Some(guid) = open.pop() {
            let Some(node) = graph.get(guid) else {
                continue;
            };
            if !found.groups.insert(*guid) {
                continue;
            }
            found.rids.insert(node.sid.rid());
            found.all.insert(*guid);
            found.all.extend(&node.members);
            open.extend(&node.members);
        }
        found
    }

    fn holds(&self, object: &Object) -> bool {
        self.all.contains(&object.account.guid)
            || (object.account.kind == IdentityKind::User
                && self.rids.contains(&object.account.primary_group_rid))
    }
}

impl Watched {
    /// Why an object is left out because of the groups it is, or is not, a member of.
    pub(super) fn skip_reason(&self, object: &Object) -> Option<SkipReason> {
        if self
            .scope
            .as_ref()
            .is_some_and(|scope| !scope.holds(object))
        {
            return Some(SkipReason::OutOfScope);
        }
        let privileged = object.account.kind == IdentityKind::User && self.privileged.holds(object);
        privileged.then_some(SkipReason::Privileged)
    }

    /// Whether a change of this group may change the sets.
    pub(super) fn depends_on(&self, group: &Uuid) -> bool {
        let scope = self.scope.as_ref();
        self.privileged.groups.contains(group)
            || scope.is_some_and(|scope| scope.groups.contains(group))
    }

    /// The objects that are members in one and not in the other; `None` if the sets of groups differ, since users whose
    /// primary group is one of them are not listed.
    pub(super) fn difference(&self, other: &Self) -> Option<BTreeSet<Uuid>> {
        let rids = |set: &Option<Closure>| set.as_ref().map(|set| set.rids.clone());
        if self.privileged.rids != other.privileged.rids || rids(&self.scope) != rids(&other.scope)
        {
            return None;
        }
        let none = Closure::default();
        let pairs = [
            (&self.privileged, &other.privileged),
            (
                self.scope.as_ref().unwrap_or(&none),
                other.scope.as_ref().unwrap_or(&none),
            ),
        ];
        Some(
            pairs
                .iter()
                .flat_map(|(a, b)| a.all.symmetric_difference(&b.all).copied())
                .collect(),
        )
    }

    /// A hash of the sets.
    pub(super) fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        for set in [Some(&self.privileged), self.scope.as_ref()] {
            hash.update([u8::from(set.is_some())]);
            for guid in set.iter().flat_map(|set| &set.all) {
                hash.update(guid.to_string());
            }
        }
        hex::encode(hash.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::Account;
    use super::super::planner::tests::guid;
    use super::*;

    const DOMAIN: &str = "S-1-5-21-1-2-3";

    fn graph(groups: &[(&str, u32, &[&str])]) -> Graph {
        groups
            .iter()
            .map(|(name, rid, members)| {
                let node = Node {
                    sid: DOMAIN.parse::<Sid>().unwrap().with_rid(*rid).unwrap(),
                    name: (*name).to_owned(),
                    members: members.iter().map(|name| guid(name)).collect(),
                };
                (guid(name), node)
            })
            .collect()
    }

    fn user(name: &str, primary_group_rid: u32) -> Object {
        Object::of(Account {
            guid: guid(name),
            kind: IdentityKind::User,
            sid: format!("{DOMAIN}-5000").parse().unwrap(),
            account_name: name.to_owned(),
            upn: String::new(),
            display_name: String::new(),
            disabled: None,
            primary_group_rid,
        })
    }

    fn watched(graph: &Graph, scope: Option<&str>) -> Watched {
        let sids = privileged_sids(&DOMAIN.parse().unwrap());
        Watched {
            privileged: Closure::from(graph, |node| sids.contains(&node.sid)),
            scope: scope.map(|name| Closure::from(graph, |node| node.name == name)),
        }
    }

    #[test]
    fn administrators_at_any_depth_and_by_primary_group() {
        let graph = graph(&[
            ("admins", 512, &["helpdesk", "root"]),
            ("helpdesk", 1200, &["admins", "hanna"]),
            ("sales", 1201, &["alice"]),
        ]);
        let watched = watched(&graph, None);
        for (name, primary, out) in [
            ("root", 513, true),
            ("hanna", 513, true),
            ("alice", 513, false),
            ("alice", 512, true),
            ("alice", 1200, true),
        ] {
            assert_eq!(
                watched.skip_reason(&user(name, primary)),
                out.then_some(SkipReason::Privileged),
                "{name} {primary}"
            );
        }
        assert!(watched.depends_on(&guid("helpdesk")) && !watched.depends_on(&guid("sales")));
    }

    #[test]
    fn the_group_of_the_scope() {
        let groups = graph(&[("all", 1300, &["sales"]), ("sales", 1201, &["alice"])]);
        let watched = watched(&groups, Some("all"));
        assert_eq!(watched.skip_reason(&user("alice", 513)), None);
        assert_eq!(watched.skip_reason(&user("bob", 1201)), None);
        assert_eq!(
            watched.skip_reason(&user("bob", 513)),
            Some(SkipReason::OutOfScope)
        );
    }

    #[test]
    fn differences() {
        let before = watched(&graph(&[("all", 1300, &["alice"])]), Some("all"));
        let after = watched(&graph(&[("all", 1300, &["bob"])]), Some("all"));
        assert_ne!(before.fingerprint(), after.fingerprint());
        let changed = before.difference(&after).unwrap();
        assert_eq!(changed, BTreeSet::from([guid("alice"), guid("bob")]));
        let nested = graph(&[("all", 1300, &["sales"]), ("sales", 1201, &[])]);
        assert_eq!(before.difference(&watched(&nested, Some("all"))), None);
    }
}
