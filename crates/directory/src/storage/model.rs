//! Storage accounts, shares and grants.

use crate::identities::identity_ref::IdentityRef;
use crossrealm_types::ShareRole;
use std::fmt;

/// A share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// The storage account.
    pub account: String,
    /// Its name, as it was created.
    pub name: String,
    /// Its quota in GiB; `None` if only the file system limits it.
    pub quota_gib: Option<u32>,
    /// When it was created, Unix seconds.
    pub created_at: i64,
    /// The roles granted on it, by the name of the identity.
    pub grants: Vec<Grant>,
}

impl Share {
    /// Which share it is, as it was created.
    pub(crate) fn path(&self) -> SharePath<'_> {
        SharePath {
            account: &self.account,
            share: &self.name,
        }
    }
}

/// Which share is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharePath<'a> {
    /// The storage account.
    pub account: &'a str,
    /// The share's name.
    pub share: &'a str,
}

impl fmt::Display for SharePath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.account, self.share)
    }
}

/// A role granted to a user or group on a share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The user or group that has the role.
    pub identity: IdentityRef,
    /// Which.
    pub role: ShareRole,
    /// When, Unix seconds.
    pub created_at: i64,
}
