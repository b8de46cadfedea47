//! Storage accounts: named SMB endpoints with two Kerberos keys.

use crate::keys::{KeyInfo, KeySlot, KeytabMaterial};
use crate::shares::ShareRole;
use crate::{Actor, Directory, Page, Paged, Result};
use crossrealm_kdc::TenantId;

/// A storage account to be made.
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
    /// The role every synced user of the tenant has on its shares.
    pub default_role: Option<ShareRole>,
    /// When it was made, Unix seconds.
    pub created_at: i64,
    /// Its keys, the sealing one first.
    pub keys: Vec<KeyInfo>,
}

impl Directory {
    /// Makes a storage account with both keys: kerb1 (kvno 1) seals, kerb2 has kvno 2.
    pub async fn create_storage_account(
        &self,
        by: &Actor,
        tenant: TenantId,
        new: NewStorageAccount,
    ) -> Result<StorageAccount> {
        todo!()
    }

    /// The storage accounts, by name.
    pub async fn storage_accounts(
        &self,
        tenant: TenantId,
        page: &Page,
    ) -> Result<Paged<StorageAccount>> {
        todo!()
    }

    /// The storage account with this name.
    pub async fn storage_account(&self, tenant: TenantId, name: &str) -> Result<StorageAccount> {
        todo!()
    }

    /// Replaces the aliases of a storage account.
    pub async fn set_aliases(
        &self,
        by: &Actor,
        tenant: TenantId,
        name: &str,
        aliases: &[String],
    ) -> Result<StorageAccount> {
        todo!()
    }

    /// Sets the role every synced user has on the account's shares; `None` takes it away.
    pub async fn set_default_role(
        &self,
        by: &Actor,
        tenant: TenantId,
        name: &str,
        role: Option<ShareRole>,
    ) -> Result<StorageAccount> {
        todo!()
    }

    /// Makes a new key in a slot; the other slot seals from now on.
    pub async fn rotate_storage_key(
        &self,
        by: &Actor,
        tenant: TenantId,
        name: &str,
        slot: KeySlot,
    ) -> Result<StorageAccount> {
        todo!()
    }

    /// What the account's keytab is made of. Audited: it is an export of keys.
    pub async fn storage_account_keytab(
        &self,
        by: &Actor,
        tenant: TenantId,
        name: &str,
    ) -> Result<KeytabMaterial> {
        todo!()
    }

    /// Removes a storage account, its keys and grants. Refused with `account_has_shares` while it has shares.
    pub async fn delete_storage_account(
        &self,
        by: &Actor,
        tenant: TenantId,
        name: &str,
    ) -> Result<()> {
        todo!()
    }
}
