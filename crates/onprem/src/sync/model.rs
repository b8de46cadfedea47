//! The two states that a plan compares.

use crossrealm_types::{DisabledReason, IdentityKind, Sid};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// An AD domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain {
    /// Its DNS name, lower case.
    pub dns_name: String,
    /// Its flat (NetBIOS) name.
    pub flat_name: String,
    /// Its SID.
    pub sid: Sid,
}

/// The facts of a user or group that the tenant keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// `objectGUID`, lower-case text: what makes it the same object for ever.
    pub guid: String,
    /// User or group.
    pub kind: IdentityKind,
    /// `objectSid`.
    pub sid: Sid,
    /// `sAMAccountName`.
    pub account_name: String,
    /// `userPrincipalName`, or `sAMAccountName@domain` for a user without one; empty for a group.
    pub upn: String,
    /// `displayName`; may be empty.
    pub display_name: String,
    /// Why it may not sign in, where it may not.
    pub disabled: Option<DisabledReason>,
    /// `primaryGroupID`; 0 for a group.
    pub primary_group_rid: u32,
}

/// An object of the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its facts.
    pub account: Account,
    /// Of a group, who is in it directly.
    pub members: Members,
    /// When the clock alone will change whether it may sign in, Unix seconds: its expiry, or the end of its lock.
    pub turns_at: Option<i64>,
}

/// The direct members of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// Their `objectGUID`s, of any kind, except [`Members::foreign`].
    pub guids: BTreeSet<String>,
    /// Those of [`Members::guids`] that are objects of another domain of the forest.
    pub elsewhere: BTreeSet<String>,
    /// The names (SIDs) of foreign security principals.
    pub foreign: BTreeSet<String>,
}

impl Object {
    /// An object without members.
    pub fn of(account: Account) -> Self {
        Self {
            account,
            members: Members::default(),
            turns_at: None,
        }
    }
}

/// What is known of one object of the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It is to be synchronized.
    Present(Box<Object>),
    /// It is not there any more, or a rule leaves it out: the tenant must not hold it.
    Gone,
    /// It is there but cannot be used as it is: the tenant's copy, if there is one, stays.
    Kept,
}

/// What was seen of the directory: all of it, or what changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// The domain.
    pub domain: Domain,
    /// What was seen, by `objectGUID`.
    pub seen: BTreeMap<String, Seen>,
    /// Whether it is all there is: what the tenant holds beside it is gone then.
    pub complete: bool,
    /// The groups in which objects are that are new to the tenant, by `objectGUID`; only needed where not everything was
    /// seen, since such a group need not have changed.
    pub groups_of: BTreeMap<String, BTreeSet<String>>,
    /// The objects that failed at an earlier run, by `objectGUID`.
    pub failed_before: BTreeSet<String>,
    /// What was left out, and why.
    pub skipped: Vec<Skipped>,
}

impl Observed {
    /// The objects to be synchronized.
    pub fn present(&self) -> impl Iterator<Item = &Object> {
        self.seen.values().filter_map(|seen| match seen {
            Seen::Present(object) => Some(object.as_ref()),
            Seen::Gone | Seen::Kept => None,
        })
    }
}

/// Something that is not synchronized.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its `objectGUID`, where it has a readable one.
    pub guid: Option<String>,
    /// Its name for display.
    pub name: String,
    /// Why.
    pub reason: SkipReason,
}

/// Why something is not synchronized.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SkipReason {
    /// A user with a RID below 1000: Administrator, Guest, krbtgt and the like.
    ReservedRid,
    /// A SID outside the domain: built-in groups, foreign security principals.
    ForeignSid,
    /// An account that the directory itself needs: another KDC's, a system's.
    SystemAccount,
    /// A group for mail only: it carries no rights.
    NotASecurityGroup,
    /// Neither a user nor a group: a computer, a trust.
    NotAPerson,
    /// Outside what the scope options choose.
    OutOfScope,
    /// An administrator of the directory, by membership in one of its privileged groups.
    Privileged,
    /// The attribute that `--upn-attribute` names is missing or no text.
    NoMappedUpn,
    /// A value that is missing, not text, or too long.
    UnusableValue(&'static str),
    /// A group that changed each time its members were read.
    Unsteady,
    /// A member of a group that is no synced user or group: a computer, a contact, someone out of scope.
    ForeignMember,
    /// A member of a group that is a security principal of another forest, or a well-known one.
    ForeignPrincipal,
    /// A member of a group from another domain of the forest: written down, and counts once that domain is synced.
    OtherDomain,
}

impl SkipReason {
    /// Whether the tenant's copy, if there is one, stays as it is: damage in one run must not take anybody's access.
    /// What is left out by a rule is removed instead.
    pub fn keeps_existing(self) -> bool {
        matches!(
            self,
            Self::UnusableValue(_) | Self::NoMappedUpn | Self::Unsteady
        )
    }

    /// Whether it is reported: computers are left out silently.
    pub fn is_reported(self) -> bool {
        self != Self::NotAPerson
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReservedRid => f.write_str("a built-in account (RID below 1000)"),
            Self::ForeignSid => f.write_str("built-in or of another domain (by its SID)"),
            Self::SystemAccount => f.write_str("an account of the system"),
            Self::NotASecurityGroup => f.write_str("not a security group"),
            Self::NotAPerson => f.write_str("neither a user nor a group"),
            Self::OutOfScope => f.write_str("outside the scope"),
            Self::Privileged => f.write_str(
                "a privileged account (a member of Domain Admins or the like); `--include-privileged` takes it",
            ),
            Self::NoMappedUpn => {
                f.write_str("the attribute named by `--upn-attribute` is missing or unusable")
            }
            Self::UnusableValue(attribute) => write!(f, "`{attribute}` is missing or unusable"),
            Self::Unsteady => {
                f.write_str("its members changed each time they were read; it is read again soon")
            }
            Self::ForeignMember => f.write_str("a member that is no synced user or group"),
            Self::ForeignPrincipal => f.write_str("a member that is a foreign security principal"),
            Self::OtherDomain => f.write_str(
                "a member from another domain of the forest; it counts once that domain is synced",
            ),
        }
    }
}

/// What the tenant holds of the domain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CloudState {
    /// Users and groups by `objectGUID`, deleted ones included: all of them, or those that were looked up.
    pub objects: BTreeMap<String, CloudObject>,
    /// How many users and groups it holds, deleted ones aside, where not all of them are in `objects`.
    pub held: usize,
}

/// An object as the tenant holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloudObject {
    /// Its facts at the last sync.
    pub account: Account,
    /// Whether it was deleted.
    pub deleted: bool,
    /// For a group the `objectGUID`s of its direct members.
    pub members: BTreeSet<String>,
}
