//! The Kerberos server object of a domain: the account `krbtgt_Crossrealm` and the computer `CrossrealmKerberos`.
//!
//! They look like a read-only domain controller without a machine. [`mod@observe`] reads them by encrypted LDAP, [`mod@plan`]
//! is a pure decision, [`mod@apply`] carries it out. If a run is killed, the next one completes it.
//!
//! AD generates the account's key itself, at random, and independent of the password that is set ([MS-SAMR] 3.1.1.8.5 treats
//! the account like `krbtgt`); it discloses the key only by replication of secrets. This module never asks for that right: it
//! knows the version and the age of the key. No ticket to the tenant depends on the key.
//!
//! [`mod@ownership`] separates the objects that this product made from those of others, which are never changed or deleted.

mod apply;
mod observe;
mod ownership;
mod plan;
pub mod preflight;
pub mod replication;
mod rights;

use crossrealm_types::{AdObject, Sid};

pub use apply::apply;
pub use observe::{microsoft_account, observe, trust_key};
pub use plan::{ObjectRefusal, plan, plan_removal};

/// The account's common name.
pub const USER_NAME: &str = "krbtgt_Crossrealm";
/// The computer's common name; the account name has a `$` appended.
pub const COMPUTER_NAME: &str = "CrossrealmKerberos";
/// The names of Microsoft Entra Kerberos' own objects, which versions of this product before 0.3 used too.
pub const MICROSOFT_USER_NAME: &str = "krbtgt_AzureAD";
/// See [`MICROSOFT_USER_NAME`].
pub const MICROSOFT_COMPUTER_NAME: &str = "AzureADKerberos";

/// `userAccountControl` of the account: a normal, disabled account ([MS-ADTS] 2.2.16).
pub const USER_FLAGS: u32 = 0x202;
/// `userAccountControl` of the computer: workstation, trusted to authenticate for delegation, partial secrets; as of a
/// read-only domain controller ([MS-ADTS] 2.2.16).
pub const COMPUTER_FLAGS: u32 = 0x0500_1000;

/// The view of one domain controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// The DN of the account, which may not exist yet.
    pub user_dn: String,
    /// The account.
    pub user: Option<User>,
    /// The DN of the computer, which may not exist yet.
    pub computer_dn: String,
    /// The computer.
    pub computer: Option<Computer>,
    /// The groups of the password replication policy.
    pub groups: RevealGroups,
    /// The DNs of objects with the names of Microsoft Entra Kerberos that this product did not make.
    pub microsoft: Vec<String>,
}

/// The account `krbtgt_Crossrealm`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Which object it is.
    pub object: AdObject,
    /// Whether this product made it.
    pub is_ours: bool,
    /// Its account name: `krbtgt_` and its number.
    pub account_name: String,
    /// `msDS-SecondaryKrbTgtNumber`; `None` if the account is of another kind.
    pub number: Option<u32>,
    /// `userAccountControl`.
    pub flags: u32,
    /// `msDS-KeyVersionNumber`; 0 without a key.
    pub key_version: u32,
    /// When the key was generated (`pwdLastSet`), Unix seconds.
    pub key_updated_at: Option<i64>,
    /// The DNS name of the domain controller that generated it.
    pub key_updated_from: Option<String>,
}

/// The computer `CrossrealmKerberos`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Computer {
    /// Which object it is.
    pub object: AdObject,
    /// Whether this product made it.
    pub is_ours: bool,
    /// `userAccountControl`.
    pub flags: u32,
    /// `msDS-KrbTgtLink`: the DN of the account.
    pub link: Option<String>,
    /// `msDS-RevealOnDemandGroup`.
    pub reveal: Vec<String>,
    /// `msDS-NeverRevealGroup`.
    pub never: Vec<String>,
}

/// The key of a trust, by AD's count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrustKey {
    /// `msDS-KeyVersionNumber` of the trust's account: AD's count differs from the tenant's.
    pub version: Option<u32>,
    /// When it was set (`pwdLastSet`), Unix seconds.
    pub updated_at: Option<i64>,
}

/// The password replication policy: whose secrets may be replicated to the object, as DNs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RevealGroups {
    /// The allow list, which is empty until an administrator adds members.
    pub reveal: Vec<String>,
    /// The deny list: administrators and operators.
    pub never: Vec<String>,
}

/// One change in AD, complete in itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObjectStep {
    /// Create the account; AD chooses its number and its key.
    CreateUser {
        /// Its DN.
        dn: String,
    },
    /// Disable the account again.
    DisableUser {
        /// Its DN.
        dn: String,
    },
    /// Have AD generate a new key.
    NewKey {
        /// The DN of the account.
        dn: String,
    },
    /// Create the computer.
    CreateComputer {
        /// Its DN.
        dn: String,
        /// The DN of the account that it is linked to.
        user_dn: String,
        /// Its password replication policy.
        groups: RevealGroups,
    },
    /// Correct attributes of the computer.
    RepairComputer {
        /// Its DN.
        dn: String,
        /// The DN of the account that it is linked to.
        user_dn: String,
        /// Its password replication policy.
        groups: RevealGroups,
        /// The attributes that differ.
        what: Vec<&'static str>,
    },
    /// Delete the computer.
    DeleteComputer {
        /// Its DN.
        dn: String,
    },
    /// Delete the account.
    DeleteUser {
        /// Its DN.
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

/// The SIDs of the password replication policy in a domain: the allow list, then the deny list.
fn group_sids(domain: &Sid) -> Option<(Vec<Sid>, Vec<Sid>)> {
    /// Allowed RODC Password Replication Group, [MS-ADTS] 6.1.1.6.
    const ALLOWED_RID: u32 = 571;
    /// Denied RODC Password Replication Group.
    const DENIED_RID: u32 = 572;
    /// Administrators; account, server and backup operators: denied, as for every read-only domain controller.
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
