//! Storage accounts, shares and grants.

use crate::identities::identity_ref::IdentityRef;
use crate::service_keys::KeyInfo;
use crossrealm_types::ShareRole;
use std::fmt;

/// A storage account to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewStorageAccount {
    /// The name: 3 to 24 lower-case letters and digits.
    pub name: String,
    /// Other DNS names it answers at.
    pub aliases: Vec<String>,
}

/// A storage account without its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageAccount {
    /// Its name.
    pub name: String,
    /// The DNS name it answers at: `<name>.file.<tenant domain>`.
    pub host: String,
    /// Other DNS names it answers at, sorted.
    pub aliases: Vec<String>,
    /// The role that every synced user of the tenant has on its shares.
    pub default_role: Option<ShareRole>,
    /// When it was created, Unix seconds.
    pub created_at: i64,
    /// Its keys, the one that encrypts new tickets first.
    pub keys: Vec<KeyInfo>,
}

/// A share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// The storage account.
    pub account: String,
    /// Its name, lower case.
    pub name: String,
    /// Its quota in GiB; `None` if only the file system limits it.
    pub quota_gib: Option<u32>,
    /// When it was created, Unix seconds.
    pub created_at: i64,
    /// The roles granted on it, by the name of the identity.
    pub grants: Vec<Grant>,
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
