//! The Kerberos server object of a domain: the account `krbtgt_AzureAD` and the computer `AzureADKerberos`.
//!
//! They look like a read-only domain controller without a machine. [`mod@observe`] reads them over encrypted LDAP, [`mod@plan`]
//! decides and is pure, [`mod@apply`] carries the steps out. A run that was killed anywhere is finished by running it again.
//!
//! AD makes the account's key itself, at random, independent of the password it is given ([MS-SAMR] 3.1.1.8.5 treats the account
//! like `krbtgt`), and hands it out only by replicating secrets. This module never asks for that right: it knows the
//! version and age of the key, not the key. Nothing on the way of a ticket to the tenant uses it.

mod apply;
mod observe;
mod plan;
pub mod preflight;
pub mod replication;
mod rights;

use crossrealm_types::Sid;

pub use apply::apply;
pub use observe::{observe, trust_key};
pub use plan::{ObjectRefusal, plan, plan_removal};

/// The account's common name.
pub const USER_NAME: &str = "krbtgt_AzureAD";
/// The computer's common name; its account name has a `$` behind it.
pub const COMPUTER_NAME: &str = "AzureADKerberos";

/// `userAccountControl` of the account: a normal account, disabled ([MS-ADTS] 2.2.16).
pub const USER_FLAGS: u32 = 0x202;
/// `userAccountControl` of the computer: a workstation, trusted to authenticate for delegation, with partial secrets,
/// as a read-only domain controller has it ([MS-ADTS] 2.2.16).
pub const COMPUTER_FLAGS: u32 = 0x0500_1000;

/// What AD holds, as one domain controller sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Where the account is, or is to be made.
    pub user_dn: String,
    /// The account.
    pub user: Option<User>,
    /// Where the computer is, or is to be made.
    pub computer_dn: String,
    /// The computer.
    pub computer: Option<Computer>,
    /// The group whose members' secrets may be revealed, and those whose never may.
    pub groups: RevealGroups,
}

/// The account `krbtgt_AzureAD`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Its account name: `krbtgt_` and its number.
    pub account_name: String,
    /// `msDS-SecondaryKrbTgtNumber`; `None` where it is no account of this kind.
    pub number: Option<u32>,
    /// `userAccountControl`.
    pub flags: u32,
    /// `msDS-KeyVersionNumber`, 0 where it has no key.
    pub key_version: u32,
    /// When the key was made (`pwdLastSet`), Unix seconds.
    pub key_updated_at: Option<i64>,
    /// The DNS name of the domain controller that made it.
    pub key_updated_from: Option<String>,
}

/// The computer `AzureADKerberos`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Computer {
    /// `userAccountControl`.
    pub flags: u32,
    /// `msDS-KrbTgtLink`: the DN of its account.
    pub link: Option<String>,
    /// `msDS-RevealOnDemandGroup`.
    pub reveal: Vec<String>,
    /// `msDS-NeverRevealGroup`.
    pub never: Vec<String>,
}

/// The key of a trust as AD counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrustKey {
    /// `msDS-KeyVersionNumber` of the trust's account: AD's own count, which is not the tenant's.
    pub version: Option<u32>,
    /// When it was made (`pwdLastSet`), Unix seconds.
    pub updated_at: Option<i64>,
}

/// Whose secrets such an object may see, as DNs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RevealGroups {
    /// The allow list, which is empty until an administrator adds members.
    pub reveal: Vec<String>,
    /// The deny list: administrators and operators.
    pub never: Vec<String>,
}

/// One change in AD. Each is complete in itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObjectStep {
    /// Create the account; AD chooses its number and its key.
    CreateUser {
        /// Where.
        dn: String,
    },
    /// Disable the account again.
    DisableUser {
        /// Which.
        dn: String,
    },
    /// Have AD make a new key.
    NewKey {
        /// Of which account.
        dn: String,
    },
    /// Create the computer.
    CreateComputer {
        /// Where.
        dn: String,
        /// The account it is linked to.
        user_dn: String,
        /// Its reveal groups.
        groups: RevealGroups,
    },
    /// Give the computer the attributes it must have.
    RepairComputer {
        /// Which.
        dn: String,
        /// The account it is linked to.
        user_dn: String,
        /// Its reveal groups.
        groups: RevealGroups,
        /// The attributes that differ.
        what: Vec<&'static str>,
    },
    /// Delete the computer.
    DeleteComputer {
        /// Which.
        dn: String,
    },
    /// Delete the account.
    DeleteUser {
        /// Which.
        dn: String,
    },
}

impl std::fmt::Display for ObjectStep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::CreateUser { dn } => write!(
                f,
                "create the disabled account `{dn}` (AD chooses its number and makes its key)"
            ),
            Self::DisableUser { dn } => write!(f, "disable the account `{dn}`"),
            Self::NewKey { dn } => write!(f, "have AD make a new key for `{dn}`"),
            Self::CreateComputer { dn, .. } => write!(
                f,
                "create the computer `{dn}`, which may see no secrets but those of its allow list"
            ),
            Self::RepairComputer { dn, what, .. } => {
                write!(f, "repair `{}` of the computer `{dn}`", what.join("`, `"))
            }
            Self::DeleteComputer { dn } => write!(f, "delete the computer `{dn}`"),
            Self::DeleteUser { dn } => write!(f, "delete the account `{dn}`"),
        }
    }
}

/// The SIDs of the reveal groups in a domain: the allow list, then the deny list.
fn group_sids(domain: &Sid) -> Option<(Vec<Sid>, Vec<Sid>)> {
    /// Allowed RODC Password Replication Group, [MS-ADTS] 6.1.1.6.
    const ALLOWED_RID: u32 = 571;
    /// Denied RODC Password Replication Group.
    const DENIED_RID: u32 = 572;
    /// Administrators, account, server and backup operators: never, as for any read-only domain controller.
    const BUILTIN: [&str; 4] = [
        "S-1-5-32-544",
        "S-1-5-32-548",
        "S-1-5-32-549",
        "S-1-5-32-551",
    ];
    let mut never = vec![domain.with_rid(DENIED_RID).ok()?];
    for text in BUILTIN {
        never.push(text.parse().ok()?);
    }
    Some((vec![domain.with_rid(ALLOWED_RID).ok()?], never))
}
