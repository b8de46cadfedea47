//! Shares and the roles granted on them.

use crate::access::PrincipalRef;
use crate::{Actor, Directory, Result};
use crossrealm_kdc::TenantId;
use std::fmt;

/// A share-level role, weakest first, so that the highest of several is their maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ShareRole {
    /// Reads.
    Reader,
    /// Reads, writes, deletes.
    Contributor,
    /// Also changes permissions.
    ElevatedContributor,
}

/// A share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// The storage account.
    pub account: String,
    /// Its name, lower case.
    pub name: String,
    /// When it was made, Unix seconds.
    pub created_at: i64,
}

/// A role granted to a user or group on a share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// To whom.
    pub principal: PrincipalRef,
    /// Which.
    pub role: ShareRole,
    /// When, Unix seconds.
    pub created_at: i64,
}

impl ShareRole {
    /// `reader`, `contributor` or `elevated-contributor`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Contributor => "contributor",
            Self::ElevatedContributor => "elevated-contributor",
        }
    }
}

impl fmt::Display for ShareRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Directory {
    /// Makes a share. One that was removed under the same name comes back without its grants.
    pub async fn create_share(
        &self,
        by: &Actor,
        tenant: TenantId,
        account: &str,
        share: &str,
    ) -> Result<Share> {
        todo!()
    }

    /// The shares of an account, by name. Removed ones are not shown.
    pub async fn shares(&self, tenant: TenantId, account: &str) -> Result<Vec<Share>> {
        todo!()
    }

    /// Takes a share out of view and its grants away. Its data is not touched.
    pub async fn delete_share(
        &self,
        by: &Actor,
        tenant: TenantId,
        account: &str,
        share: &str,
    ) -> Result<()> {
        todo!()
    }

    /// Grants a role on a share to a user or group named as in [`Directory::principal`]; replaces the role where one
    /// was granted.
    pub async fn grant(
        &self,
        by: &Actor,
        tenant: TenantId,
        account: &str,
        share: &str,
        principal: &str,
        role: ShareRole,
    ) -> Result<Grant> {
        todo!()
    }

    /// Takes a principal's role on a share away.
    pub async fn revoke(
        &self,
        by: &Actor,
        tenant: TenantId,
        account: &str,
        share: &str,
        principal: &str,
    ) -> Result<()> {
        todo!()
    }

    /// The roles granted on a share, by principal.
    pub async fn grants(
        &self,
        tenant: TenantId,
        account: &str,
        share: &str,
    ) -> Result<Vec<Grant>> {
        todo!()
    }
}
