//! The two states that a plan compares.

use crossrealm_krb::sid::Sid;
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

/// User or group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Someone who signs in.
    User,
    /// A security group.
    Group,
}

/// Why a user may not sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisabledReason {
    /// Disabled by an administrator.
    Disabled,
    /// The account's expiry date has passed.
    Expired,
    /// Locked out after wrong passwords.
    Locked,
}

/// The facts of a user or group that the tenant keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// `objectGUID`, lower-case text: what makes it the same object for ever.
    pub guid: String,
    /// User or group.
    pub kind: Kind,
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
    /// For a group the `objectGUID`s of its direct members, whoever they are.
    pub members: BTreeSet<String>,
}

/// What the directory holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// The domain.
    pub domain: Domain,
    /// Users and groups by `objectGUID`.
    pub objects: BTreeMap<String, Object>,
    /// What was left out, and why.
    pub skipped: Vec<Skipped>,
}

/// Something that is not taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its `objectGUID`, where it has a readable one.
    pub guid: Option<String>,
    /// Its name for people.
    pub name: String,
    /// Why.
    pub reason: SkipReason,
}

/// Why something is not taken over.
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
    /// A value that is missing, not text, or too long.
    UnusableValue(&'static str),
    /// A member of a group that is no synced user or group: a computer, a contact, an object of another domain.
    ForeignMember,
}

impl SkipReason {
    /// Whether the tenant's copy, if there is one, stays as it is: damage in one run must not take anybody's access.
    /// What is left out by a rule is removed instead.
    pub fn keeps_existing(self) -> bool {
        matches!(self, Self::UnusableValue(_))
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReservedRid => f.write_str("a built-in account (RID below 1000)"),
            Self::ForeignSid => f.write_str("built-in or of another domain (by its SID)"),
            Self::SystemAccount => f.write_str("an account of the system"),
            Self::NotASecurityGroup => f.write_str("not a security group"),
            Self::UnusableValue(attribute) => write!(f, "`{attribute}` is missing or unusable"),
            Self::ForeignMember => f.write_str("a member that is no synced user or group"),
        }
    }
}

/// What the tenant holds of the domain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CloudState {
    /// Users and groups by `objectGUID`, deleted ones included.
    pub objects: BTreeMap<String, CloudObject>,
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
