//! The two states that a plan compares: AD's and the tenant's.

use crossrealm_types::{DisabledReason, IdentityKind, IdentityState, Sid, SyncedIdentity};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use uuid::Uuid;

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

/// The attributes of a user or group that the tenant stores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// `objectGUID` as lower-case text: it identifies the object for its whole life.
    pub guid: Uuid,
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
    /// Why the user may not sign in; `None` if they may.
    pub disabled: Option<DisabledReason>,
    /// `primaryGroupID`; 0 for a group.
    pub primary_group_rid: u32,
}

impl Account {
    /// The account as the tenant takes it. Members are sent apart.
    pub fn to_identity(&self) -> SyncedIdentity {
        SyncedIdentity {
            object_guid: self.guid,
            kind: self.kind,
            sid: self.sid.clone(),
            account_name: self.account_name.clone(),
            upn: self.upn.clone(),
            display_name: self.display_name.clone(),
            state: match self.disabled {
                None => IdentityState::Enabled,
                Some(_) => IdentityState::Disabled,
            },
            disabled_reason: self.disabled,
            primary_group_rid: self.primary_group_rid,
            members: Vec::new(),
            more_members: false,
        }
    }
}

/// A user or group of the domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its attributes.
    pub account: Account,
    /// The direct members, of a group.
    pub members: Members,
    /// When the clock will change whether the user may sign in, in Unix seconds: the account expires, or a lockout ends.
    pub turns_at: Option<i64>,
    /// The attributes whose values cannot be stored as they are: the normalized value, or AD's default, is used instead.
    pub normalized: Vec<&'static str>,
}

/// The direct members of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// The `objectGUID`s of all members but [`Members::foreign`], of any kind.
    pub guids: BTreeSet<Uuid>,
    /// Those of [`Members::guids`] that are objects of another domain of the forest, with the SID of that domain where they have a
    /// SID.
    pub elsewhere: BTreeMap<Uuid, Option<Sid>>,
    /// The names of the foreign security principals, which are SIDs.
    pub foreign: BTreeSet<String>,
}

impl Object {
    /// An object without members.
    pub fn of(account: Account) -> Self {
        Self {
            account,
            members: Members::default(),
            turns_at: None,
            normalized: Vec::new(),
        }
    }
}

/// The state of one object in AD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It is synchronized.
    Present(Box<Object>),
    /// It was deleted, or a rule leaves it out: the tenant must not have it.
    Gone,
    /// It exists but cannot be used as it is: the tenant keeps its copy, if it has one, without what AD takes away. The object
    /// is what could be read of it: its names are empty, and its primary group is 0 where unknown. `None` if it is not known
    /// whether AD takes something away.
    Kept(Option<Box<Object>>),
}

/// What was read from AD: everything, or what changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// The domain.
    pub domain: Domain,
    /// The objects by `objectGUID`.
    pub seen: BTreeMap<Uuid, Seen>,
    /// Whether everything was read, so that the tenant's other objects were deleted.
    pub complete: bool,
    /// The groups of objects that are new to the tenant, by `objectGUID`. An incremental sync needs them: such a group need
    /// not have changed.
    pub groups_of: BTreeMap<Uuid, BTreeSet<Uuid>>,
    /// The objects that failed in an earlier run, by `objectGUID`.
    pub failed_before: BTreeSet<Uuid>,
    /// What was left out, and why.
    pub skipped: Vec<Skipped>,
}

impl Observed {
    /// The objects to be synchronized.
    pub fn present(&self) -> impl Iterator<Item = &Object> {
        self.seen.values().filter_map(|seen| match seen {
            Seen::Present(object) => Some(object.as_ref()),
            Seen::Gone | Seen::Kept(_) => None,
        })
    }
}

/// An object that is not synchronized.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its `objectGUID`; `None` if that is unreadable.
    pub guid: Option<Uuid>,
    /// Its display name.
    pub name: String,
    /// The reason.
    pub reason: SkipReason,
}

/// Why an object is not synchronized.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SkipReason {
    /// A user with a RID below 1000: Administrator, Guest, krbtgt and the like.
    ReservedRid,
    /// A SID outside the domain: built-in groups, foreign security principals.
    ForeignSid,
    /// An account of AD itself: of another KDC, or of the system.
    SystemAccount,
    /// A distribution group, which grants no rights.
    NotASecurityGroup,
    /// Neither a user nor a group: a computer, a trust account.
    NotAPerson,
    /// Outside the scope.
    OutOfScope,
    /// A member of one of AD's privileged groups.
    Privileged,
    /// The attribute that should hold the UPN is missing or not text.
    NoMappedUpn,
    /// A value that is missing, not text, or too long.
    UnusableValue(&'static str),
    /// A group that changed each time its members were read.
    Unsteady,
    /// A member of a group that is not a synchronized user or group: a computer, a contact, an object outside the scope.
    ForeignMember,
    /// A member of a group that is a security principal of another forest, or a well-known one.
    ForeignPrincipal,
    /// A member of a group from another domain of the forest. It is stored, and counts once that domain is synchronized.
    OtherDomain,
}

impl SkipReason {
    /// Whether the tenant keeps its copy, if it has one, without what AD takes away: a value that was damaged in one run must
    /// not revoke access. What a rule leaves out is deleted instead.
    pub fn keeps_existing(self) -> bool {
        matches!(
            self,
            Self::UnusableValue(_) | Self::NoMappedUpn | Self::Unsteady
        )
    }

    /// Whether it is reported: computers are not.
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
            Self::Privileged => {
                f.write_str("a privileged account (a member of Domain Admins or the like)")
            }
            Self::NoMappedUpn => {
                f.write_str("the attribute that should hold the UPN is missing or unusable")
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

/// What the tenant has of the domain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CloudState {
    /// Users and groups by `objectGUID`, including deleted ones: all of them, or those that were looked up.
    pub objects: BTreeMap<Uuid, CloudObject>,
    /// The number of users and groups that are not deleted, if `objects` has only a part of them.
    pub held: usize,
}

/// An object as the tenant has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloudObject {
    /// Its attributes at the last sync.
    pub account: Account,
    /// Whether it was deleted.
    pub deleted: bool,
    /// For a group the `objectGUID`s of its direct members.
    pub members: BTreeSet<Uuid>,
}

impl From<SyncedIdentity> for CloudObject {
    fn from(held: SyncedIdentity) -> Self {
        let disabled = (held.state == IdentityState::Disabled)
            .then(|| held.disabled_reason.unwrap_or(DisabledReason::Disabled));
        Self {
            account: Account {
                guid: held.object_guid,
                kind: held.kind,
                sid: held.sid,
                account_name: held.account_name,
                upn: held.upn,
                display_name: held.display_name,
                disabled,
                primary_group_rid: held.primary_group_rid,
            },
            deleted: held.state == IdentityState::Deleted,
            members: held.members.into_iter().collect(),
        }
    }
}
