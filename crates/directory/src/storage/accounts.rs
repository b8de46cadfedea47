//! Storage accounts: named SMB endpoints with two Kerberos keys.

use crate::administrators::tokens::revoke_all;
use crate::audit::events::Actor;
use crate::claimed_names::{InstallationNames, NameScope, unmappable};
use crate::db::change::ChangeScope;
use crate::db::columns::{col, tenant_blob, uuid_blob};
use crate::db::statement::{is_taken, sql};
use crate::directory::Directory;
use crate::error::{DirectoryError, RecordKind, Refusal, Result};
use crate::page::{Page, Paged};
use crate::random::random_uuid;
use crate::service_keys::{KeytabMaterial, Owner, OwnerKind};
use crate::storage::account_rows::{
    CLASSES, account_of, default_role_row, host_of, keytab, load_account,
};
use crate::storage::service_names::{delete_host, delete_names, insert_names};
use crate::tenants::model::load_tenant;
use crate::{names, service_keys};
use crossrealm_kdc::TenantId;
use crossrealm_os::clock::now_s;
use crossrealm_types::{ShareRole, StorageAccount, StorageAccountCreate};
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
        new: StorageAccountCreate,
        scope: NameScope,
    ) -> Result<StorageAccount> {
        let name = names::account_name(&new.name)?;
        if new.aliases.len() > MAX_ALIASES {
            return Err(Refusal::TooManyAliases {
                account: name,
                most: MAX_ALIASES,
            }
            .into());
        }
        let mut tx = self.change(by, tenant, ChangeScope::Configuration).await?;
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
        let installation = self.installation();
        write_hosts(&mut tx, installation, &owner, &host, &new.aliases, scope).await?;
        service_keys::insert_both(&mut tx, self.sealer(), &owner).await?;
        let detail = new.aliases.join(" ");
        tx.audit("storage-account.create", &name, &detail).await?;
        let (_, account) = load_account(&mut tx, self.sealer(), &tenant_info, &name).await?;
        tx.commit().await?;
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
            "SELECT id, name, default_role, tag, created_at FROM storage_accounts
                        WHERE tenant_id = $1 AND name > $2 ORDER BY name LIMIT $3",
        )
        .bind(tenant_blob(tenant))
        .bind(page.after())
        .bind(page.limit())
        .fetch_all(&mut *conn)
        .await?;
        let mut items = Vec::with_capacity(rows.len());
        for row in &rows {
            items.push(
                account_of(&mut conn, self.sealer(), &tenant_info, row)
                    .await?
                    .1,
            );
        }
        Ok(page.paged(items, |account| account.name.clone()))
    }

    /// The storage account with this name.
    pub async fn storage_account(&self, tenant: TenantId, name: &str) -> Result<StorageAccount> {
        let mut conn = self.snapshot().await?;
        let tenant_info = load_tenant(&mut conn, tenant).await?;
        Ok(load_account(&mut conn, self.sealer(), &tenant_info, name)
            .await?
            .1)
    }

    /// Adds an alias to a storage account, or does nothing if the account has it. Refused if the tenant may not claim
    /// the name, and with `too_many_aliases` if there are [`MAX_ALIASES`].
    pub async fn add_alias(
        &self,
        by: &Actor,
        tenant: TenantId,
        account: &str,
        alias: &str,
        scope: NameScope,
    ) -> Result<StorageAccount> {
        let alias = names::host_name("alias", alias)?;
        let mut tx = self.change(by, tenant, ChangeScope::Configuration).await?;
        let tenant_info = load_tenant(&mut tx, tenant).await?;
        let (owner, held) = load_account(&mut tx, self.sealer(), &tenant_info, account).await?;
        if held.host == alias || held.aliases.contains(&alias) {
            return Ok(held);
        }
        if held.aliases.len() >= MAX_ALIASES {
            return Err(Refusal::TooManyAliases {
                account: account.to_owned(),
                most: MAX_ALIASES,
            }
            .into());
        }
        let installation = self.installation();
        insert_names(&mut tx, installation, &owner, &CLASSES, &alias, scope).await?;
        let action = "storage-account.add-alias";
        tx.audit(action, account, &alias).await?;
        let (_, held) = load_account(&mut tx, self.sealer(), &tenant_info, account).await?;
        tx.commit().await?;
        Ok(held)
    }

    /// Removes an alias from a storage account; tickets for it are refused from then on.
    pub async fn remove_alias(
        &self,
        by: &Actor,
        tenant: TenantId,
        account: &str,
        alias: &str,
    ) -> Result<()> {
        let alias = names::host_name("alias", alias)?;
        let mut tx = self.change(by, tenant, ChangeScope::Configuration).await?;
        let tenant_info = load_tenant(&mut tx, tenant).await?;
        let (owner, held) = load_account(&mut tx, self.sealer(), &tenant_info, account).await?;
        if !held.aliases.contains(&alias) {
            let alias = format!("{account}/{alias}");
            return Err(DirectoryError::not_found(RecordKind::Alias, alias));
        }
        delete_host(&mut tx, &owner, &alias).await?;
        let action = "storage-account.remove-alias";
        tx.audit(action, account, &alias).await?;
        tx.commit().await
    }

    /// The hosts among these that the tenant could not claim now, each with the reason. What was stored by a version
    /// that did not refuse them is served on; clients must not be configured for it.
    pub async fn unmappable_hosts(
        &self,
        tenant: TenantId,
        hosts: &[String],
    ) -> Result<Vec<(String, Refusal)>> {
        let mut conn = self.snapshot().await?;
        unmappable(&mut conn, self.installation(), tenant, hosts).await
    }

    /// Sets the role that every synced user has on the account's shares; `None` removes it.
    pub async fn set_default_role(
        &self,
        by: &Actor,
        tenant: TenantId,
        name: &str,
        role: Option<ShareRole>,
    ) -> Result<StorageAccount> {
        let mut tx = self.change(by, tenant, ChangeScope::Configuration).await?;
        let tenant_info = load_tenant(&mut tx, tenant).await?;
        let (owner, mut account) = load_account(&mut tx, self.sealer(), &tenant_info, name).await?;
        let tag = role.map(|role| {
            let row = default_role_row(tenant, owner.id, role.as_str());
            self.sealer().rows().tag(&row)
        });
        sql("UPDATE storage_accounts SET default_role = $2, tag = $3 WHERE id = $1")
            .bind(uuid_blob(owner.id))
            .bind(role.map(ShareRole::as_str))
            .bind(tag)
            .execute(&mut *tx)
            .await?;
        let word = role.map_or("none", ShareRole::as_str);
        tx.audit("storage-account.default-role", name, word).await?;
        tx.commit().await?;
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
        let mut tx = self.change(by, tenant, ChangeScope::Nothing).await?;
        let tenant_info = load_tenant(&mut tx, tenant).await?;
        let (owner, account) = load_account(&mut tx, self.sealer(), &tenant_info, name).await?;
        let material = keytab(&mut tx, self.sealer(), &tenant_info, &owner, &account).await?;
        tx.audit("storage-account.keytab", name, "").await?;
        tx.commit().await?;
        Ok(material)
    }

    /// Deletes a storage account with its keys, the tokens of its hosts and its removed shares. If it has shares, it is
    /// refused with `account_has_shares`, or with `with_shares` deletes them and their grants. Data on hosts stays.
    pub async fn delete_storage_account(
        &self,
        by: &Actor,
        tenant: TenantId,
        name: &str,
        with_shares: bool,
    ) -> Result<()> {
        let mut tx = self.change(by, tenant, ChangeScope::Configuration).await?;
        let tenant_info = load_tenant(&mut tx, tenant).await?;
        let (owner, _) = load_account(&mut tx, self.sealer(), &tenant_info, name).await?;
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
        revoke_all(&mut tx, tenant, "host", name).await?;
        sql("DELETE FROM storage_accounts WHERE id = $1")
            .bind(uuid_blob(owner.id))
            .execute(&mut *tx)
            .await?;
        let detail = match count {
            0 => String::new(),
            count => format!("with {count} shares"),
        };
        tx.audit("storage-account.delete", name, &detail).await?;
        tx.commit().await
    }
}

/// Writes the names an account answers to.
async fn write_hosts(
    conn: &mut AnyConnection,
    installation: &InstallationNames,
    owner: &Owner,
    host: &str,
    aliases: &[String],
    scope: NameScope,
) -> Result<()> {
    let mut hosts = BTreeSet::from([host.to_owned()]);
    for alias in aliases {
        hosts.insert(names::host_name("alias", alias)?);
    }
    for host in hosts {
        insert_names(conn, installation, owner, &CLASSES, &host, scope).await?;
    }
    Ok(())
}
