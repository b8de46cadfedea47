//! Storage accounts: named SMB endpoints with two Kerberos keys.

use crate::audit::events::{Actor, audit};
use crate::db::change::{ChangeScope, lock_and_bump};
use crate::db::columns::{col, tenant_blob, uuid_blob};
use crate::db::statement::{is_taken, sql};
use crate::directory::Directory;
use crate::error::{DirectoryError, RecordKind, Refusal, Result};
use crate::hosts::tokens;
use crate::names::invalid;
use crate::page::{Page, Paged};
use crate::random::random_uuid;
use crate::service_keys::{KeytabMaterial, Owner, OwnerKind};
use crate::storage::account_rows::{CLASSES, account_of, host_of, keytab, load_account};
use crate::storage::model::{NewStorageAccount, StorageAccount};
use crate::storage::service_names::{delete_names, insert_name};
use crate::tenants::model::load_tenant;
use crate::{names, service_keys};
use crossrealm_kdc::TenantId;
use crossrealm_os::clock::now_s;
use crossrealm_types::ShareRole;
use sqlx::AnyConnection;
use std::collections::BTreeSet;

/// The most aliases of one account.
const MAX_ALIASES: usize = 50;

impl Directory {
    /// Creates a storage account with both keys: kerb1 (kvno 1) encrypts new tickets, kerb2 has kvno 2.
    pub async fn create_storage_account(
        &self,
        by: &Actor,
        tenant: TenantId,
        new: NewStorageAccount,
    ) -> Result<StorageAccount> {
        let name = names::account_name(&new.name)?;
        let mut tx = self.begin().await?;
        lock_and_bump(&mut tx, tenant, ChangeScope::Configuration).await?;
        let tenant_info = load_tenant(&mut tx, tenant).await?;
        let owner = Owner {
            tenant,
            kind: OwnerKind::Account,
            id: random_uuid()?,
        };
        sql("INSERT INTO storage_accounts (id, tenant_id, name, created_at) VALUES ($1, $2, $3, $4)")
            .bind(uuid_blob(owner.id))
            .bind(tenant_blob(tenant))
            .bind(name.as_str())
            .bind(now_s())
            .execute(&mut *tx)
            .await
            .map_err(|error| match is_taken(&error) {
                true => DirectoryError::exists(RecordKind::StorageAccount, &name),
                false => error.into(),
            })?;
        let host = host_of(&tenant_info, &name);
        write_hosts(&mut tx, &owner, &host, &new.aliases).await?;
        service_keys::insert_both(&mut tx, self.sealer(), &owner).await?;
        let detail = new.aliases.join(" ");
        audit(
            &mut tx,
            by,
            Some(tenant),
            "storage-account.create",
            &name,
            &detail,
        )
        .await?;
        let (_, account) = load_account(&mut tx, &tenant_info, &name).await?;
        self.commit(tx).await?;
        Ok(account)
    }

    /// The storage accounts, by name.
    pub async fn storage_accounts(
        &self,
        tenant: TenantId,
        page: &Page,
    ) -> Result<Paged<StorageAccount>> {
        let mut conn = self.snapshot().await?;
        let tenant_info = load_tenant(&mut conn, tenant).await?;
        let rows = sql(
            "SELECT id, name, default_role, created_at FROM storage_accounts
                        WHERE tenant_id = $1 AND name > $2 ORDER BY name LIMIT $3",
        )
        .bind(tenant_blob(tenant))
        .bind(page.after())
        .bind(page.limit())
        .fetch_all(&mut *conn)
        .await?;
        let mut items = Vec::with_capacity(rows.len());
        for row in &rows {
            items.push(account_of(&mut conn, &tenant_info, row).await?.1);
        }
        Ok(page.paged(items, |account| account.name.clone()))
    }

    /// The storage account with this name.
    pub async fn storage_account(&self, tenant: TenantId, name: &str) -> Result<StorageAccount> {
        let mut conn = self.snapshot().await?;
        let tenant_info = load_tenant(&mut conn, tenant).await?;
        Ok(load_account(&mut conn, &tenant_info, name).await?.1)
    }

    /// Replaces the aliases of a storage account.
    pub async fn set_aliases(
        &self,
        by: &Actor,
        tenant: TenantId,
        name: &str,
        aliases: &[String],
    ) -> Result<StorageAccount> {
        let mut tx = self.begin().await?;
        lock_and_bump(&mut tx, tenant, ChangeScope::Configuration).await?;
        let tenant_info = load_tenant(&mut tx, tenant).await?;
        let (owner, account) = load_account(&mut tx, &tenant_info, name).await?;
        delete_names(&mut tx, &owner).await?;
        write_hosts(&mut tx, &owner, &account.host, aliases).await?;
        audit(
            &mut tx,
            by,
            Some(tenant),
            "storage-account.aliases",
            name,
            &aliases.join(" "),
        )
        .await?;
        let (_, account) = load_account(&mut tx, &tenant_info, name).await?;
        self.commit(tx).await?;
        Ok(account)
    }

    /// Sets the role that every synced user has on the account's shares; `None` removes it.
    pub async fn set_default_role(
        &self,
        by: &Actor,
        tenant: TenantId,
        name: &str,
        role: Option<ShareRole>,
    ) -> Result<StorageAccount> {
        let mut tx = self.begin().await?;
        lock_and_bump(&mut tx, tenant, ChangeScope::Configuration).await?;
        let tenant_info = load_tenant(&mut tx, tenant).await?;
        let (owner, mut account) = load_account(&mut tx, &tenant_info, name).await?;
        sql("UPDATE storage_accounts SET default_role = $2 WHERE id = $1")
            .bind(uuid_blob(owner.id))
            .bind(role.map(ShareRole::as_str))
            .execute(&mut *tx)
            .await?;
        let word = role.map_or("none", ShareRole::as_str);
        audit(
            &mut tx,
            by,
            Some(tenant),
            "storage-account.default-role",
            name,
            word,
        )
        .await?;
        self.commit(tx).await?;
        account.default_role = role;
        Ok(account)
    }

    /// The content of the account's keytab. Audited: it is an export of keys.
    pub async fn storage_account_keytab(
        &self,
        by: &Actor,
        tenant: TenantId,
        name: &str,
    ) -> Result<KeytabMaterial> {
        let mut tx = self.begin().await?;
        lock_and_bump(&mut tx, tenant, ChangeScope::Nothing).await?;
        let tenant_info = load_tenant(&mut tx, tenant).await?;
        let (owner, account) = load_account(&mut tx, &tenant_info, name).await?;
        let material = keytab(&mut tx, self.sealer(), &tenant_info, &owner, &account).await?;
        audit(
            &mut tx,
            by,
            Some(tenant),
            "storage-account.keytab",
            name,
            "",
        )
        .await?;
        self.commit(tx).await?;
        Ok(material)
    }

    /// Deletes a storage account with its keys, the tokens of its hosts and its removed shares. Refused with
    /// `account_has_shares` if it has shares.
    pub async fn delete_storage_account(
        &self,
        by: &Actor,
        tenant: TenantId,
        name: &str,
    ) -> Result<()> {
        self.remove_storage_account(by, tenant, name, false).await
    }

    /// As [`Directory::delete_storage_account`], with the account's shares and their grants. Data on hosts stays.
    pub async fn delete_storage_account_with_shares(
        &self,
        by: &Actor,
        tenant: TenantId,
        name: &str,
    ) -> Result<()> {
        self.remove_storage_account(by, tenant, name, true).await
    }

    async fn remove_storage_account(
        &self,
        by: &Actor,
        tenant: TenantId,
        name: &str,
        with_shares: bool,
    ) -> Result<()> {
        let mut tx = self.begin().await?;
        lock_and_bump(&mut tx, tenant, ChangeScope::Configuration).await?;
        let tenant_info = load_tenant(&mut tx, tenant).await?;
        let (owner, _) = load_account(&mut tx, &tenant_info, name).await?;
        let shares = sql(
            "SELECT COUNT(*) AS count FROM shares WHERE account_id = $1 AND removed_at IS NULL",
        )
        .bind(uuid_blob(owner.id))
        .fetch_one(&mut *tx)
        .await?;
        let count: i64 = col(&shares, "count")?;
        if count > 0 && !with_shares {
            return Err(Refusal::AccountHasShares {
                account: name.to_owned(),
                shares: count,
            }
            .into());
        }
        delete_names(&mut tx, &owner).await?;
        service_keys::delete_keys(&mut tx, &owner).await?;
        tokens::revoke_all(&mut tx, tenant, name).await?;
        sql("DELETE FROM storage_accounts WHERE id = $1")
            .bind(uuid_blob(owner.id))
            .execute(&mut *tx)
            .await?;
        audit(
            &mut tx,
            by,
            Some(tenant),
            "storage-account.delete",
            name,
            &match count {
                0 => String::new(),
                count => format!("with {count} shares"),
            },
        )
        .await?;
        self.commit(tx).await
    }
}

/// Writes the names an account answers to.
async fn write_hosts(
    conn: &mut AnyConnection,
    owner: &Owner,
    host: &str,
    aliases: &[String],
) -> Result<()> {
    if aliases.len() > MAX_ALIASES {
        return Err(invalid(
            "alias",
            &aliases.len().to_string(),
            "too many of them",
        ));
    }
    let mut hosts = BTreeSet::from([host.to_owned()]);
    for alias in aliases {
        hosts.insert(names::host_name("alias", alias)?);
    }
    for host in hosts {
        for class in CLASSES {
            insert_name(conn, owner, class, &host).await?;
        }
    }
    Ok(())
}
